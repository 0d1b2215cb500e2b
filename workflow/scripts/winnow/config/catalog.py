"""Facts of the built-in data sets and networks that are known before anything is read or built.

`module` holds what reads or builds it; it is loaded by name, so that a new one reruns nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from winnow.study.words import Words


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Attributes:
        module: with `read`; see `winnow.data.sources`.
        image_size: pixels of a side where the configuration names none.
        channels: of the images where the configuration names none.
        training_samples: images of the training split before validation images are set aside; None if only reading
            them tells.
        own_files: the user's own, which must exist before anything starts.
    """

    name: str
    meaning: str
    module: str
    image_size: int
    channels: int
    training_samples: int | None
    own_files: bool = False


DOWNLOADS = "data"
"""The folder that downloads are kept in where the configuration names none."""
TORCHVISION = "torchvision:"
"""Begins the name of weights that torchvision has."""
_SETS = "winnow.data.torchvision_sets"
CHANNELS_OF = {3: "RGB", 1: "grey"}
"""What images of so many channels are."""
SOURCES = Words(
    "source",
    Source("digits", "1,797 handwritten digits, embedded", "winnow.data.digits", 32, 3, 1437),
    Source("cifar10", "downloaded on first use", _SETS, 32, 3, 50_000),
    Source("cifar100", "downloaded on first use", _SETS, 32, 3, 50_000),
    Source("mnist", "downloaded on first use", _SETS, 28, 1, 60_000),
    Source("fashion_mnist", "downloaded on first use", _SETS, 28, 1, 60_000),
    Source("image_folder", "your own images", "winnow.data.image_folder", 32, 3, None, own_files=True),
)


@dataclass(frozen=True)
class Network:
    """A built-in network.

    Attributes:
        module: with `build`; see `winnow.models.build`.
        smallest_image: pixels of a side that it needs at least.
        weights: begins the names of torchvision's weights that fit it as torchvision has it; empty if none do.
        stems, shortcuts: whether it has these two forms.
    """

    name: str
    meaning: str
    module: str
    smallest_image: int = 1
    weights: str = ""
    stems: bool = False
    shortcuts: bool = False


def _torchvision(name: str, module: str, weights: str, smallest_image: int = 1) -> Network:
    return Network(name, "torchvision", f"winnow.models.torchvision_{module}", smallest_image, weights, stems=True)


_CIFAR_RESNET, _LENET = (f"winnow.models.{name}" for name in ("cifar_resnet", "lenet"))
NETWORKS = Words(
    "built-in network",
    _torchvision("resnet18", "resnet", "ResNet18_Weights"),
    _torchvision("resnet34", "resnet", "ResNet34_Weights"),
    _torchvision("resnet50", "resnet", "ResNet50_Weights"),
    _torchvision("mobilenet_v2", "mobilenet", "MobileNet_V2_Weights"),
    _torchvision("mobilenet_v3_small", "mobilenet_v3", "MobileNet_V3_Small_Weights"),
    _torchvision("efficientnet_b0", "efficientnet", "EfficientNet_B0_Weights"),
    _torchvision("shufflenet_v2_x1_0", "shufflenet", "ShuffleNet_V2_X1_0_Weights"),
    _torchvision("densenet121", "densenet", "DenseNet121_Weights", smallest_image=29),
    _torchvision("convnext_tiny", "convnext", "ConvNeXt_Tiny_Weights", smallest_image=32),
    Network("vit_tiny", "torchvision, as wide as DeiT-Tiny", "winnow.models.torchvision_vit", smallest_image=16),
    Network("vgg16_bn", "torchvision, in the form for CIFAR", "winnow.models.torchvision_vgg", smallest_image=32),
    Network("resnet20", "He et al. 2016, section 4.2", _CIFAR_RESNET, shortcuts=True),
    Network("resnet56", "He et al. 2016, section 4.2", _CIFAR_RESNET, shortcuts=True),
    Network("lenet_300_100", "fully connected, as in Han et al. 2015", _LENET),
    Network("lenet5", "as in Han et al. 2015", _LENET, smallest_image=16),
)
