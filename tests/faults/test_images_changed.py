"""A change of the user's images is seen, whatever the times of folders and archives say; no change is no work."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile

import image_folders as made
import pytest

from projects import LOCAL, Project, copy_project
from winnow.data.identity import images_digest

SECOND = 10**9


def digest(path) -> str:
    images_digest.cache_clear()
    return images_digest(str(path))


def add_an_image(root):
    made.picture(60).save(root / "train" / "cat" / "9.png")


def remove_an_image(root):
    (root / "test" / "dog" / "1.png").unlink()


def replace_an_image(root):
    path = root / "train" / "cat" / "0.png"
    times = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))


def replace_an_image_by_an_older_one(root):
    path = root / "train" / "cat" / "0.png"
    os.utime(path, ns=(SECOND, SECOND))


def rename_an_image(root):
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "z.png")


def move_an_image(root):
    (root / "train" / "cat" / "0.png").rename(root / "train" / "dog" / "z.png")


def add_a_class(root):
    for split in ("train", "test"):
        shutil.copytree(root / split / "cat", root / split / "bird")


def remove_a_class(root):
    for split in ("train", "test"):
        shutil.copytree(root / split / "cat", root / split / "bird")
        shutil.rmtree(root / split / "dog")


def rename_a_class(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "lynx")


def spoil_the_folder(root):
    shutil.rmtree(root / "test")


CHANGES = (
    *(add_an_image, remove_an_image, replace_an_image, replace_an_image_by_an_older_one, rename_an_image),
    *(move_an_image, add_a_class, remove_a_class, rename_a_class, spoil_the_folder),
)


@pytest.fixture
def root(tmp_path):
    return made.make_folder(tmp_path / "images")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_folder_gives_another_digest(root, change):
    before = digest(root)
    change(root)
    assert digest(root) != before


def test_what_is_not_used_does_not_count(root, tmp_path):
    before = digest(root)
    (root / "README.txt").write_text("mine")
    (root / "train" / "cat" / "notes.txt").write_text("mine")
    (root / "train" / ".DS_Store").write_text("macOS's")
    os.utime(root)
    os.utime(root / "train" / "cat")
    assert digest(root) == before
    root.rename(tmp_path / "elsewhere")
    assert digest(tmp_path / "elsewhere") == before
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copy")  # with the times of the files
    assert digest(tmp_path / "copy") == before


def test_a_zip_is_told_by_what_it_says_it_holds(root, tmp_path):
    path = made.make_zip(root, tmp_path / "images.zip")
    before = digest(path)
    os.utime(path, ns=(SECOND, SECOND))
    assert digest(path) == before
    assert digest(made.make_zip(root, tmp_path / "again.zip", zipfile.ZIP_LZMA)) == before
    made.picture(51).save(root / "train" / "cat" / "0.png")
    made.make_zip(root, path)
    os.utime(path, ns=(SECOND, SECOND))  # older than what was made from it
    assert digest(path) != before


def test_a_tar_is_told_by_its_size_and_time(root, tmp_path):
    path = made.make_tar(root, tmp_path / "images.tar.gz", "w:gz")
    before = digest(path)
    assert digest(path) == before
    os.utime(path, ns=(SECOND, SECOND))
    assert digest(path) != before
    with tarfile.open(path) as archive:
        assert archive.getnames()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Project:
    """A project whose data set of the user's images has been prepared."""
    project = copy_project(tmp_path_factory.mktemp("images") / "a project", LOCAL)
    made.make_folder(project.root / "pets")
    project.configure(
        datasets={"pets": {"source": "image_folder", "path": "pets", "image_size": 32}},
        quantization={"methods": ["dynamic"]},
    )
    project.run("results/data/pets.safetensors")
    return project


TRAINED = "results/tiny/pets/lenet5/seed0/dense/weights.safetensors"


@pytest.mark.parametrize("change", [None, add_an_image, replace_an_image_by_an_older_one, add_a_class])
def test_snakemake_prepares_again_what_has_changed(prepared, tmp_path, change):
    project = prepared.copy_to(tmp_path / "moved project")
    if change:
        change(project.root / "pets")
    else:
        os.utime(project.root / "pets")
    again = {"prepare_dataset": 1} if change else {}
    assert project.planned(TRAINED) == {"check_network": 1, "train": 1} | again


def test_images_prepared_again_to_the_same_bytes_train_nothing_again(prepared, tmp_path):
    project = prepared.copy_to(tmp_path / "project")
    data = project.root / "results/data/pets.safetensors"
    before = data.read_bytes()
    for path in (project.root / "pets").rglob("*.png"):
        os.utime(path)
    assert project.planned(str(data.relative_to(project.root))) == {"prepare_dataset": 1}
    project.run(str(data.relative_to(project.root)))
    assert data.read_bytes() == before
    assert project.planned(str(data.relative_to(project.root))) == {}
