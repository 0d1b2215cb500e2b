"""Images that were once left out, or came out wrong: each layout and depth, with the pixels that are right."""

from __future__ import annotations

import logging
import shutil
import tarfile
import zipfile

import image_folders as made
import numpy as np
import pytest
from PIL import Image

from samples import dataset_settings, prepared, read_images


def read(path, channels=3, background="white"):
    settings = dataset_settings("image_folder", path=str(path), image_size=8, channels=channels, background=background)
    return read_images(settings)


def same(first, second) -> bool:
    return all(
        np.array_equal(one.pixels, two.pixels) and np.array_equal(one.labels, two.labels) and one.classes == two.classes
        for one, two in zip(first, second, strict=True)
    )


@pytest.fixture
def root(tmp_path):
    return made.make_folder(tmp_path / "images")


# --- which files


@pytest.mark.parametrize(
    "suffix", ["jfif", "jpe", "JPG", "avif", "webp", "jp2", "tga", "ico", "pnm", "apng", "dib", "qoi"]
)
def test_every_format_that_is_decoded_counts(root, suffix):
    made.every(root, lambda level: made.picture(level), f".{suffix}")
    train, test = read(root)
    assert len(train.labels) == 10
    assert len(test.labels) == 4
    levels = train.pixels.mean((1, 2, 3))
    assert levels[train.labels == 0].max() < 80 < 170 < levels[train.labels == 1].min()


def test_linked_images_and_folders_count(root, tmp_path):
    expected = read(root)
    (root / "train" / "dog").rename(tmp_path / "elsewhere")
    (root / "train" / "dog").symlink_to(tmp_path / "elsewhere")
    (root / "test" / "cat" / "0.png").rename(tmp_path / "one.png")
    (root / "test" / "cat" / "0.png").symlink_to(tmp_path / "one.png")
    assert same(read(root), expected)


def test_a_tar_with_links_gives_what_they_lead_to(root, tmp_path):
    expected = read(root)
    (root / "train" / "cat" / "0.png").rename(root / "one.png")
    (root / "train" / "cat" / "1.png").unlink()
    shutil.copy(root / "one.png", root / "train" / "cat" / "1.png")
    reference = made.picture(50)
    links = {
        "soft": made.tar_member("train/cat/0.png", tarfile.SYMTYPE, "../../one.png"),
        "hard": made.tar_member("train/cat/5.png", tarfile.LNKTYPE, "one.png"),
    }
    train, test = read(made.make_tar(root, tmp_path / "images.tar.gz", "w:gz", **links))
    assert len(train.labels) == 11
    assert np.array_equal(train.pixels[0], np.asarray(reference).transpose(2, 0, 1))
    assert np.array_equal(train.pixels[5], train.pixels[0])
    assert same([test], [expected[1]])


def test_a_zip_with_backslashes_and_a_prefix_is_read(root, tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in made.files_of(root).items():
            archive.writestr("pets\\" + name.replace("/", "\\"), content)
    assert same(read(path), read(root))


def test_of_two_members_with_one_name_the_last_counts(root, tmp_path):
    new = made.encoded(made.picture(120))
    expected = np.asarray(made.picture(120)).transpose(2, 0, 1)
    made.make_tar(root, tmp_path / "images.tar")
    (root / "train" / "cat" / "0.png").write_bytes(new)
    with tarfile.open(tmp_path / "images.tar", "a") as archive:
        archive.add(root / "train" / "cat" / "0.png", "train/cat/0.png")
    assert np.array_equal(read(tmp_path / "images.tar")[0].pixels[0], expected)


def test_folders_in_a_class_belong_to_it(root):
    (root / "train" / "cat" / "persian").mkdir()
    made.picture(55).save(root / "train" / "cat" / "persian" / "0.png")
    assert np.bincount(read(root)[0].labels).tolist() == [6, 5]


def test_a_class_may_be_called_train_or_test(root):
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "train")
        (root / split / "dog").rename(root / split / "test")
    assert read(root)[0].classes == ("test", "train")


def test_an_unlabelled_test_folder_beside_val_is_not_used(root, caplog):
    (root / "test").rename(root / "val")
    expected = read(root)
    (root / "test").mkdir()
    for number in range(3):
        made.picture(9).save(root / "test" / f"{number}.png")
    (root / "test" / "unknown").mkdir()
    made.picture(9).save(root / "test" / "unknown" / "0.png")
    with caplog.at_level(logging.INFO):
        assert same(read(root), expected)
    assert "val/ is the test split" in caplog.messages
    assert "ignored 4: image in test/, which is not used beside val/" in caplog.messages


def test_an_accent_composed_or_not_is_one_class(root):
    (root / "train" / "cat").rename(root / "train" / "\u00e9t\u00e9")
    (root / "test" / "cat").rename(root / "test" / "e\u0301te\u0301")
    train, test = read(root)
    assert train.classes == test.classes == ("dog", "\u00e9t\u00e9")
    assert np.bincount(train.labels).tolist() == [5, 5]


def test_what_is_found_used_and_ignored_is_logged_by_class(root, caplog):
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    (root / "train" / ".cache").mkdir()
    made.picture(9).save(root / "train" / ".cache" / "0.png")
    made.picture(9).save(root / "train" / "dog" / "._0.png")
    made.picture(9).save(root / "title.png")
    settings = dataset_settings("image_folder", path=str(root), image_size=8, max_train_samples=8)
    with caplog.at_level(logging.INFO):
        prepared(settings)
    assert caplog.messages == [
        f"image folder {root}: 14 images used, 4 files ignored",
        "ignored 1: image outside train/ and the test split",
        "ignored 2: its name, or that of a folder around it, begins with a dot or is __MACOSX",
        "ignored 1: no image by its suffix .txt, in train/cat/",
        "class cat: 5 training and 2 test images found; used: 3 to train, 1 to validate, 2 to test",
        "class dog: 5 training and 2 test images found; used: 3 to train, 1 to validate, 2 to test",
    ]


