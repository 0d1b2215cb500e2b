"""How a network is trained."""

from __future__ import annotations

from typing import Annotated

from winnow.config.choices import ARITHMETIC, DEVICES, OPTIMIZERS, POLICIES, SCHEDULES
from winnow.config.keys.kinds import Flag, OneOf, Real, Whole
from winnow.config.keys.section import Section, key
from winnow.config.keys.text import Text
from winnow.study.words import NONE

Epochs = Annotated[int, Whole(at_least=1, at_most=100_000, unit="epochs")]
Rate = Annotated[float, Real(above=0)]
Schedule = Annotated[str, OneOf(SCHEDULES)]
Warmup = Annotated[float, Real(at_least=0, unit="epochs")]
Milestones = tuple[Annotated[float, Real(above=0, unit="epochs")], ...]
Arithmetic = Annotated[str, OneOf(ARITHMETIC)]


class Training(Section):
    """One training run: optimizer, schedule, augmentation and arithmetic."""

    epochs: Annotated[int, Whole(at_least=0, at_most=100_000, unit="epochs")] = key(
        "passes over the training split; 0, only for a network with `weights`, takes it as it is", 50, example=15
    )
    batch_size: Annotated[int, Whole(at_least=1, at_most=1_000_000, unit="images")] = key(
        "images per optimizer step, at most; the batches of an epoch are equally large, give or take one image",
        128,
        example=256,
    )
    accumulate: Annotated[int, Whole(at_least=1, at_most=100_000, unit="parts")] = key(
        "in which the gradient of a step is computed and added up, to fit into memory: the same steps, but that batch "
        "norms see one part at a time",
        1,
        example=4,
    )
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = key("what takes the steps", "sgd", example="adamw")
    lr: Rate = key("peak learning rate", 0.1, example=0.001)
    head_lr: Annotated[float | None, Real(above=0)] = key(
        "peak learning rate of the last layer, for networks with `weights`; in this training run only",
        None,
        null="`lr`",
        example=0.01,
    )
    freeze: tuple[
        Annotated[str, Text("names of layers, of modules around them or of parameters; `*` stands for any")], ...
    ] = key(
        "what keeps its `weights`; frozen layers stay in inference mode, so that batch-norm statistics stay too; in "
        "this training run only",
        (),
        example=["conv1", "layer[12]"],
    )
    momentum: Annotated[float, Real(at_least=0, below=1)] = key("of `sgd`", 0.9, example=0.95)
    weight_decay: Annotated[float, Real(at_least=0)] = key(
        "L2 penalty (`sgd`) or decoupled decay (`adamw`)", 0.0005, example=0.05
    )
    decay_norm_and_bias: Annotated[bool, Flag()] = key(
        "whether decay also acts on batch-norm parameters and biases", False, example=True
    )
    schedule: Schedule = key("learning rate over time", "one_cycle", example="multi_step")
    warmup_epochs: Warmup = key("linear rise to `lr`; may be fractional", 5, example=0.5)
    milestones: Milestones = key("where `multi_step` multiplies the rate by `gamma`", (), example=[91, 136])
    gamma: Annotated[float, Real(above=0, below=1)] = key("factor of each drop", 0.1, example=0.2)
    clip_norm: Annotated[float | None, Real(above=0)] = key(
        "longest that the gradient of a step may be, all weights as one vector; a longer one is shortened",
        None,
        null="as long as it is",
        example=1.0,
    )
    ema_decay: Annotated[float | None, Real(above=0, below=1)] = key(
        "of an exponential moving average of the weights, which is what is validated and saved: what the average keeps "
        "in a step; after step n at most (1 + n) / (10 + n), so that the first ones do not last",
        None,
        null="the weights themselves",
        example=0.999,
    )
    label_smoothing: Annotated[float, Real(at_least=0, below=1)] = key(
        "share of the target spread evenly over all classes", 0, example=0.1
    )
    crop_padding: Annotated[int, Whole(at_least=0, at_most=64, unit="pixels")] = key(
        "black border before a random crop of the image's own size; 0 for no crop", 4, example=2
    )
    flip: Annotated[bool, Flag()] = key("mirror images at random; off for digits and text", True, example=False)
    resized_crop: Annotated[float | None, Real(above=0, at_most=1)] = key(
        "instead of the crop after padding, one of a random share of the image's area, from this one to all of it, and "
        "with sides from 3:4 to 4:3, resized to the image's own size",
        None,
        null="no such crop",
        example=0.25,
    )
    color_jitter: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "by which share brightness, contrast and saturation change at most, and by a quarter of it the hue",
        0,
        example=0.4,
    )
    policy: Annotated[str, OneOf(POLICIES)] = key(
        "what else changes each image, drawn from a list: turned, sheared, posterized, ...",
        NONE,
        example="trivialaugment",
    )
    erasing: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "share of the images of which a random rectangle, 2 to 33 % of the area, gets the mean colour", 0, example=0.25
    )
    mixup: Annotated[float, Real(at_least=0, at_most=100)] = key(
        "alpha of the Beta distribution that draws by how much the images of a batch, and their labels, are mixed with "
        "their neighbours (Zhang et al. 2018); 0 for none",
        0,
        example=0.2,
    )
    cutmix: Annotated[float, Real(at_least=0, at_most=100)] = key(
        "alpha of the same, of a rectangle pasted from the neighbour (Yun et al. 2019); with `mixup`, each batch gets "
        "one of the two",
        0,
        example=1.0,
    )
    precision: Arithmetic = key("arithmetic of training", "auto", example="fp32")
    compile: Annotated[bool, Flag()] = key("`torch.compile`; pays off on GPUs and in long runs", False, example=True)
    device: Annotated[str, OneOf(DEVICES)] = key("where it runs", "auto", example="cuda")
    rewind_epochs: tuple[Epochs, ...] = key(
        "after which weights are kept (`rewind-epoch<n>.safetensors`), beside the initial ones", (), example=[2, 5]
    )


class Distill(Section):
    """Learning from the logits of the dense network, beside the labels (Hinton et al. 2015)."""

    temperature: Annotated[float, Real(above=0, at_most=1000)] = key(
        "that logits are divided by before the answers of the two networks are compared", 4, example=2
    )
    weight: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "of this part of the loss; the labels have the rest. 0 is a training run without it", 0, example=0.5
    )
