"""How a network is trained."""

from __future__ import annotations

from typing import Annotated

from winnow.config.choices import ARITHMETIC, DEVICES, OPTIMIZERS, SCHEDULES
from winnow.config.keys.kinds import Flag, OneOf, Real, Whole
from winnow.config.keys.section import Section, key
from winnow.config.keys.text import Text

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
        "images per optimizer step; one image that would be left over joins the last batch", 128, example=256
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
    label_smoothing: Annotated[float, Real(at_least=0, below=1)] = key(
        "share of the target spread evenly over all classes", 0, example=0.1
    )
    crop_padding: Annotated[int, Whole(at_least=0, at_most=64, unit="pixels")] = key(
        "black border before a random crop of the image's own size; 0 for no crop", 4, example=2
    )
    flip: Annotated[bool, Flag()] = key("mirror images at random; off for digits and text", True, example=False)
    precision: Arithmetic = key("arithmetic of training", "auto", example="fp32")
    compile: Annotated[bool, Flag()] = key("`torch.compile`; pays off on GPUs and in long runs", False, example=True)
    device: Annotated[str, OneOf(DEVICES)] = key("where it runs", "auto", example="cuda")
    rewind_epochs: tuple[Epochs, ...] = key(
        "after which weights are kept (`rewind-epoch<n>.safetensors`), beside the initial ones", (), example=[2, 5]
    )
