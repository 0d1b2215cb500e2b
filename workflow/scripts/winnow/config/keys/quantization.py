"""Which quantized forms are made, and how."""

from __future__ import annotations

from typing import Annotated, Any

from winnow.config.choices import APPLY_TO
from winnow.config.keys.kinds import Flag, OneOf, Real, Whole
from winnow.config.keys.multipliers import Circuit
from winnow.config.keys.section import OneOrMore, Section, key
from winnow.config.keys.training import Arithmetic, Distill, Epochs, Milestones, Rate, Schedule, Warmup
from winnow.study.multipliers import OwnMultiplier
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import (
    AUTO,
    CANDIDATES,
    CIRCUIT_ERRORS,
    CORRECTIONS,
    FULL_BITS,
    GRANULARITIES,
    OBSERVERS,
    OVERFLOWS,
    ROUNDINGS,
)
from winnow.study.recipes import expand, plain, slug
from winnow.study.vocabulary import METHODS, PRECISIONS, PTQ, QUANTIZED

Method = Annotated[str, OneOf({name: PRECISIONS[name] for name in METHODS})]
Observer = Annotated[str, OneOf(OBSERVERS)]
Samples = Annotated[int, Whole(at_least=2, at_most=1_000_000, unit="images")]
WeightBits = Annotated[int, Whole(at_least=2, at_most=FULL_BITS, unit="bits")]
ActivationBits = Annotated[int, Whole(at_least=4, at_most=FULL_BITS, unit="bits")]
Granularity = Annotated[str, OneOf(GRANULARITIES)]
Correction = Annotated[str, OneOf(CORRECTIONS)]
Rounding = Annotated[str, OneOf(ROUNDINGS)]
KeepFloat = Annotated[
    int | str,
    OneOf(
        {AUTO: "the fewest with which `recommend.max_accuracy_drop` is kept"},
        Whole(at_least=0, at_most=10_000, unit="layers"),
    ),
]
Overflow = Annotated[str, OneOf(OVERFLOWS)]
Multiplier = Annotated[OwnMultiplier | str, Circuit()]
Candidate = Annotated[OwnMultiplier | str, Circuit(candidate=True)]
CircuitError = Annotated[str, OneOf(CIRCUIT_ERRORS)]
DistillWeight = Annotated[float, Real(at_least=0, at_most=1)]


class Entry(Section):
    """Every combination of the values is a recipe; an axis that is not named keeps its default."""

    method: Annotated[tuple[Method, ...], OneOrMore] = key(
        "how it is quantized; axes that a method does not use are dropped for it",
        example=["ptq", "qat"],
        at_least_one=True,
    )
    observer: Annotated[tuple[Observer, ...] | None, OneOrMore] = key(
        "how activation ranges are chosen; `ptq`",
        None,
        null="`ptq.observer`",
        example=["histogram", "percentile"],
        at_least_one=True,
    )
    calibration_samples: Annotated[tuple[Samples, ...] | None, OneOrMore] = key(
        "training images, without augmentation, that ranges are observed on; `ptq`",
        None,
        null="`ptq.calibration_samples`",
        example=[256, 1024],
        at_least_one=True,
    )
    weight_bits: Annotated[tuple[WeightBits, ...] | None, OneOrMore] = key(
        "of weights; fewer than 8 are fewer levels of int8: their accuracy is real, their latency that of int8",
        None,
        null="8",
        example=[8, 6, 4],
        at_least_one=True,
    )
    activation_bits: Annotated[tuple[ActivationBits, ...] | None, OneOrMore] = key(
        "of what flows between layers, likewise", None, null="8", example=[8, 6], at_least_one=True
    )
    weights: Annotated[tuple[Granularity, ...] | None, OneOrMore] = key(
        "what weights share a scale", None, null="`per_channel`", example=["per_tensor"], at_least_one=True
    )
    correction: Annotated[tuple[Correction, ...] | None, OneOrMore] = key(
        "what makes up for errors of rounding; `ptq`", None, null="`none`", example=["none", "bias"], at_least_one=True
    )
    rounding: Annotated[tuple[Rounding, ...] | None, OneOrMore] = key(
        "of weights; `ptq`", None, null="`nearest`", example=["adaround"], at_least_one=True
    )
    keep_float: Annotated[tuple[KeepFloat, ...] | None, OneOrMore] = key(
        "number of layers that stay in float, those that hurt most; `ptq`",
        None,
        null="0",
        example=[0, 2],
        at_least_one=True,
    )
    overflow: Annotated[tuple[Overflow, ...] | None, OneOrMore] = key(
        "whether sums of products may exceed 16 bits, which processors without VNNI cut off",
        None,
        null="`fast`",
        example=["safe"],
        at_least_one=True,
    )

    distill: Annotated[tuple[DistillWeight, ...] | None, OneOrMore] = key(
        "weight of the dense network's answers in the loss, at the temperature of `qat.distill`; `qat`",
        None,
        null="`qat.distill.weight`, or that of the network's own `qat`",
        example=[0, 0.5],
        at_least_one=True,
    )

    multiplier: Annotated[tuple[Multiplier, ...] | None, OneOrMore] = key(
        "circuit that multiplies the integers of convolutions and linears, simulated exactly; no processor here has "
        "any but the exact one, so that latency, energy and size of such networks stay empty, and one is shipped only "
        "with `recommend.target: accelerator`; `ptq` and `qat`",
        None,
        null="`exact`",
        example=["exact", "bam-2-2-0", "auto"],
        at_least_one=True,
    )
    circuit_error: Annotated[tuple[CircuitError, ...] | None, OneOrMore] = key(
        "what is done about the mean error of the multiplier, measured on calibration images; `ptq`",
        None,
        null="`corrected`",
        example=["corrected", "left"],
        at_least_one=True,
    )

    def chosen(self) -> dict[str, tuple[Any, ...]]:
        """Return the method and the axes that are named, with their values, as `winnow.study.recipes` takes them."""
        return {name: values for name in type(self).model_fields if (values := getattr(self, name)) is not None}