# --- which pixels


def ramp(top: int, level: int, kind=np.uint16) -> np.ndarray:
    """Return values [8, 8] from 0 to `top`, turned by `level` so that images differ."""
    return np.roll(np.linspace(0, top, 64).round().astype(kind), level).reshape(8, 8)


@pytest.mark.parametrize(
    ("suffix", "kind", "top"),
    [
        (".png", np.uint16, 65535),
        (".png", np.uint16, 4095),  # 12 bits in a file of 16
        (".png", np.uint16, 1023),
        (".tif", np.uint16, 65535),
        (".tif", np.uint16, 4095),
        (".pgm", np.uint16, 65535),
        (".tif", np.int32, 65535),
        (".tif", np.int32, 255),
        (".tif", np.int32, 2**31 - 1),
        (".tif", np.float32, 1),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_deep_pixels_keep_their_greys(root, suffix, kind, top, channels):
    unit = 63 if kind is np.float32 else 1
    made.every(root, lambda level: Image.fromarray((ramp(top * unit, level, kind) / unit).astype(kind)), suffix)
    train, _ = read(root, channels)
    assert train.pixels.shape == (10, channels, 8, 8)
    expected = np.round(ramp(top * unit, 50, np.float64) / unit * 255 / top)
    assert np.abs(train.pixels[0] - expected).max() <= 1
    assert len(np.unique(train.pixels[0])) == 64


def test_a_pgm_is_scaled_by_the_value_it_states(root):
    for path in sorted(root.rglob("*.png")):
        values = " ".join(map(str, ramp(1000, len(path.name)).ravel()))
        path.with_suffix(".pgm").write_text(f"P2 8 8 2000 {values}\n")
        path.unlink()
    assert read(root)[0].pixels.max() == round(255 / 2)


def test_a_tiff_is_scaled_by_the_range_it_states(root):
    made.every(root, lambda level: Image.fromarray(ramp(1000, level)), ".tif", tiffinfo={280: 0, 281: 2000})
    assert read(root)[0].pixels.max() == round(255 / 2)


def test_16_bits_a_colour_keep_their_upper_half(root):
    values = {}
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        values[path] = np.roll(np.linspace(0, 65535, 192).astype(np.uint16), number).reshape(8, 8, 3)
        path.write_bytes(made.png16(values[path]))
    first = values[root / "train" / "cat" / "0.png"]
    assert np.array_equal(read(root)[0].pixels[0], (first >> 8).transpose(2, 0, 1))


def inked(mode: str, ink: int) -> Image.Image:
    """Return an image whose drawing is in the alpha channel alone: one dot of ink, the same colour all around."""
    image = Image.new("RGBA", (8, 8), (ink, ink, ink, 0))
    image.putpixel((3, 2), (ink, ink, ink, 255))
    image.putpixel((4, 2), (ink, ink, ink, 128))
    return image.quantize(4) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("background", "ink"), [("white", 0), ("black", 255)])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_laid_over_the_background(root, mode, background, ink, channels):
    made.every(root, lambda _: inked(mode, ink), ".webp" if mode == "RGBA" else ".png", lossless=True, exact=True)
    pixels = read(root, channels, background)[0].pixels
    ground = 255 - ink
    assert (pixels[:, :, 2, 3] == ink).all()
    assert (abs(pixels[:, :, 2, 4].astype(int) - 127) <= 1).all()
    pixels[:, :, 2, 3:5] = ground
    assert (pixels == ground).all()


def test_a_colour_that_stands_for_nothing_is_transparent(root):
    made.every(root, lambda level: made.picture(level), ".png", transparency=(62, 62, 62))
    pixels = read(root)[0].pixels
    dark = np.asarray(made.picture(50)).transpose(2, 0, 1)
    assert np.array_equal(pixels[0], np.where(dark == 62, 255, dark))


def test_eight_bits_come_out_as_they_are(root):
    pixels = read(root)[0].pixels
    assert np.array_equal(pixels[0], np.asarray(made.picture(50)).transpose(2, 0, 1))


def test_images_of_one_colour_are_said(root, caplog):
    Image.new("RGB", (8, 8), "red").save(root / "train" / "cat" / "0.png")
    with caplog.at_level(logging.WARNING):
        read(root)
    assert caplog.messages == ["1 of 5 images of train/cat/ come out in one colour"]


def test_the_first_of_several_frames_is_used(root, caplog):
    first, second = made.picture(50, size=8), made.picture(200, size=8)
    (root / "train" / "cat" / "0.png").unlink()
    first.save(root / "train" / "cat" / "0.tif", save_all=True, append_images=[second])
    with caplog.at_level(logging.INFO):
        assert np.array_equal(read(root)[0].pixels[0], np.asarray(first).transpose(2, 0, 1))
    assert "1 images have several frames; the first is used" in caplog.messages


def test_the_same_images_give_the_same_bytes(root, tmp_path):
    settings = dataset_settings("image_folder", path=str(root), image_size=8)
    contents = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        prepared(settings, path)
        contents.add(path.read_bytes())
    assert len(contents) == 1
