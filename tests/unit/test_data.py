"""Data sets: sources, splits, limits, and the errors of unfit images."""

import hashlib
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from samples import TENSORS, colored_squares, dataset_settings, normalization_settings, prepared, write_dataset
from winnow.data.batches import Split
from winnow.data.dataset import load_dataset
from winnow.data.dataset_file import DatasetFile, dataset_digest
from winnow.data.prepared import read_prepared
from winnow.errors import WinnowError
from winnow.files import safetensors_metadata


def folder(path, **changes):
    return dataset_settings("image_folder", path=str(path), image_size=16, **changes)


def test_digits_are_rgb_images_with_a_stratified_validation_split():
    data = prepared(dataset_settings("digits"))
    assert data.train_images.shape == (1437, 3, 32, 32)
    assert data.train_images[:].dtype == torch.uint8
    assert len(data.test_labels) == 360
    assert data.train_images[:].max() == 255
    both = torch.cat((data.train_index, data.validation_index))
    assert sorted(both.tolist()) == list(range(1437))
    for label in range(10):
        of_class = (data.train_labels == label).sum()
        held_out = (data.train_labels[data.validation_index] == label).sum()
        assert abs(held_out - 0.2 * of_class) <= 1


def test_statistics_are_those_of_the_training_split():
    data = prepared(dataset_settings("digits", channels=1))
    pixels = data.rows("train")[0][:].double() / 255
    assert data.normalization.mean.shape == (1,)
    np.testing.assert_allclose(data.normalization.mean, pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(data.normalization.std, pixels.std((0, 2, 3), correction=0), rtol=1e-6)


def test_limits_are_balanced_over_classes_and_a_function_of_the_seed():
    limited = dataset_settings("digits", max_train_samples=105, max_test_samples=30)
    data, again = prepared(limited), prepared(limited)
    counts = torch.bincount(data.train_labels)
    assert len(data.train_labels) == 105
    assert counts.max() - counts.min() <= 1
    assert torch.bincount(data.test_labels).tolist() == [3] * 10
    assert torch.equal(data.train_images[:], again.train_images[:])
    other = prepared(dataset_settings("digits", max_train_samples=105, split_seed=1))
    assert not torch.equal(data.train_images[:], other.train_images[:])


def test_images_are_resized_on_request():
    assert prepared(dataset_settings("digits", image_size=20)).task.size == 20


def test_a_folder_a_zip_and_a_tar_give_the_same_data(image_folder, tmp_path):
    files = [path for path in image_folder.rglob("*") if path.is_file()]
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in reversed(files):
            archive.write(path, path.relative_to(image_folder.parent))  # with a folder around train/ and test/
    with tarfile.open(tmp_path / "images.tar.gz", "w:gz") as archive:
        archive.add(image_folder, arcname=".")
    expected = prepared(folder(image_folder))
    assert expected.classes == ("cat", "dog")
    assert expected.train_images.shape == (10, 3, 16, 16)
    for name in ("images.zip", "images.tar.gz"):
        data = prepared(folder(tmp_path / name))
        assert all(torch.equal(getattr(data, tensor)[:], getattr(expected, tensor)[:]) for tensor in TENSORS)


def test_classes_are_where_they_belong(image_folder):
    data = prepared(folder(image_folder))
    brightness = data.train_images[:].float().mean((1, 2, 3))
    assert (brightness[data.train_labels == 0] < 100).all()
    assert (brightness[data.train_labels == 1] > 150).all()


def test_val_serves_as_the_test_split_and_grey_is_one_channel(image_folder):
    (image_folder / "test").rename(image_folder / "val")
    assert prepared(folder(image_folder, channels=1)).test_images.shape == (4, 1, 16, 16)


def test_other_files_and_hidden_folders_are_ignored(image_folder):
    (image_folder / "train" / "cat" / "notes.txt").write_text("no image")
    (image_folder / "train" / ".cache").mkdir()
    (image_folder / "README").write_text("mine")
    assert len(prepared(folder(image_folder)).train_labels) == 10


def break_corrupt(root):
    (root / "train" / "dog" / "1.png").write_bytes(b"not a picture")


def break_truncated(root):
    content = (root / "train" / "dog" / "2.jpg").read_bytes()
    (root / "train" / "dog" / "2.jpg").write_bytes(content[: len(content) // 2])


def break_empty(root):
    for path in (root / "test" / "dog").iterdir():
        path.unlink()


def break_one_split(root):
    (root / "train" / "bird").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "train" / "bird" / "0.png")


def break_missing(root):
    (root / "train" / "cat" / "0.jpg").unlink()
    (root / "train" / "cat" / "0.jpg").symlink_to(root / "gone.jpg")


def break_no_test(root):
    (root / "test").rename(root / "other")


def break_no_train(root):
    (root / "train").rename(root / "other")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_corrupt, r"train/dog/1.png is not a readable image"),
        (break_truncated, r"train/dog/2.jpg is not a readable image"),
        (break_empty, r"class folder test/dog/ holds no image"),
        (break_one_split, r"class 'bird' is in train/ only; add test/bird/"),
        (break_missing, r"train/cat/0.jpg cannot be read"),
        (break_no_test, r"has train/ but neither test/ nor val/"),
        (break_no_train, r"has no train/ folder"),
    ],
)
def test_unfit_images_are_named_and_nothing_is_written(image_folder, tmp_path, damage, message):
    damage(image_folder)
    with pytest.raises(WinnowError, match=message):
        prepared(folder(image_folder), tmp_path / "out" / "images.safetensors")
    assert not list(tmp_path.glob("out/*"))


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"PK garbage")
    with pytest.raises(WinnowError, match=r"images.zip: neither a directory nor a readable .zip or .tar"):
        prepared(folder(tmp_path / "images.zip"))


