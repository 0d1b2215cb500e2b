"""Preprocessing: the same bits as torchvision's transforms, the arithmetic of networks, classes in their order."""

import io
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from samples import colored_squares, dataset_settings, model_settings, normalization_settings, prepared, read_images
from winnow.config.choices import INTERPOLATIONS
from winnow.config.resolve import resolve
from winnow.config.settings import ImportSettings, NormalizationSettings
from winnow.data.batches import Normalizer, Split
from winnow.data.dataset import load_dataset, read_fitting
from winnow.data.decode import decode
from winnow.data.fitting import Fitting
from winnow.data.normalization import Normalization, normalization
from winnow.data.stated import stated
from winnow.errors import WinnowError
from winnow.models.build import build_model
from winnow.models.imported import remark_on_images
from winnow.report.blocks import Code
from winnow.report.feeding import feeding
from winnow.study.task import Task

SIZES = [(40, 30), (30, 40), (31, 47), (33, 33), (64, 20), (7, 90), (28, 28), (16, 24)]
PIPELINES = [
    ((32,), (28, 28)),
    ((32,), (32, 24)),
    ((20, 36), (20, 36)),
    ((20, 36), (15, 21)),
    ((33,), (28, 33)),
    (None, (28, 28)),
    (None, (33, 25)),
    ((24, 24), None),
]


def picture(width, height, mode="RGB", seed=0):
    random = np.random.default_rng(seed + 1000 * width + height)
    bands = {"RGB": 3, "L": 1, "RGBA": 4}[mode]
    pixels = random.integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def pipeline(resize, crop, interpolation):
    """The same in torchvision, as a user has it."""
    steps = []
    if resize:
        size = resize[0] if len(resize) == 1 else list(resize)
        steps.append(transforms.Resize(size, InterpolationMode(interpolation)))
    if crop:
        steps.append(transforms.CenterCrop(crop))
    return transforms.Compose([*steps, transforms.PILToTensor()])


def fitting(resize=None, crop=None, interpolation="bilinear", upright=False, background="dropped"):
    return Fitting(None, resize, crop, interpolation, upright, background)


def content(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("RGBA", 3)])
def test_resize_and_crop_are_torchvisions_to_the_bit(interpolation, mode, channels):
    for (resize, crop), (width, height), kind in product(PIPELINES, SIZES, ("PNG", "JPEG")):
        if kind == "JPEG" and mode == "RGBA":
            continue
        file = content(picture(width, height, mode), kind)
        image = Image.open(io.BytesIO(file)).convert("RGB" if channels == 3 else "L")  # as ImageFolder opens it
        expected = pipeline(resize, crop, interpolation)(image).numpy()
        found = decode(file, "it", fitting=fitting(resize, crop, interpolation), channels=channels)
        assert np.array_equal(found.pixels, expected), (resize, crop, width, height, kind)


@pytest.mark.parametrize("size", [400, 401])
def test_a_large_jpeg_is_decoded_at_its_full_scale(size):
    file = content(picture(size, size), "JPEG")
    expected = pipeline((32,), (28, 28), "bilinear")(Image.open(io.BytesIO(file)).convert("RGB")).numpy()
    assert np.array_equal(decode(file, "it", fitting=fitting((32,), (28, 28)), channels=3).pixels, expected)


def test_images_are_turned_as_their_exif_says_unless_they_shall_not():
    image, exif = picture(30, 20), Image.Exif()
    exif[0x0112] = 6
    file = content(image, "JPEG", exif=exif, quality=95)
    plain = decode(file, "it", fitting=fitting(crop=(20, 20)), channels=3).pixels
    turned = decode(file, "it", fitting=fitting(crop=(20, 20), upright=True), channels=3).pixels
    assert np.array_equal(turned, np.rot90(plain, -1, (1, 2)))


def test_an_image_size_may_have_two_sides():
    found = decode(content(picture(40, 40)), "it", fitting=Fitting((16, 24), None, None, "bicubic"), channels=3)
    assert found.pixels.shape == (3, 16, 24)
    data = prepared(dataset_settings("digits", image_size=[20, 12], max_train_samples=40, max_test_samples=20))
    assert (data.task.size, data.task.shape, data.test_images.shape) == ((20, 12), (3, 20, 12), (20, 3, 20, 12))


