"""Which quantized forms are made, and how."""

from __future__ import annotations

from typing import Annotated

from winnow.config.choices import APPLY_TO, OBSERVERS
from winnow.config.keys.kinds import OneOf, Real, Whole
from winnow.config.keys.section import Section, key
from winnow.config.keys.training import Arithmetic, Distill, Epochs, Milestones, Rate, Schedule, Warmup
from winnow.study.vocabulary import METHODS, PRECISIONS


class Ptq(Section):
    """Post-training static quantization."""

    observer: Annotated[str, OneOf(OBSERVERS)] = key("how activation ranges are chosen", "histogram", example="minmax")
    calibration_samples: Annotated[int, Whole(at_least=2, at_most=1_000_000, unit="images")] = key(
        "training images, without augmentation, that ranges are observed on", 1024, example=256
    )


class Qat(Section):
    """Quantization-aware training; what has no key here is as in the base training."""

    epochs: Epochs = key("passes over the training split with fake quantizers", 10, example=3)
    lr: Rate = key("peak learning rate; about a hundredth to a tenth of the base training's", 0.005, example=0.002)
    schedule: Schedule = key("as in `training`", "cosine", example="one_cycle")
    warmup_epochs: Warmup = key("as in `training`", 0, example=0.5)
    milestones: Milestones = key("as in `training`", (), example=[5, 8])
    precision: Arithmetic = key("as in `training`; `fp32` keeps the fake quantizers exact", "fp32", example="auto")
    freeze_observers_epoch: Annotated[int | None, Whole(at_least=2, at_most=100_000, unit="epoch")] = key(
        "from which on, counted from 1, activation ranges stay", None, null="after the first half", example=3
    )
    freeze_batchnorm_epoch: Annotated[int | None, Whole(at_least=1, at_most=100_000, unit="epoch")] = key(
        "from which on, counted from 1, batch-norm statistics stay", None, null="after two thirds", example=4
    )
    distill: Distill = key("what is learned from the dense network", Distill(), example={"weight": 0.5})


class Quantization(Section):
    """Which quantized forms of every network are made, how, and what they must reach."""

    methods: tuple[Annotated[str, OneOf({name: PRECISIONS[name] for name in METHODS})], ...] = key(
        "quantized forms", METHODS, example=["ptq"]
    )
    apply_to: Annotated[str, OneOf(APPLY_TO)] = key("which networks are quantized", "dense", example="last")
    min_integer_macs: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "least share of the multiply-accumulates of a quantized network that must run on integers, in ONNX Runtime "
        "and, but for `dynamic`, in OpenVINO; less is an error that names what stays in float, and why",
        0.9,
        example=1.0,
    )
    min_sqnr_db: Annotated[float, Real(unit="dB")] = key(
        "least signal-to-quantization-noise ratio of the logits on the validation split, against the same weights in "
        "float; less is an error that names the layer where it begins",
        6,
        example=10,
    )
    min_agreement: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "least share of validation images that get the class which the same weights in float give them; images count "
        "whose first logit leads the second by a tenth of the logits' standard deviation",
        0.8,
        example=0.95,
    )
    ptq: Ptq = key("post-training static quantization", Ptq())
    qat: Qat = key("quantization-aware training", Qat(), example={"epochs": 3})
