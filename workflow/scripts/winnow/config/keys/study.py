"""The whole configuration: a study, its data sets and its networks."""

from __future__ import annotations

from typing import Annotated, Any

from winnow.config.catalog import CHANNELS_OF, DOWNLOADS, NETWORKS, SOURCES
from winnow.config.choices import BACKGROUNDS, CHANNEL_ORDERS, INTERPOLATIONS, SHORTCUTS, STEMS, VALUE_RANGES
from winnow.config.keys.arguments import PlainValues
from winnow.config.keys.export import Export
from winnow.config.keys.images import ClassOrder, Size
from winnow.config.keys.kinds import Flag, OneOf, Real, Whole
from winnow.config.keys.measurement import Benchmark, Recommend
from winnow.config.keys.pruning import Pruning
from winnow.config.keys.quantization import Qat, Quantization
from winnow.config.keys.section import OneOrMore, Section, key
from winnow.config.keys.text import IMPORT_PATH, OUTPUT, Text, name_beside
from winnow.config.keys.training import Training
from winnow.study.folders import BESIDE_DATASETS, BESIDE_STUDIES

StudyName = Annotated[str, name_beside(*BESIDE_STUDIES)]
DatasetName = Annotated[str, name_beside(*BESIDE_DATASETS)]
ModelName = Annotated[str, name_beside()]
Arguments = Annotated[dict[str, Any], PlainValues()]
_LARGEST_SEED = 2**32 - 1  # of numpy's global generator
_MOST_IMAGES = 10**9
AnySize = tuple[int, ...] | None
ByChannel = tuple[Annotated[float, Real()], ...] | None
ByChannelAboveZero = tuple[Annotated[float, Real(above=0)], ...] | None


class Dataset(Section):
    """Where images come from, and how they are split."""

    source: Annotated[str, OneOf(SOURCES)] = key("where the images come from", example="image_folder")
    path: Annotated[str, Text("a path")] = key(
        "`image_folder`: a directory, .zip or .tar with `train/CLASS/` and `test/CLASS/` (or `val/`); downloads: the "
        "folder they are kept in",
        DOWNLOADS,
        example="data/pets.zip",
    )
    image_size: Annotated[AnySize, Size()] = key(
        "what images are resized to; those of `image_folder` are first cropped to its shape around the centre",
        None,
        null="the source's, 32 for `image_folder`",
        example=64,
    )
    resize: Annotated[AnySize, Size("the shorter side", shorter=True)] = key(
        "with `crop`, in place of `image_size`: what images are resized to, as `transforms.Resize` of torchvision does",
        None,
        null="they are not",
        example=256,
    )
    crop: Annotated[AnySize, Size()] = key(
        "what is then cut out of the centre, as by `transforms.CenterCrop`", None, null="nothing is cut", example=224
    )
    interpolation: Annotated[str | None, OneOf(INTERPOLATIONS)] = key(
        "of `resize`, and of `image_size` for `image_folder`; antialiased, by Pillow",
        None,
        null="`bilinear` with `resize`, else `bicubic`",
        example="bicubic",
    )
    channels: Annotated[int | None, OneOf(CHANNELS_OF)] = key(
        "of the images", None, null="the source's, 3 for `image_folder`", example=1
    )
    background: Annotated[str, OneOf(BACKGROUNDS)] = key(
        "colour behind what is transparent in images of `image_folder`", "white", example="black"
    )
    upright: Annotated[bool, Flag()] = key(
        "whether images of `image_folder` are turned as their EXIF says; `datasets.ImageFolder` of torchvision leaves "
        "them as they are stored",
        True,
        example=False,
    )
    classes: Annotated[str | tuple[str, ...] | None, ClassOrder()] = key(
        "classes of `image_folder` in the order of the network's outputs",
        None,
        null="alphabetical",
        example=["dog", "cat"],
    )
    mean: Annotated[ByChannel, OneOrMore] = key(
        "what is subtracted from pixels in `value_range`: one number, or one for each channel in `channel_order`",
        None,
        null="what the network's `torchvision:` weights state, else that of the training split",
        example=[0.485, 0.456, 0.406],
    )
    std: Annotated[ByChannelAboveZero, OneOrMore] = key(
        "what the difference is divided by", None, null="as for `mean`", example=[0.229, 0.224, 0.225]
    )
    value_range: Annotated[int, OneOf(VALUE_RANGES)] = key("of pixels, before `mean` and `std`", 1, example=255)
    channel_order: Annotated[str, OneOf(CHANNEL_ORDERS)] = key(
        "in which networks get the channels", "rgb", example="bgr"
    )
    validation_fraction: Annotated[float, Real(above=0, below=1)] = key(
        "share of each class's training images set aside; selection uses it, training does not", 0.1, example=0.2
    )
    split_seed: Annotated[int, Whole(at_least=0, at_most=_LARGEST_SEED)] = key(
        "seed of that split and of the limits below; independent of `seeds`", 0, example=7
    )
    max_train_samples: Annotated[int | None, Whole(at_least=2, at_most=_MOST_IMAGES, unit="images")] = key(
        "at most so many training images (validation included), balanced over classes", None, null="all", example=2000
    )
    max_test_samples: Annotated[int | None, Whole(at_least=1, at_most=_MOST_IMAGES, unit="images")] = key(
        "at most so many test images, balanced over classes", None, null="all", example=500
    )