@pytest.mark.parametrize("name", ["lenet5", "lenet_300_100", "resnet20", "resnet18"])
def test_built_in_networks_take_images_of_two_sides(name):
    model = build_model(model_settings(name), Task.of((3, 20, 28), 10), seed=0)
    assert model(torch.zeros(2, 3, 20, 28)).shape == (2, 10)


def test_a_factory_gets_a_size_of_two_sides_as_such():
    model = build_model(model_settings("own", name=None, factory="test_preprocessing:flat"), Task(1, (4, 6), 3), seed=0)
    assert model[1].weight.shape == (3, 24)
    square = build_model(model_settings("own", name=None, factory="test_preprocessing:flat"), Task(1, 5, 3), seed=0)
    assert square[1].weight.shape == (3, 25)


def flat(channels, size, classes):
    height, width = size if isinstance(size, tuple) else (size, size)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * height * width, classes))


def test_every_source_can_be_resized_and_cropped_by_pillow():
    settings = dataset_settings("digits", resize=[40], crop=[32, 24], interpolation="bilinear", max_train_samples=40)
    (plain, _), (train, _) = read_images(dataset_settings("digits")), read_images(settings)
    expected = pipeline((40,), (32, 24), "bilinear")(Image.fromarray(plain.pixels[7].transpose(1, 2, 0)))
    assert np.array_equal(train.pixels[7], expected.numpy())


IMAGES = torch.randint(0, 256, (5, 3, 4, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def normalized(**settings):
    known = np.float32([0.1, 0.2, 0.3]), np.float32([0.4, 0.5, 0.6])
    rule = normalization(normalization_settings(**settings), *known, "data set d")
    images = Normalizer(rule, torch.device("cpu"))(IMAGES)
    np.testing.assert_array_equal(rule(IMAGES.numpy()), images.numpy(), strict=True)  # without torch, the same
    return images


def test_pixels_are_normalized_as_torchvision_does_it():
    expected = transforms.Normalize(MEAN, STD)(IMAGES / 255)
    torch.testing.assert_close(normalized(mean=MEAN, std=STD), expected)
    torch.testing.assert_close(normalized(mean=[0.5], std=[0.5]), IMAGES / 127.5 - 1)
    bgr = normalized(mean=[103.5, 116.3, 123.7], std=[1.0], value_range=255, channel_order="bgr")
    torch.testing.assert_close(bgr, IMAGES.flip(1).float() - torch.tensor([103.5, 116.3, 123.7])[:, None, None])


@pytest.mark.parametrize("value_range", [1, 255])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_without_numbers_the_data_decides_in_every_range_and_order(value_range, order):
    plain = normalized()
    expected = transforms.Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])(IMAGES / 255)
    torch.testing.assert_close(plain, expected)
    other = normalized(value_range=value_range, channel_order=order)
    torch.testing.assert_close(other, plain.flip(1) if order == "bgr" else plain)


def test_weights_of_torchvision_are_asked_before_the_data():
    name = "ResNet18_Weights.IMAGENET1K_V1"
    torch.testing.assert_close(normalized(stated_by=name), normalized(mean=MEAN, std=STD))
    bgr = normalized(stated_by=name, value_range=255, channel_order="bgr")
    torch.testing.assert_close(bgr, normalized(mean=MEAN, std=STD).flip(1))
    assert str(stated(name)) == "resize: 256, crop: 224, interpolation: bilinear"
    assert stated("EfficientNet_V2_L_Weights.IMAGENET1K_V1").mean == (0.5, 0.5, 0.5)
    grey = normalization(normalization_settings(stated_by=name), np.float32([0.1]), np.float32([0.4]), "d")
    assert grey.mean.tolist() == pytest.approx([0.1])


