"""Rates and memory of preparing images and of reading what was prepared, and what ImageNet-1k takes by them.

    PYTHONPATH=workflow/scripts python benchmarks/large_data.py --images 4000 --threads 2

LAST_RESULT
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from winnow.config.settings import DatasetSettings, NormalizationSettings
from winnow.data import batches
from winnow.data.batches import Split, augment, epoch_order
from winnow.data.dataset import load_dataset
from winnow.data.prepare import prepare
from winnow.rng import generator

TRAIN, TEST = 1_281_167, 50_000  # images of ImageNet-1k
SIDES = (500, 375)  # its most frequent size


def write_images(folder: Path, different: int, count: int) -> None:
    """Write JPEGs like photographs in size and detail; what is more than `different` are links to these."""
    random = np.random.default_rng(0)
    rough = random.integers(0, 256, (different, 24, 32, 3), dtype=np.uint8)
    for split, number in (("train", count), ("test", max(4, count // 20))):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
        for k in range(number):
            path = folder / split / "ab"[k % 2] / f"{k:07}.jpg"
            first = folder / f"{k % different}.jpg"
            if not first.exists():
                image = Image.fromarray(rough[k % different]).resize(SIDES, Image.Resampling.BICUBIC)
                noisy = np.asarray(image, np.float32) + random.normal(0, 12, (SIDES[1], SIDES[0], 3))
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(first, quality=90)
            os.link(first, path)


def peak() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    batches._MOST_IN_MEMORY = 0
    result: dict[str, object] = {"images": options.images, "threads": options.threads, "megabytes_at_start": peak()}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_images(folder / "images", min(500, options.images), options.images)
        values = {
            "name": "large",
            "source": "image_folder",
            "path": str(folder / "images"),
            "image_size": None,
            "resize": [256],
            "crop": [224, 224],
            "interpolation": "bilinear",
            "channels": 3,
            "background": "dropped",
            "upright": False,
            "classes": None,
            "validation_fraction": 0.02,
            "split_seed": 0,
            "max_train_samples": None,
            "max_test_samples": None,
        }
        result["jpeg_kilobytes"] = round((folder / "images/0.jpg").stat().st_size / 1024)
        begin = time.perf_counter()
        path = folder / "large.safetensors"
        prepare(DatasetSettings.of(values), path, "d", key="k", threads=options.threads)
        rate = options.images * 1.05 / (time.perf_counter() - begin)
        result |= {"prepared_per_second": round(rate), "megabytes_after_preparing": peak()}
        result["prepared_gigabytes"] = round(path.stat().st_size / 2**30, 2)
        settings = NormalizationSettings(mean=None, std=None, value_range=1, channel_order="rgb", stated_by=None)
        split = Split.of(load_dataset(path, settings), "train", torch.device("cpu"))
        for what, work in (("read", lambda images: images), ("augmented", transformed(split))):
            begin = time.perf_counter()
            for images, _ in split.ahead(epoch_order(len(split), 0, 0).split(options.batch)):
                work(images)
            result[f"{what}_per_second"] = round(len(split) / (time.perf_counter() - begin))
        result["megabytes_after_reading"] = peak()
        os.posix_fadvise(os.open(path, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.perf_counter()
        for _ in split.ahead(epoch_order(len(split), 0, 1).split(options.batch)):
            pass
        result["read_from_disk_per_second"] = round(len(split) / (time.perf_counter() - begin))
    result["imagenet_gigabytes"] = round((TRAIN + TEST) * 3 * 224 * 224 / 2**30)
    result["imagenet_hours_to_prepare"] = round((TRAIN + TEST) / rate / 3600, 1)
    print(json.dumps(result, indent=2))


def transformed(split: Split):
    """Return what a training run does with a batch before the network."""
    return lambda images: split.normalized(augment(images, padding=4, flip=True, random=generator(0)))


if __name__ == "__main__":
    main()
