"""Whether two computations of the same logits agree: one definition for exports, runtimes, and int8 against float."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MARGIN = 0.25  # an image is decided if its first logit leads the second by this part of the logits' spread


@dataclass(frozen=True)
class Agreement:
    """How two computations of the same logits differ.

    Attributes:
        difference: mean absolute difference of a logit, relative to the spread (standard deviation over all logits)
            of the reference.
        predictions: share of the decided images that get the same class; None if there is no decided one. An image
            is decided if the reference's first logit leads its second by more than `MARGIN` of the spread: which
            class wins a tie says nothing.
    """

    difference: float
    predictions: float | None

    def __str__(self) -> str:
        same = "" if self.predictions is None else f", {100 * self.predictions:.1f} % of decided predictions equal"
        return f"logits by {self.difference:.3g} of their spread{same}"


@dataclass(frozen=True)
class Tolerance:
    """The largest difference and the least share of equal predictions that count as agreement."""

    difference: float
    predictions: float

    def holds(self, found: Agreement) -> bool:
        """Whether it agrees; what is not a number does not."""
        equal = found.predictions is None or found.predictions >= self.predictions
        return found.difference <= self.difference and equal

    def __str__(self) -> str:
        return f"{self.difference:g} and {100 * self.predictions:g} %"


FLOAT = Tolerance(1e-3, 0.999)
# Two runtimes round here and there to the neighbouring integer. In networks that were trained this comes to a
# hundredth of the spread; a miscomputed operator was seen to make a seventh.
INT8_RUNTIMES = Tolerance(0.05, 0.98)


# Torch's simulation may round otherwise too, and in a deep network that has hardly been trained each such quantum is
# carried far (0.08 was seen in a ResNet-50); only what is beyond is refused.
INT8_EXPORT = Tolerance(0.2, 0.9)


# A network that quantization disturbs much carries every such quantum as far as its own noise: then a runtime is as
# right as another if it is about as near to the float network. A miscomputed operator is several times as far.
_NO_FURTHER, _FEWER = 1.25, 0.05


def as_near(found: Agreement, reference: Agreement) -> bool:
    """Whether a computation is about as near to the truth as a reference is.

    Args:
        found, reference: both compared with the same float network.
    """
    if found.predictions is not None and found.predictions < (reference.predictions or 0.0) - _FEWER:
        return False
    return found.difference <= _NO_FURTHER * reference.difference


def compared(reference: np.ndarray, logits: np.ndarray) -> Agreement:
    """Compare logits [N, classes] with a reference."""
    reference, logits = reference.astype(np.float64), logits.astype(np.float64)
    spread = max(float(reference.std()), 1e-6 * float(np.abs(reference).max()), 1e-12)
    difference = float(np.abs(logits - reference).mean()) / spread
    if reference.shape[1] < 2:
        return Agreement(difference, None)
    second, first = np.partition(reference, -2, axis=1)[:, -2:].T
    decided = first - second > MARGIN * spread
    same = (reference.argmax(1) == logits.argmax(1))[decided]
    return Agreement(difference, float(same.mean()) if len(same) else None)
