"""Randomness: generators that are functions of integers, and the global ones of others seeded for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python, and give them their states back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        seed_all(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, numpy and Python."""
    # torch.manual_seed prepares every kind of device, which costs a small network a twentieth of its training time
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def generator(*key: int) -> torch.Generator:
    """Return a CPU generator whose stream is a function of all the integers in `key`, at least 0.

    Neighbouring keys give unrelated streams (numpy's SeedSequence; O'Neill 2015).
    """
    (state,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) >> 1)
