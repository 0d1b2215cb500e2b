"""Data that does not fit into memory: prepared and read row by row, with the same bits as data that does."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from samples import (
    TENSORS,
    colored_squares,
    dataset_settings,
    normalization_settings,
    prepared,
    train_in,
    training_settings,
    write_dataset,
)
from winnow.data import batches, image_folder
from winnow.data import prepare as preparing
from winnow.data.ahead import ahead
from winnow.data.batches import Split
from winnow.data.dataset import load_dataset
from winnow.data.file_rows import FileRows
from winnow.data.prepare import prepare
from winnow.data.stored import ChosenRows, StoredRows
from winnow.errors import WinnowError
from winnow.train.loop import Trainee

CPU = torch.device("cpu")


class Killed(BaseException):
    """What ends a process without a word."""


# --- work ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_work_ahead_comes_in_order_and_little_of_it_waits(threads):
    lock, begun, asked = threading.Lock(), [], []

    def work(item):
        with lock:
            begun.append(item)
        time.sleep(0.001 * (item % 3))
        return item * 2

    for result in ahead(work, range(40), threads=threads, waiting=5):
        asked.append(result)
        assert len(begun) <= len(asked) + 5
    assert asked == [2 * item for item in range(40)]


def test_an_error_ahead_comes_in_its_turn_and_ends_the_work():
    begun = []

    def work(item):
        begun.append(item)
        return 10 // (3 - item)

    results = ahead(work, range(1000), threads=2, waiting=4)
    assert [next(results) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) < 20


# --- rows of a file


@pytest.fixture
def rows(tmp_path):
    images = torch.randint(0, 256, (50, 3, 4, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    (tmp_path / "images").write_bytes(b"header!" + images.numpy().tobytes())
    return StoredRows(FileRows(tmp_path / "images", 7, tuple(images.shape))), images


def test_rows_of_a_file_are_those_of_a_tensor(rows, monkeypatch):
    stored, images = rows
    monkeypatch.setattr("winnow.data.file_rows._MOST_AT_ONCE", 100)
    assert (len(stored), stored.shape) == (50, images.shape)
    random = torch.Generator().manual_seed(1)
    chosen = torch.randperm(50, generator=random)[:30]
    indices = [slice(None), slice(5, 9), slice(0, 0), slice(40, 90), slice(None, None, 7)]
    indices += [torch.tensor([], dtype=torch.int64), torch.tensor([3, 3, 4, 5, 1]), chosen, chosen.sort().values]
    for index in indices:
        assert torch.equal(stored[index], images[index])
        part = index if isinstance(index, slice) else index[index < 30]
        assert torch.equal(ChosenRows(stored, chosen)[part], images[chosen][part])


def test_a_file_that_ends_early_is_one_line(rows, tmp_path):
    stored, _ = rows
    os.truncate(tmp_path / "images", 500)
    with pytest.raises(WinnowError, match=r"images: ends early; delete it and run again$"):
        stored[torch.tensor([40])]


# --- training and scoring from the file


def trained(folder, data):
    folder.mkdir()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 4))
    settings = training_settings(batch_size=10, flip=True)
    record = train_in(folder, Trainee(model), data, settings)
    assert record.trained_here
    return model.state_dict(), [line.split(",")[:6] for line in (folder / "history.csv").read_text().splitlines()]


def test_what_is_read_from_the_file_trains_to_the_same_bits(tmp_path, monkeypatch):
    memory = colored_squares(61, 4)
    write_dataset(tmp_path / "squares.safetensors", memory)
    stored = load_dataset(tmp_path / "squares.safetensors", normalization_settings())
    expected, history = trained(tmp_path / "memory", memory)
    whole, _ = trained(tmp_path / "whole", stored)
    assert isinstance(Split.of(stored, "train", CPU).images, torch.Tensor)
    monkeypatch.setattr(batches, "_MOST_IN_MEMORY", 1000)
    assert not isinstance(Split.of(stored, "train", CPU).images, torch.Tensor)
    ahead_of_it, other = trained(tmp_path / "ahead", stored)
    for state in (whole, ahead_of_it):
        assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert other == history


def test_a_split_in_the_file_gives_the_batches_of_one_in_memory(tmp_path, monkeypatch):
    memory = colored_squares(61, 4)
    write_dataset(tmp_path / "squares.safetensors", memory)
    stored = load_dataset(tmp_path / "squares.safetensors", normalization_settings())
    monkeypatch.setattr(batches, "_MOST_IN_MEMORY", 0)
    for name in ("train", "validation", "test"):
        pair = Split.of(memory, name, CPU), Split.of(stored, name, CPU)
        for (images, labels), (others, again) in zip(*(split.batches(7) for split in pair), strict=True):
            assert torch.equal(images, others)
            assert torch.equal(labels, again)
        index = torch.tensor([4, 0, 5])
        assert torch.equal(pair[0].take(index), pair[1].take(index))


def test_batches_of_large_images_are_smaller(monkeypatch):
    split = Split.of(colored_squares(61, 4), "test", CPU)
    assert [len(labels) for _, labels in split.batches(14)] == [14, 14, 2]
    monkeypatch.setattr(batches, "_LARGEST_BATCH", 9 * 4 * 3 * 32 * 32)
    assert [len(labels) for _, labels in split.batches(14)] == [9, 9, 9, 3]
    monkeypatch.setattr(batches, "_LARGEST_BATCH", 1)
    assert len(list(split.batches(14))) == 30


# --- a preparation that is killed


@pytest.fixture
def pictures(tmp_path):
    """36 images in three classes, a quarter of them deep, of which two state their range."""
    random = np.random.default_rng(0)
    for split, count in (("train", 9), ("test", 3)):
        for label in "abc":
            folder = tmp_path / "pictures" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                if number % 4 == 1:
                    deep = random.integers(0, 3000 + number, (20, 20)).astype(np.uint16)
                    Image.fromarray(deep).save(folder / f"{number}.png")
                else:
                    pixels = random.integers(0, 256, (20 + number, 24, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number}.png")
    return dataset_settings("image_folder", path=str(tmp_path / "pictures"), image_size=8, max_train_samples=24)


def decodings(monkeypatch, end=None, error=Killed):
    """Count the images that are decoded, and let one of them end it all."""
    counts, decode = [], image_folder.decode

    def counting(content, name, **options):
        counts.append(name)
        if len(counts) == end:
            raise error("it ends here")
        return decode(content, name, **options)

    monkeypatch.setattr(image_folder, "decode", counting)
    return counts


@pytest.mark.parametrize("end", [1, 2, 17, 33, 34, 38])
@pytest.mark.parametrize("error", [Killed, MemoryError])
def test_a_killed_preparation_resumes_to_the_same_bytes(pictures, tmp_path, monkeypatch, end, error):
    monkeypatch.setattr(preparing, "_SAVE_SECONDS", 0)
    expected, path = tmp_path / "expected.safetensors", tmp_path / "data/found.safetensors"
    with monkeypatch.context() as whole:
        counts = decodings(whole)
        prepared(pictures, expected)
    with monkeypatch.context() as killed:
        decodings(killed, end, error)
        with pytest.raises(error):
            prepare(pictures, path, "definition", key="key", threads=1)
    assert not path.exists()
    again = decodings(monkeypatch)
    prepare(pictures, path, "definition", key="key", threads=1)
    assert path.read_bytes() == expected.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert len(again) == len(counts) - min(end - 1, len(set(counts)))


@pytest.mark.parametrize("damage", ["key", "journal", "partial"])
def test_what_another_preparation_left_is_not_used(pictures, tmp_path, monkeypatch, damage, caplog):
    monkeypatch.setattr(preparing, "_SAVE_SECONDS", 0)
    expected, path = tmp_path / "expected.safetensors", tmp_path / "found.safetensors"
    prepared(pictures, expected)
    with monkeypatch.context() as killed:
        decodings(killed, 20)
        with pytest.raises(Killed):
            prepare(pictures, path, "definition", key="key", threads=1)
    assert json.loads((tmp_path / ".found.safetensors.journal").read_text())["key"] == "key"
    if damage == "journal":
        (tmp_path / ".found.safetensors.journal").write_text("{")
    elif damage == "partial":
        (tmp_path / ".found.safetensors.partial").unlink()
    prepare(pictures, path, "definition", key="other" if damage == "key" else "key", threads=3)
    assert path.read_bytes() == expected.read_bytes()
    assert ("discarding" in caplog.text) == (damage != "partial")


def test_an_image_that_has_to_be_mended_leaves_nothing(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "_SAVE_SECONDS", 0)
    (tmp_path / "pictures/train/b/3.png").write_bytes(b"no image")
    with pytest.raises(WinnowError, match=r"pictures: train/b/3.png is not a readable image"):
        prepared(dataset_settings("image_folder", path=pictures.path, image_size=8), tmp_path / "out/it.safetensors")
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_is_too_small_says_so_before_an_image_is_read(pictures, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    counts = decodings(monkeypatch)
    with pytest.raises(WinnowError, match=r"it.safetensors: cannot be written \(No space left on device\); free some"):
        prepared(pictures, tmp_path / "out/it.safetensors")
    assert not counts
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_nothing(pictures, tmp_path, threads):
    paths = [tmp_path / f"{name}.safetensors" for name in ("one", "other")]
    for path, count in zip(paths, (2, threads), strict=True):
        prepare(pictures, path, "definition", key="key", threads=count)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_only_images_that_are_used_are_read(pictures, monkeypatch):
    counts = decodings(monkeypatch)
    data = prepared(pictures)
    deep = sum(name.endswith(("/1.png", "/5.png")) for name in set(counts))
    assert len(counts) == len(data.train_labels) + len(data.test_labels) + deep
    assert all(len(getattr(data, name)) for name in TENSORS)


# --- memory

_MEASURED = """
import resource, sys, threading
from pathlib import Path
import torch
from torch import nn
from samples import dataset_settings, normalization_settings, train_in, training_settings
from winnow.data import batches
from winnow.data.dataset import load_dataset
from winnow.data.prepare import prepare
from winnow.train.loop import Trainee

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder = Path(sys.argv[1])
settings = dataset_settings("image_folder", path=str(folder / "pictures"), image_size=256)
network = lambda: nn.Sequential(nn.AvgPool2d(64), nn.Flatten(), nn.Linear(48, 2))
def train(data, name):
    (folder / name).mkdir()
    train_in(folder / name, Trainee(network()), data, training_settings(epochs=1, crop_padding=0))
small = dataset_settings("image_folder", path=settings.path, image_size=256, max_train_samples=80, max_test_samples=20)
path = folder / "small.safetensors"
prepare(small, path, "d", key="k", threads=2)
train(load_dataset(path, normalization_settings()), "small")
path, before = folder / "large.safetensors", peak()
prepare(settings, path, "d", key="k", threads=2)
between = peak()
batches._MOST_IN_MEMORY, batches._LARGEST_BATCH = 2**20, 2**22
train(load_dataset(path, normalization_settings()), "large")
print(before, between, peak(), path.stat().st_size / 2**20)
"""


def test_memory_does_not_grow_with_the_data(tmp_path):
    """Peaks after a data set of 19 MB, and after one of 188 MB."""
    random = np.random.default_rng(0)
    for split, count in (("train", 450), ("test", 50)):
        for label, level in (("a", 60), ("b", 180)):
            folder = tmp_path / "pictures" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(level, level + 60, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.bmp")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _MEASURED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    small, prepared_large, trained_large, size = map(float, done.stdout.split())
    assert size > 180
    assert prepared_large - small < 0.2 * size
    assert trained_large - small < 0.3 * size
