"""Work done ahead of who asks for it, by threads: what it gives comes in order, and never much of it is waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], *, threads: int, waiting: int) -> Iterator[R]:
    """Yield work(item) of each item in order; an error of one comes in its turn.

    Args:
        items: taken one by one, by the thread that asks.
        threads: that work; they gain where the work is outside Python's lock, as reading and decoding are.
        waiting: so many results at most are begun and not asked for.
    """
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > waiting:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
