"""Rates and memory of preparing images and of training from what was prepared, and what ImageNet-1k takes by them.

    PYTHONPATH=workflow/scripts python benchmarks/large_data.py --images 4000 --threads 2
    PYTHONPATH=workflow/scripts python benchmarks/large_data.py --images 140000 --sides 8 8 --threads 2

The first is like photographs, the second makes 20 GB in minutes. The network is one layer: the rates are of data alone.

2026-11-28, n = 1, 2 cores of a virtual machine that other programs kept busy (load 5), Python 3.11, Pillow 13.0, torch
2.14.1: 4,040 JPEGs of 82 kB prepared at 168 a second, 3.6 ms of a core each (n = 400); memory
522 MB with the libraries loaded, 544 MB after preparing 0.57 GB, 1,018 MB after training from it in batches of 128;
8,600 images a second read from the memory of the system, 3,000 from the disk.

The second, 2026-11-28, n = 1, the same versions on an otherwise idle machine: 140,000 tiny images prepared at 1,073 a
second to 19.8 GB; memory 526 MB with the libraries loaded, 643 MB after preparing, 1,074 MB after training; 11,700
images a second read from the memory of the system, 3,600 from the disk, 1,170 trained a second with one layer.
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
from torch import nn

from winnow.config.resolve import resolve
from winnow.config.settings import DatasetSettings, NormalizationSettings, TrainingSettings
from winnow.data import batches
from winnow.data.batches import Split, epoch_order
from winnow.data.dataset import load_dataset
from winnow.data.prepare import prepare
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

TRAIN, TEST = 1_281_167, 50_000  # images of ImageNet-1k
CROP = 224


def write_images(folder: Path, different: int, count: int, sides: tuple[int, int]) -> None:
    """Write JPEGs like photographs in size and detail; what is more than `different` are links to these."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("test", max(4, count // 100))):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
        for k in range(number):
            first = folder / f"{k % different}.jpg"
            if not first.exists():
                rough = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
                image = rough.resize(sides, Image.Resampling.BICUBIC)
                noisy = np.asarray(image, np.float32) + random.normal(0, 12, (sides[1], sides[0], 3))
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(first, quality=90)
            os.link(first, folder / split / "ab"[k % 2] / f"{k:07}.jpg")


def peak() -> int:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def seconds_of_an_epoch(split: Split, batch: int) -> float:
    """Return what reading a split in a random order takes."""
    begin = time.perf_counter()
    for _ in split.ahead(epoch_order(len(split), 0, 0).split(batch)):
        pass
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--sides", type=int, nargs=2, default=(500, 375), help="the default is ImageNet's usual size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    batches._MOST_IN_MEMORY = 0
    result: dict[str, object] = {"images": options.images, "threads": options.threads, "mb_at_start": peak()}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_images(folder / "images", min(500, options.images), options.images, tuple(options.sides))
        result["jpeg_kb"] = (folder / "images/0.jpg").stat().st_size // 1024
        study = resolve(configuration(folder / "images", options.batch))
        path, begin, computed = folder / "large.safetensors", time.perf_counter(), time.process_time()
        prepare(DatasetSettings.of(study.datasets["large"]), path, "d", key="k", threads=options.threads)
        rate = options.images * 1.01 / (time.perf_counter() - begin)
        computed = 1000 * (time.process_time() - computed) / (options.images * 1.01)
        result |= {"prepared_a_second": round(rate), "core_ms_an_image": round(computed, 2)}
        result["mb_after_preparing"] = peak()
        result["prepared_gb"] = round(path.stat().st_size / 2**30, 2)
        data = load_dataset(path, NormalizationSettings.of(study.normalization["large"]["lenet5"]))
        split = Split.of(data, "train", torch.device("cpu"))
        result["read_a_second"] = round(len(split) / seconds_of_an_epoch(split, options.batch))
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        result["read_a_second_from_disk"] = round(len(split) / seconds_of_an_epoch(split, options.batch))
        network = nn.Sequential(nn.AvgPool2d(CROP // 4), nn.Flatten(), nn.Linear(48, 2))
        job = Job("net", 0, ResumeFile(folder / "state", "k"), folder / "history.csv", {}, 65.0)
        record = train(Trainee(network), data, TrainingSettings.of(study.training["lenet5"]), job)
        result |= {"trained_a_second": round(len(split) / (record.seconds or 1)), "mb_after_training": peak()}
    result["imagenet_gb"] = (TRAIN + TEST) * 3 * CROP**2 // 2**30
    result["imagenet_hours_to_prepare"] = round((TRAIN + TEST) / rate / 3600, 1)
    print(json.dumps(result, indent=2))


def configuration(images: Path, batch: int) -> dict[str, object]:
    """Return a study of one epoch on images as ImageNet's are prepared."""
    sizes: dict[str, object] = {"resize": 256, "crop": CROP, "upright": False, "background": "dropped"}
    dataset = {"source": "image_folder", "path": str(images), "validation_fraction": 0.02, **sizes}
    training: dict[str, object] = {"epochs": 1, "batch_size": batch, "warmup_epochs": 0, "crop_padding": 0, "lr": 0.01}
    training |= {"precision": "fp32", "device": "cpu"}
    return {"study": "rates", "datasets": {"large": dataset}, "models": {"lenet5": {}}, "training": training}


if __name__ == "__main__":
    main()