def test_images_of_another_size_than_the_weights_ask_for_are_remarked_on(caplog):
    name = "torchvision:ResNet50_Weights.IMAGENET1K_V2"
    settings = ImportSettings(label="net", entry="weights", weights=name, key=None, new_head=False)
    remark_on_images(settings, fitting((232,), (224, 224)))
    remark_on_images(replace(settings, weights="net.pth"), fitting())
    assert not caplog.messages
    remark_on_images(settings, fitting((256,), (224, 224)))
    assert caplog.messages == [
        "models.net.weights: torchvision scores ResNet50_Weights.IMAGENET1K_V2 on images with resize: 232, crop: 224, "
        "interpolation: bilinear; those of the data set come to their size otherwise"
    ]


def test_numbers_of_other_channels_are_refused(tmp_path):
    path = tmp_path / "digits.safetensors"
    prepared(dataset_settings("digits", channels=1, max_train_samples=40), path)
    with pytest.raises(WinnowError, match=r"data set images: mean and std have 3 numbers, its images 1 channels"):
        load_dataset(path, normalization_settings(mean=MEAN, std=STD))


def test_classes_have_the_order_that_is_asked_for(image_folder):
    settings = {"path": str(image_folder), "image_size": 8}
    plain, _ = read_images(dataset_settings("image_folder", **settings))
    other, _ = read_images(dataset_settings("image_folder", classes=["dog", "cat"], **settings))
    assert other.classes == ("dog", "cat")
    assert np.array_equal(other.labels, 1 - plain.labels)
    assert np.array_equal(other.pixels, plain.pixels)
    for names, line in (
        (["dog", "cats"], r"my images: has no class 'cats', which `classes` lists; did you mean 'cat'\?"),
        (["dog", "heron", "cat"], r"my images: has no class 'heron', which `classes` lists, but cat, dog"),
    ):
        with pytest.raises(WinnowError, match=line):
            read_images(dataset_settings("image_folder", classes=names, **settings))


def study(**dataset):
    config = {"study": "s", "datasets": {"d": {"source": "image_folder"} | dataset}, "models": {"resnet18": {}}}
    return resolve(config)


def test_a_file_names_the_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "labels.txt"
    file.write_text("dog\r\ncat\r\n", encoding="utf-8-sig", newline="")
    assert study(classes="labels.txt").datasets["d"]["classes"] == ["dog", "cat"]
    for text, line in (
        ("dog\n\ncat\n", r"labels.txt, line 2, is empty; write each class once, one a line"),
        ("dog\ncat\ndog\n", r"labels.txt, line 3, names dog again"),
        ("dog\n", r"labels.txt has 1 lines; write one class a line, at least two"),
    ):
        file.write_text(text)
        with pytest.raises(WinnowError, match=rf"^configuration: datasets.d.classes: {line}"):
            study(classes="labels.txt")
    file.write_bytes(b"dog\n\xff\n")
    with pytest.raises(WinnowError, match=r"labels.txt is no text in UTF-8"):
        study(classes="labels.txt")
    with pytest.raises(WinnowError, match=r"none.txt cannot be read \(No such file"):
        study(classes="none.txt")


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"resize": 256}, r"d.resize: 256 gives the shorter side only, .*add crop, or write \[256, 256\]"),
        ({"resize": 256, "crop": 300}, r"d.crop, 300 x 300, is larger than resize, 256, leaves; lower crop"),
        ({"resize": [9, 8], "crop": 9}, r"d.crop, 9 x 9, is larger than resize, 9 x 8, leaves; lower crop"),
        ({"image_size": 8, "crop": 8}, r"d has both image_size and crop, which each say what size .*; keep one"),
        ({"image_size": 8, "resize": [8, 8]}, r"d has both image_size and resize"),
        ({"image_size": [8]}, r"d.image_size: \[8\] is neither a number nor \[height, width\]"),
        ({"image_size": [8, 3]}, r"d.image_size: 3 is less than the minimum of 4"),
        ({"crop": 8, "interpolation": "box"}, r"d.interpolation has no effect here; remove it"),
        ({"crop": 8, "interpolation": "cubic"}, r"did you mean 'bicubic'\?"),
        ({"source": "digits", "classes": ["a", "b"]}, r"d.classes is for image_folder; digits has no such files"),
        ({"source": "digits", "upright": False}, r"d.upright is for image_folder"),
        ({"source": "digits", "background": "black"}, r"d.background is for image_folder"),
        ({"source": "mnist", "image_size": 8, "interpolation": "box"}, r"write resize in place of image_size"),
        ({"mean": 0.5}, r"d has mean alone of mean and std; give both, or none"),
        ({"mean": [0.5, 0.5], "std": 1}, r"d.mean has 2 numbers, and images have 3 channels; give one, or 3"),
        ({"mean": MEAN, "std": STD, "channels": 1}, r"d.std has 3 numbers, and images have one channel; give one"),
        ({"mean": [123.7], "std": 58}, r"d.mean is outside 0 to 1, the value_range; set value_range: 255"),
        ({"mean": 0.5, "std": 1, "value_range": 255}, r"d.mean is of pixels from 0 to 1, and value_range is 255"),
        ({"mean": 0.5, "std": 0}, r"d.std: 0 is less than or equal to the minimum of 0"),
        ({"channels": 1, "channel_order": "bgr"}, r"d.channel_order is bgr, and images have one channel; remove it"),
        ({"classes": ["a"]}, r"d.classes: \['a'\] is neither a list of at least two names nor a path"),
        ({"classes": ["a", "a"]}, r"d.classes lists 'a' more than once; list each class once"),
    ],
)
def test_keys_that_contradict_each_other_are_one_line(keys, line):
    with pytest.raises(WinnowError, match=line) as caught:
        study(**keys)
    assert all(text.startswith("configuration: datasets.d") for text in str(caught.value).splitlines())