class Trained(Section):
    """What training took that was done elsewhere."""

    seconds: Annotated[float | None, Real(above=0, unit="s")] = key(
        "of the training that gave `weights`",
        None,
        null="not known: training times of what is made from them are empty",
        example=5400,
    )
    joules: Annotated[float | None, Real(above=0, unit="J")] = key(
        "of the same", None, null="not known: training energies are empty", example=1.2e6
    )


def _having(fact: str) -> str:
    """Return the built-in networks of which a fact is true, as a phrase."""
    *names, last = (f"`{name}`" for name, network in NETWORKS.items() if getattr(network, fact))
    return f"{', '.join(names)} and {last}"


class Model(Section):
    """A network: a built-in one, or your own; with fresh weights, or trained elsewhere."""

    name: Annotated[str | None, OneOf(NETWORKS)] = key(
        "a built-in network", None, null="the entry's own name", example="resnet18"
    )
    stem: Annotated[str, OneOf(STEMS)] = key(f"first layers of {_having('stems')}", "imagenet", example="cifar")
    shortcut: Annotated[str, OneOf(SHORTCUTS)] = key(
        f"shortcuts of {_having('shortcuts')} that change shape", "identity", example="projection"
    )
    factory: Annotated[str | None, IMPORT_PATH] = key(
        "your own network, looked up from the working directory; called as `function(channels=, size=, classes=, "
        "**arguments)`, returns a torch module",
        None,
        null="a built-in network",
        example="mine:small_net",
    )
    arguments: Arguments = key("further keyword arguments of `factory`", {}, example={"width": 32})
    output: Annotated[str | int | None, OUTPUT] = key(
        "which output of a `factory`'s network, if it has several, are the logits",
        None,
        null="the one named `logits`, else `out`, else the first",
        example="main",
    )
    weights: Annotated[str | None, Text("a path, or `torchvision:WEIGHTS`")] = key(
        "trained weights to begin with: a .safetensors, or what `torch.save` writes of a state dict (.pt, .pth), also "
        "within a checkpoint; or torchvision's own by their name there, downloaded on first use",
        None,
        null="fresh ones, trained here",
        example="torchvision:IMAGENET1K_V2",
    )
    weights_key: Annotated[str | None, Text("a key, `ema.module` for one within another")] = key(
        "where in a checkpoint the weights are, as those of a moving average",
        None,
        null="under `state_dict`, `model` or another usual name",
        example="model_ema",
    )
    new_head: Annotated[bool, Flag()] = key(
        "whether the last layer begins with fresh weights, as for other classes than those it was trained on",
        False,
        example=True,
    )
    initial_weights: Annotated[str | None, Text("a path")] = key(
        "what the training that gave `weights` began with, for `rewind: init` and `snip`",
        None,
        null="not known",
        example="data/init.pth",
    )
    trained: Trained = key("what the training that gave `weights` took", Trained(), example={"seconds": 5400})
    training: Training = key(
        "keys of `training` in which this network differs (all but `rewind_epochs`)", Training(), example={"lr": 0.02}
    )
    qat: Qat = key("keys of `quantization.qat` in which this network differs", Qat(), example={"epochs": 5})


class Configuration(Section):
    """One study: every network is trained on every data set with every seed, then quantized, scored and timed."""

    study: StudyName = key("name of the study; results land in `results/<study>/`", example="cifar")
    seeds: tuple[Annotated[int, Whole(at_least=0, at_most=_LARGEST_SEED)], ...] = key(
        "each gives its own initial weights, data order and augmentation", (0,), example=[0, 1, 2], at_least_one=True
    )
    datasets: dict[DatasetName, Dataset] = key("data sets, by the name used in paths and tables", at_least_one=True)
    models: dict[ModelName, Model] = key("networks, by the name used in paths and tables", at_least_one=True)
    training: Training = key("how every network is trained; a model's own `training` keys take precedence", Training())
    quantization: Quantization = key("which quantized forms of every network are made, and how", Quantization())
    pruning: Pruning | None = key("the grid of pruning strategies", None, null="nothing is pruned")
    export: Export = key("what the files that are scored, timed and shipped are like", Export())
    benchmark: Benchmark = key("how latency and energy of inference are measured", Benchmark())
    recommend: Recommend = key("which network of each data set and model is to be shipped", Recommend())