def test_a_class_too_small_for_a_validation_split(image_folder):
    for number in range(1, 5):
        next((image_folder / "train" / "cat").glob(f"{number}.*")).unlink()
    with pytest.raises(WinnowError, match=r"class 'cat' has 1 training images"):
        prepared(folder(image_folder))


def test_offline_downloads_say_what_to_fetch(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("network unreachable")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(WinnowError, match=r"cannot download cifar10 .*put cifar-10-python.tar.gz \(MD5 c58f"):
        prepared(dataset_settings("cifar10", path=str(tmp_path)))


def test_a_data_set_survives_its_file(tmp_path):
    path = tmp_path / "digits.safetensors"
    data = prepared(dataset_settings("digits", max_train_samples=50), path)
    content = load_file(path)
    assert data.classes == tuple("0123456789")
    assert all(torch.equal(getattr(data, name)[:], content[name]) for name in TENSORS)
    assert data.normalization.mean.tolist() == content["mean"].tolist()
    assert safetensors_metadata(path)["definition"] == "definition"
    path.write_bytes(path.read_bytes()[:1000])
    for read in (load_dataset, read_prepared):
        with pytest.raises(WinnowError, match=r"digits.safetensors: not a prepared data set \(it is not as long as"):
            read(path, normalization_settings())


def test_a_prepared_file_is_known_by_its_header(tmp_path, monkeypatch):
    path, again, other = (tmp_path / f"{name}.safetensors" for name in ("first", "again", "other"))
    for seed, file in ((0, path), (0, again), (1, other)):
        prepared(dataset_settings("digits", max_train_samples=50, split_seed=seed), file)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    assert safetensors_metadata(path)["sha256_of_tensors"] == hashlib.sha256(content[header:]).hexdigest()
    monkeypatch.setattr("winnow.data.dataset_file.content_digest", lambda path: pytest.fail(f"{path} is read whole"))
    assert dataset_digest(path) == dataset_digest(again) != dataset_digest(other)
    cats, dogs = (written(tmp_path / f"{name}.safetensors", classes=json.dumps([name])) for name in ("cats", "dogs"))
    assert dataset_digest(cats) != dataset_digest(dogs)


def written(path, values=(1, 2), seal=True, **metadata):
    with DatasetFile(path, {"train_labels": ("int64", (len(values),))}, metadata, keep=False) as file:
        file.put("train_labels", np.array(values))
        if seal:
            file.seal()
    return path


def test_a_file_that_does_not_say_what_it_holds_is_read_whole(tmp_path):
    """A prepared data set of an earlier version, and whatever else a training run begins with."""
    plain, text = written(tmp_path / "plain.safetensors", seal=False), tmp_path / "masks.txt"
    text.write_text("masks")
    for path in (plain, text):
        assert dataset_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset_digest(written(tmp_path / "plain.safetensors", values=(1, 3), seal=False)) != dataset_digest(
        written(tmp_path / "other.safetensors", seal=False)
    )


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_without_torch_it_is_normalized_to_the_same_bits(tmp_path, order):
    numbers = {"mean": (0.49, 0.48, 0.45), "std": (0.2, 0.3, 0.26)}
    settings = normalization_settings(**numbers, channel_order=order)
    data = colored_squares(60, 3)
    data.train_images[:, :, :8] = torch.arange(256, dtype=torch.uint8).view(8, 32)  # every value of every channel
    write_dataset(tmp_path / "squares", data)
    data, read = (read(tmp_path / "squares", settings) for read in (load_dataset, read_prepared))
    assert (read.task, read.classes) == (data.task, data.classes)
    for name in ("train", "validation", "test"):
        split, found = Split.of(data, name, torch.device("cpu")), read.split(name)
        assert len(found) == len(split)
        assert found.labels.tolist() == split.labels.tolist()
        for (images, _), array in zip(split.batches(7), found.batches(7), strict=True):
            assert array.flags.c_contiguous
            np.testing.assert_array_equal(array, images.numpy(), strict=True)


def test_a_few_images_are_of_all_classes_though_folders_lie_one_after_another(tmp_path):
    root = tmp_path / "images"
    for split, count in (("train", 60), ("test", 30)):
        for label, level in enumerate((40, 120, 200)):
            (root / split / f"class{label}").mkdir(parents=True)
            for number in range(count):
                pixels = np.full((16, 16, 3), level, np.uint8)
                pixels[number % 16, 0] = 0
                Image.fromarray(pixels).save(root / split / f"class{label}/{number}.png")
    settings = folder(root, validation_fraction=0.5)
    data = prepared(settings, path := tmp_path / "data.safetensors")
    assert data.test_labels.tolist() == sorted(data.test_labels.tolist())  # they do lie so
    few = data.few(12, 12, 12)
    for name in ("train", "validation", "test"):
        images, labels = few.rows(name)
        assert torch.bincount(labels, minlength=3).min() >= 1
        assert len(labels) == 12
        assert [int(image.max()) for image in images[:]] == [(40, 120, 200)[label] for label in labels]
    assert all(torch.equal(*pair) for pair in zip(few.rows("test"), data.few(12, 12, 12).rows("test"), strict=True))
    for name in ("train", "validation", "test"):
        split = read_prepared(path, normalization_settings()).split(name)
        assert len(np.unique(split.few(12).max((1, 2, 3)))) == 3
        assert np.array_equal(split.few(10**6), split.inputs(0, len(split)))
