"""Image folders and archives that cannot be used: each ends in one line that names the file and says what to do."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import image_folders as made
import numpy as np
import pytest
from PIL import Image

from samples import dataset_settings, read_images
from winnow.data import medium
from winnow.data.identity import images_digest
from winnow.errors import WinnowError

BAD: dict[str, tuple[Callable[[Path], Path | None], str]] = {}


def bad(expected: str):
    """Register a way to spoil the folder at a path; it returns what is read instead, if not that folder."""

    def register(spoil: Callable[[Path], Path | None]):
        BAD[spoil.__name__] = (spoil, expected)
        return spoil

    return register


# --- what a folder must hold


@bad(r"does not exist; set the data set's path")
def absent(root):
    return root / "nowhere"


@bad(r"has no train/ folder; expected train/CLASS/ and test/CLASS/")
def empty_folder(root):
    shutil.rmtree(root)
    root.mkdir()


@bad(r"has no train/ folder; .* \(its folders: Train, test\)")
def train_in_capitals(root):
    (root / "train").rename(root / "Train")


@bad(r"has train/ but neither test/ nor val/; add the images to test on")
def no_test(root):
    shutil.rmtree(root / "test")


@bad(r"found 1 class folders below train/; at least 2 are needed")
def one_class(root):
    shutil.rmtree(root / "train" / "dog")
    shutil.rmtree(root / "test" / "dog")


@bad(r"found 0 class folders below train/")
def no_class(root):
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            shutil.rmtree(root / split / label)


@bad(r"class 'bird' is in train/ only; add test/bird/ or remove it")
def class_in_train_only(root):
    shutil.copytree(root / "train" / "cat", root / "train" / "bird")


@bad(r"class 'bird' is in test/ only; add train/bird/")
def class_in_test_only(root):
    shutil.copytree(root / "train" / "cat", root / "test" / "bird")


@bad(r"class 'bird' is in val/ only")
def class_in_val_only(root):
    (root / "test").rename(root / "val")
    shutil.copytree(root / "train" / "cat", root / "val" / "bird")


@bad(r"class 'Cat' is in test/ only; add train/Cat/")
def classes_that_differ_in_case(root):
    (root / "test" / "cat").rename(root / "test" / "Cat")


@bad(r"class folder train/bird/ holds no image; add images or remove it")
def empty_class(root):
    (root / "train" / "bird").mkdir()
    shutil.copytree(root / "test" / "cat", root / "test" / "bird")


@bad(r"class folder test/dog/ holds no image but files with .heic, .txt, no suffix; add images")
def class_of_other_files(root):
    for path in (root / "test" / "dog").iterdir():
        path.unlink()
    for name in ("1.heic", "2.HEIC", "notes.txt", "raw"):
        (root / "test" / "dog" / name).write_bytes(b"\0")


@bad(r"train/0.png and 1 more in no class; put images into train/CLASS/, a folder for each class")
def images_beside_the_classes(root):
    for number in range(2):
        made.picture(9).save(root / "train" / f"{number}.png")


@bad(r"train/cat.0.jpg and 1 more in no class; put images into train/CLASS/")
def classes_in_file_names(root):
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (root / split / label / "0.png").rename(root / split / f"{label}.0.jpg")
            shutil.rmtree(root / split / label)


@bad(r"test/a.png in no class; put images into test/CLASS/")
def an_image_beside_the_test_classes(root):
    made.picture(9).save(root / "test" / "a.png")


@bad(r"has two train/ folders, a/train/ and b/train/; remove one, or set the data set's path to the folder around")
def two_roots(root):
    for name in ("a", "b"):
        made.make_folder(root / name)
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "test")


@bad(r"has two train/ folders, train/ and backup/2024/train/")
def a_root_within_the_root(root):
    made.make_folder(root / "backup" / "2024")


@bad(r"train/dog/loop/ is a link back to a folder around it; remove it")
def a_loop_of_links(root):
    (root / "train" / "dog" / "loop").symlink_to(root / "train")


# --- names


@bad(r"class folder \w+/caf\\udce9/: a name of a class is one line of UTF-8 text without control characters; rename")
def a_class_in_latin_1(root):
    for split in ("train", "test"):
        made.rename_bytes(root / split, "cat", b"caf\xe9")


@bad(r"class folder \w+/a\\nb/: a name of a class is one line")
def a_class_of_two_lines(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "a\nb")


@bad(r"class folder \w+/cat\\x1b\[31m/: a name of a class")
def a_class_that_colours_the_terminal(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "cat\x1b[31m")


@bad(r"class folder \w+/a\\tb/: a name of a class")
def a_class_with_a_tab(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "a\tb")


@bad(r"class folder \w+/a\\u2028b/: a name of a class")
def a_class_with_a_separator_of_lines(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "a\u2028b")


@bad(r"class folder train/b\\x07/: a name of a class")
def an_empty_class_with_a_bell(root):
    (root / "train" / "b\x07").mkdir()


@bad(r"train/cat/\\udcff\\n.png is not a readable image")
def a_damaged_file_of_a_name_in_bytes(root):
    (root / "train" / "cat" / "0.png").write_bytes(b"no image")
    made.rename_bytes(root / "train" / "cat", "0.png", b"\xff\n.png")


# --- files that are none


@bad(r"train/cat/pipe.png cannot be read \(it is no regular file\); replace or remove it")
def a_pipe(root):
    os.mkfifo(root / "train" / "cat" / "pipe.png")


@bad(r"test/dog/pipe cannot be read \(it is no regular file\)")
def a_pipe_without_a_suffix(root):
    os.mkfifo(root / "test" / "dog" / "pipe")


@bad(r"train/cat/s.png cannot be read \(it is no regular file\)")
def a_socket(root):
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root / "train" / "cat")  # the path of a socket is short
        listener.bind("s.png")
        os.chdir(here)


@bad(r"train/cat/zero.png cannot be read \(it is no regular file\)")
def a_link_to_a_device(root):
    (root / "train" / "cat" / "zero.png").symlink_to("/dev/zero")


@bad(r"train/cat/0.png cannot be read \(link: No such file or directory\); replace or remove it")
def a_link_to_nothing(root):
    (root / "train" / "cat" / "0.png").unlink()
    (root / "train" / "cat" / "0.png").symlink_to(root / "nothing.png")


@bad(r"train/cat/me.png cannot be read \(link: Too many levels of symbolic links\)")
def a_link_to_itself(root):
    (root / "train" / "cat" / "me.png").symlink_to("me.png")


@bad(r"train/dog cannot be read \(link: No such file or directory\)")
def a_class_that_is_a_link_to_nothing(root):
    shutil.rmtree(root / "train" / "dog")
    (root / "train" / "dog").symlink_to(root / "nothing")


@bad(r"train/cat/huge.png cannot be read \(it has 8,589,934,592 bytes, more than 536,870,912\)")
def a_file_of_8_gigabytes(root):
    with (root / "train" / "cat" / "huge.png").open("wb") as file:
        file.truncate(2**33)


@bad(r"neither a directory nor a regular file")
def a_pipe_instead_of_a_folder(root):
    os.mkfifo(root / "pipe")
    return root / "pipe"


@bad(r"neither a directory nor a regular file")
def a_device_instead_of_a_folder(_):
    return Path("/dev/zero")


# --- images


@bad(r"train/cat/0.png is not a readable image \(cannot identify image file")
def text(root):
    (root / "train" / "cat" / "0.png").write_text("no picture")


@bad(r"train/cat/0.png is not a readable image")
def an_empty_file(root):
    (root / "train" / "cat" / "0.png").write_bytes(b"")


@bad(r"train/cat/0.png is not a readable image")
def half_a_png(root):
    made.half(root / "train" / "cat" / "0.png")


@bad(r"test/dog/1.jpg is not a readable image")
def half_a_jpeg(root):
    made.picture(200, size=64).save(root / "test" / "dog" / "1.jpg")
    made.half(root / "test" / "dog" / "1.jpg")


@bad(r"train/cat/0.png is not a readable image")
def a_png_of_other_bytes(root):
    made.flip(root / "train" / "cat" / "0.png", 0.4)


@bad(r"train/cat/0.png is not a readable image")
def a_png_without_pixels(root):
    (root / "train" / "cat" / "0.png").write_bytes(made.png_header(8, 8))


@bad(r"train/cat/0.png is not a readable image \(Image size \(400000000 pixels\) exceeds limit")
def a_png_of_20000_by_20000(root):
    (root / "train" / "cat" / "0.png").write_bytes(made.png_header(20_000, 20_000))


@bad(r"train/cat/0.png is not a readable image")
def a_program_for_ghostscript(root):
    (root / "train" / "cat" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")


@bad(r"train/cat/0.png is not a readable image")
def a_tiff_of_no_known_kind(root):
    made.every(root, lambda level: made.picture(level), ".tif")
    content = bytearray((root / "train" / "cat" / "0.tif").read_bytes())
    (root / "train" / "cat" / "0.tif").rename(root / "train" / "cat" / "0.png")
    (root / "train" / "cat" / "0.png").write_bytes(content[:60])


@bad(r"\w+/cat/0.tif has values down to -1000, and nothing says which is black; convert the images to 8 bits, or")
def negative_whole_numbers(root):
    def make(level):
        return Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8) + level - 1050)

    made.every(root, make, ".tif")


@bad(
    r"has floating-point values .* to .*, outside 0 to 1, and nothing says which are black and white; scale the images"
)
def floating_point_beyond_1(root):
    made.every(root, lambda level: Image.fromarray(np.float32(level) + np.eye(8, dtype=np.float32)), ".tif")


@bad(r"train/dog/4.tif has floating-point values -1.84 to 0.5, outside 0 to 1")
def floating_point_below_0(root):
    made.every(root, lambda level: Image.fromarray(np.eye(8, dtype=np.float32) - 0.01 * level), ".tif")


@bad(r"0.tif is not a readable image \(it holds values that are not finite\)")
def not_a_number(root):
    def make(_):
        values = np.eye(8, dtype=np.float32)
        values[0, 0] = np.nan
        return Image.fromarray(values)

    made.every(root, make, ".tif")


@bad(r"is not a readable image \(it states values from 0 to 100 and has 0 to 1071\)")
def more_than_is_stated(root):
    def make(level):
        return Image.fromarray((np.arange(64).reshape(8, 8) * (17 if level > 100 else 1)).astype(np.uint16))

    made.every(root, make, ".tif", tiffinfo={280: 0, 281: 100})


@bad(
    r"0.png and all 14 images with 16 bits a colour use less than half of that range, .*; convert the images to 8 bits"
)
def twelve_bits_in_sixteen_in_colour(root):
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        path.write_bytes(made.png16((np.arange(8 * 8 * 3).reshape(8, 8, 3) * 20 + number).astype(np.uint16)))


@bad(r"all 5 images of train/cat/ come out in one colour, with nothing to see; check their range, and `background`")
def a_class_of_black_images(root):
    for path in (root / "train" / "cat").iterdir():
        Image.new("RGB", (8, 8)).save(path)


@bad(r"all 2 images of test/dog/ come out in one colour")
def a_test_class_of_white_images(root):
    for path in (root / "test" / "dog").iterdir():
        Image.new("L", (8, 8), 255).save(path)


@bad(r"all 5 images of train/cat/ come out in one colour, .*`background` if they are transparent")
def white_ink_on_nothing(root):
    for path in (root / "train" / "cat").iterdir():
        ink = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
        ink.putpixel((3, 3), (255, 255, 255, 255))
        ink.save(path)


# --- archives


@bad(r"images.zip: neither a directory nor a readable .zip or .tar")
def no_archive(root):
    (root / "images.zip").write_bytes(b"PK garbage")
    return root / "images.zip"


@bad(r"images.tar: neither a directory nor a readable .zip or .tar \(")
def an_empty_archive(root):
    (root / "images.tar").write_bytes(b"")
    return root / "images.tar"


@bad(r"0.png: neither a directory nor a readable .zip or .tar")
def an_image_instead_of_a_folder(root):
    return root / "train" / "cat" / "0.png"


@bad(r"images.tar.gz: neither a directory nor a readable .zip or .tar")
def text_in_gzip(root):
    (root / "images.tar.gz").write_bytes(gzip.compress(b"no tar"))
    return root / "images.tar.gz"


@bad(r"images.zip: has no train/ folder")
def a_zip_of_nothing(root):
    with zipfile.ZipFile(root / "images.zip", "w"):
        pass
    return root / "images.zip"


@bad(r"images.zip: neither a directory nor a readable")
def half_a_zip(root):
    made.half(made.make_zip(root, root.parent / "images.zip"))
    return root.parent / "images.zip"


@bad(r"images.zip: .*.png cannot be read \(")
def a_zip_of_other_bytes(root):
    return made.flip(made.make_zip(root, root.parent / "images.zip"), 0.3)


@bad(r"images.zip: .*.png cannot be read \(")
def a_damaged_lzma_zip(root):
    return made.flip(made.make_zip(root, root.parent / "images.zip", zipfile.ZIP_LZMA), 0.3)


@bad(r"images.zip: .*.png cannot be read \(")
def a_damaged_bzip2_zip(root):
    return made.flip(made.make_zip(root, root.parent / "images.zip", zipfile.ZIP_BZIP2), 0.3)


@bad(r"train/dog/4.png cannot be read \(it is encrypted; pack it without a password\)")
def an_encrypted_zip(root):
    return made.zip_with(root, root.parent / "images.zip", flags=1)


@bad(r"train/dog/4.png cannot be read \(its compression, method 98, is unknown; pack it with deflate\)")
def a_zip_of_unknown_compression(root):
    return made.zip_with(root, root.parent / "images.zip", method=98)


@bad(r"train/dog/4.png cannot be read \(Bad CRC-32 for file")
def a_zip_of_a_wrong_checksum(root):
    return made.zip_with(root, root.parent / "images.zip", crc=1)


@bad(r"train/dog/4.png cannot be read \(it has 4,294,967,294 bytes, more than 536,870,912\)")
def a_zip_with_a_member_of_4_gigabytes(root):
    return made.zip_with(root, root.parent / "images.zip", size=2**32 - 2)


@bad(r"train/dog/4.png cannot be read \(it is a link; pack what it leads to, zip does so without -y\)")
def a_zip_with_a_link(root):
    return made.zip_link(root, root.parent / "images.zip")


@bad(r"images.tar: neither .* \(cut off or damaged after \d+ bytes: empty header\)")
def a_tar_cut_between_members(root):
    path = made.make_tar(root, root.parent / "images.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    return path


@bad(r"images.tar: neither .* \(cut off or damaged after \d+ bytes: truncated header\)")
def a_tar_cut_in_a_header(root):
    path = made.make_tar(root, root.parent / "images.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset + 100])
    return path


@bad(r"images.tar: neither .* \(cut off or damaged after \d+ bytes: bad checksum\)")
def a_tar_with_a_damaged_header(root):
    path = made.make_tar(root, root.parent / "images.tar")
    with tarfile.open(path) as archive:
        member = archive.getmembers()[5]
    content = bytearray(path.read_bytes())
    content[member.offset] ^= 0xFF
    path.write_bytes(content)
    return path


@bad(r"images.tar: neither .* \(unexpected end of data\)")
def a_tar_cut_in_a_member(root):
    path = made.make_tar(root, root.parent / "images.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + 10])
    return path


def cut(root: Path, suffix: str, pack: Callable[[bytes], bytes]) -> Path:
    content = pack(made.make_tar(root, root.parent / "images.tar").read_bytes())
    path = root.parent / f"images.tar.{suffix}"
    path.write_bytes(content[: len(content) // 2])
    return path


@bad(r"images.tar.gz: neither .* \(Compressed file ended before the end-of-stream marker was reached\)")
def half_a_tar_gz(root):
    return cut(root, "gz", gzip.compress)


@bad(r"images.tar.xz: neither .* \(Compressed file ended before")
def half_a_tar_xz(root):
    return cut(root, "xz", lzma.compress)


@bad(r"images.tar.bz2: neither a directory nor a readable")
def half_a_tar_bz2(root):
    return cut(root, "bz2", bz2.compress)


@bad(r"images.tar.xz: neither .* \(")
def a_damaged_tar_xz(root):
    return made.flip(made.make_tar(root, root.parent / "images.tar.xz", "w:xz"), 0.5)


@bad(r"images.tar.gz: neither .* \(")
def a_damaged_tar_gz(root):
    return made.flip(made.make_tar(root, root.parent / "images.tar.gz", "w:gz"), 0.5, 200)


def tar_with(root: Path, **member: object) -> Path:
    return made.make_tar(root, root.parent / "images.tar", extra=made.tar_member(**member))


@bad(r"train/cat/l.png cannot be read \(it is a link to missing.png, which the archive does not hold\)")
def a_tar_with_a_link_to_nothing(root):
    return tar_with(root, name="train/cat/l.png", kind=tarfile.SYMTYPE, target="missing.png")


@bad(r"train/cat/l.png cannot be read \(it is a link to /etc/passwd, which the archive does not hold\)")
def a_tar_with_a_link_to_the_outside(root):
    return tar_with(root, name="train/cat/l.png", kind=tarfile.SYMTYPE, target="/etc/passwd")


@bad(r"train/cat/l.png cannot be read \(it is a link to ../../../secret, which the archive does not hold\)")
def a_tar_with_a_link_upwards(root):
    return tar_with(root, name="train/cat/l.png", kind=tarfile.SYMTYPE, target="../../../secret")


@bad(r"train/cat/l.png cannot be read \(it is a link to itself\)")
def a_tar_with_a_link_to_itself(root):
    return tar_with(root, name="train/cat/l.png", kind=tarfile.SYMTYPE, target="l.png")


@bad(r"train/cat/l.png cannot be read \(it is a link to itself\)")
def a_tar_with_a_hard_link_to_itself(root):
    return tar_with(root, name="train/cat/l.png", kind=tarfile.LNKTYPE, target="train/cat/l.png")


@bad(r"train/bird cannot be read \(it is a link to a folder; pack what it leads to, tar does so with -h\)")
def a_tar_with_a_link_to_a_folder(root):
    members = {
        "folder": made.tar_member("train/cat", tarfile.DIRTYPE),
        "link": made.tar_member("train/bird", tarfile.SYMTYPE, "cat"),
    }
    return made.make_tar(root, root.parent / "images.tar", **members)


@bad(r"train/cat/p.png cannot be read \(it is no regular file\)")
def a_tar_with_a_pipe(root):
    return tar_with(root, name="train/cat/p.png", kind=tarfile.FIFOTYPE)


@bad(r"train/cat/d.png cannot be read \(it is no regular file\)")
def a_tar_with_a_device(root):
    return tar_with(root, name="train/cat/d.png", kind=tarfile.CHRTYPE)


@bad(r"images.tar: neither .* \(unexpected end of data\)")
def a_tar_with_a_member_of_8_gigabytes(root):
    return tar_with(root, name="train/cat/h.png", kind=tarfile.REGTYPE, size=2**33)


@bad(r"class folder \w+/a\\nb/: a name of a class")
def a_tar_with_a_class_of_two_lines(root):
    return tar_with(root, name="train/a\nb/0.png", kind=tarfile.REGTYPE)


@bad(r"train/0.png in no class")
def a_zip_with_an_image_beside_the_classes(root):
    made.picture(9).save(root / "train" / "0.png")
    return made.make_zip(root, root.parent / "images.zip")


def read(path: Path) -> None:
    read_images(dataset_settings("image_folder", path=str(path), image_size=8))


def test_there_are_enough_of_them():
    assert len(BAD) >= 60


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_one_line(tmp_path, name):
    spoil, expected = BAD[name]
    root = made.make_folder(tmp_path / "images")
    path = spoil(root) or root
    with pytest.raises(WinnowError, match=expected) as caught:
        read(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)
    assert images_digest(str(path)) != images_digest(str(made.make_folder(tmp_path / "good")))


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    root = made.make_folder(tmp_path / "images")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "dog":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(medium.os, "scandir", refuse)
    with pytest.raises(
        WinnowError,
        match=r"(train|test)/dog/ cannot be listed \(Permission denied\); give permission to read it, or remove it",
    ):
        read(root)
    assert images_digest(str(root))


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    root = made.make_folder(tmp_path / "images")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        WinnowError, match=r"(train|test)/cat/0.png cannot be read \(Permission denied\); replace or remove"
    ):
        read(root)


@pytest.mark.timeout(300)
def test_no_damage_of_an_archive_ends_in_anything_else(tmp_path):
    """Bytes are spoilt at 40 places of five kinds of archives: it is an error, or the same images."""
    root = made.make_folder(tmp_path / "images")
    archives = [
        made.make_zip(root, tmp_path / "images.zip"),
        made.make_zip(root, tmp_path / "lzma.zip", zipfile.ZIP_LZMA),
        *(made.make_tar(root, tmp_path / f"images.tar{kind}", f"w:{kind[1:]}") for kind in ("", ".gz", ".xz")),
    ]
    lines = []
    for path in archives:
        whole = path.read_bytes()
        for place in np.linspace(0, 0.999, 40):
            path.write_bytes(whole)
            made.flip(path, float(place), 3)
            try:
                read(path)
            except WinnowError as error:
                lines.append(str(error))
    assert len(lines) > 100
    assert all(line.isprintable() for line in lines)