class Ptq(Section):
    """Post-training static quantization."""

    observer: Observer = key("how activation ranges are chosen", "histogram", example="minmax")
    calibration_samples: Samples = key(
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

    methods: tuple[Method, ...] | None = key(
        "forms of every network, one of each. `bf16` and `fp16` make no file: OpenVINO is told to compute the fp32 "
        "file in them. Where the processor lacks them nothing is measured, and the report says so",
        None,
        null="`[dynamic, ptq, qat]`; none where `recipes` has some",
        example=["bf16", "ptq"],
    )
    recipes: tuple[Entry, ...] = key(
        "further quantized forms: every combination of the values of an entry",
        (),
        example=[{"method": "ptq", "observer": ["minmax", "histogram"]}, {"method": ["ptq", "qat"], "weight_bits": 4}],
    )
    sensitivity: Annotated[bool, Flag()] = key(
        "whether a job for each dense network finds which of its layers calibration hurts: each alone on integers, and "
        "each alone in float; and how long each takes in the runtime of `recommend`",
        False,
        example=True,
    )
    multipliers: tuple[Candidate, ...] = key(
        "circuits, beside the exact one, that layers are given by `multiplier: auto`",
        CANDIDATES,
        example=["bam-1-1-0", "bam-3-0-0"],
        at_least_one=True,
    )
    drop_before_training: Annotated[float, Real(at_least=0, at_most=100, unit="percentage points")] = key(
        "largest loss of validation accuracy of the calibrated network, against the float one, with `multiplier: auto` "
        "on `qat`: training through the circuits that are chosen so wins most of it back. `ptq` keeps "
        "`recommend.max_accuracy_drop`",
        30,
        example=20,
    )
    apply_to: Annotated[str, OneOf(APPLY_TO)] = key("which networks are quantized", "dense", example="last")
    min_integer_macs: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "least share of the multiply-accumulates of a quantized network that must run on integers, in ONNX Runtime "
        "and, but for `dynamic`, in OpenVINO; less is an error that names what stays in float, and why. A recipe with "
        "`keep_float` need not",
        0.9,
        example=1.0,
    )
    min_sqnr_db: Annotated[float, Real(unit="dB")] = key(
        "least signal-to-quantization-noise ratio of the logits on the validation split, against the same weights in "
        "float; less is an error that names the layer where it begins, but for recipes of fewer than 8 bits",
        6,
        example=10,
    )
    min_agreement: Annotated[float, Real(at_least=0, at_most=1)] = key(
        "least share of validation images that get the class which the same weights in float give them; images count "
        "whose first logit leads the second by a tenth of the logits' standard deviation; less is an error "
        "likewise",
        0.8,
        example=0.95,
    )
    ptq: Ptq = key("post-training static quantization: what a recipe has that does not name it", Ptq())
    qat: Qat = key("quantization-aware training", Qat(), example={"epochs": 3})

    @property
    def forms(self) -> tuple[str, ...]:
        """Return the methods that are made in one form each."""
        return self.methods if self.methods is not None else () if self.recipes else QUANTIZED

    @property
    def default(self) -> Recipe:
        """Return what an axis has that a recipe does not name; its method stands for none."""
        return Recipe(PTQ, **self.ptq.model_dump(), distill=self.qat.distill.weight)

    def grid(self) -> dict[str, Recipe]:
        """Return every recipe by its slug."""
        entries = [{"method": [method]} for method in self.forms]
        return expand([*entries, *(entry.chosen() for entry in self.recipes)], self.default)

    def probed(self) -> dict[str, Recipe]:
        """Return by slug the recipes of which it is measured what each layer loses: of those that leave layers in
        float, what they are without; if it is asked for, the first that calibrates."""
        grid = self.grid().values()
        asked = [recipe for recipe in grid if recipe.keep_float]
        if self.sensitivity:
            asked += [recipe for recipe in (*grid, plain(PTQ, self.default)) if recipe.method == PTQ][:1]
        bases = [recipe.unspared for recipe in asked]
        return {slug(base, self.default): base for base in bases}
