"""What all scripts share that read a prepared data set."""

from __future__ import annotations

from adapter import Snakemake
from winnow.config.settings import NormalizationSettings
from winnow.data.dataset import ImageDataset, load_dataset


def open_dataset(snakemake: Snakemake) -> ImageDataset:
    """Return the data set of a job, as its network takes it."""
    return load_dataset(snakemake.input.data, NormalizationSettings.of(snakemake.params.normalization))