def test_what_is_prepared_does_not_depend_on_the_arithmetic():
    plain = study(resize=40, crop=[32, 24])
    other = study(resize=40, crop=[32, 24], mean=0.5, std=0.25, value_range=1, channel_order="bgr")
    assert plain.definitions == other.definitions != study(resize=40, crop=[24, 32]).definitions
    assert NormalizationSettings.of(other.normalization["d"]["resnet18"]) == normalization_settings(
        mean=[0.5], std=[0.25], channel_order="bgr"
    )
    assert plain.datasets["d"]["interpolation"] == "bilinear"
    assert study().datasets["d"]["interpolation"] == "bicubic"


def test_a_prepared_data_set_says_how_its_images_came_to_their_size(image_folder, tmp_path):
    path = tmp_path / "pets.safetensors"
    settings = {"resize": [24], "crop": [20, 16], "interpolation": "bilinear", "background": "dropped"}
    data = prepared(dataset_settings("image_folder", path=str(image_folder), **settings), path)
    assert read_fitting(path) == data.fitting == fitting((24,), (20, 16), upright=True)
    assert data.task.size == (20, 16)


@pytest.mark.parametrize("given", [fitting((40,), (32, 24)), fitting(None, (20, 20), upright=True), None])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("value_range", [1, 255])
def test_the_code_of_a_model_card_gives_the_very_input(given, order, value_range, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = given or Fitting((24, 32), None, None, "bicubic", upright=True, background="white")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = content(picture(70, 50), "JPEG", exif=exif)
    (tmp_path / "image.jpg").write_bytes(file)
    mean, std = (np.float32(value_range * np.array(numbers)) for numbers in ([0.4, 0.5, 0.25], [0.25, 0.5, 0.125]))
    rule = Normalization(mean, std, value_range, order)
    pixels = decode(file, "it", fitting=own, channels=3).pixels
    metadata = {**rule.facts, "fitting": own.facts}
    codes = {
        name: block.text
        for name, baked_in in (("images", False), ("pixels", True))
        for block in feeding(name, ["batch", *pixels.shape], metadata, baked_in=baked_in)
        if isinstance(block, Code)
    }
    names = {}
    exec(codes["pixels"], names)
    assert names["pixels"].dtype == np.uint8
    assert np.array_equal(names["pixels"], pixels[None])
    exec(codes["images"], names)
    assert names["images"].dtype == np.float32
    np.testing.assert_allclose(names["images"], rule(pixels[None]), atol=2e-6)


def test_a_split_normalizes_as_its_data_set_says():
    data = colored_squares(8, 2)
    split = Split.of(data, "test", torch.device("cpu"))
    ((images, labels),) = split.batches(10)
    assert np.array_equal(images.numpy(), data.normalization(data.test_images.numpy()))
    assert torch.equal(labels, data.test_labels)
