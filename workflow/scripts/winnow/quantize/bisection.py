"""The last step of a way along which a network gets ever cheaper and worse."""

from __future__ import annotations

from collections.abc import Callable


def least_good(most: int, good: Callable[[int], bool]) -> int:
    """Return the least of the whole numbers 0 to `most` that is good, by bisection.

    That all above a good one are good is assumed. `most` is taken to be good and is never asked for; 0 is asked for
    first, because it often is; no number is asked for twice.
    """
    if most == 0 or good(0):
        return 0
    refused, accepted = 0, most
    while accepted - refused > 1:
        middle = (refused + accepted) // 2
        if good(middle):
            accepted = middle
        else:
            refused = middle
    return accepted
