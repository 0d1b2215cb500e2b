"""Every word of the domain, typed once, with what it means, how it looks and what is known of it.

The schema's choices, the guide, tables, figures, sentences and checks derive from here; a word that is not here raises
where it is looked up. What computes with a word is named by `module` and loaded by name, so that a new word changes
nothing that does not use it. A job is made again when the facts of its words change (`words.facts`), not their looks.
"""

from __future__ import annotations

from dataclasses import dataclass

from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.words import Words

KEYS = ("dataset", "model", "seed", "run", "recipe", "precision")
"""What identifies a network of a study, and in which numbers it computes: the first columns of every tidy table."""
AXES = ("criterion", "scope", "structure", "ratio", "rounds", "rewind", "shuffle")
"""What a pruning strategy is a combination of."""
DENSE = "dense"
"""The run that is not pruned."""
IMPORTED, INITIAL = "imported", "initial"
"""Weights from elsewhere, by the names of their files: to begin with, and what their training began with."""


@dataclass(frozen=True)
class Precision:
    """In which numbers a network computes, and how it came to them.

    Attributes:
        column: its name in the table of the study that Winnow repeats.
        trial: module with `tried`, of a method; see `winnow.check.trial`.
        color, marker, hatch, dashes: of its points, bars and lines; dashes are on, off, ..., in widths of the line.
        rule: makes its model.onnx; empty where it has none of its own.
        hint: with which OpenVINO computes the fp32 file in it (INFERENCE_PRECISION_HINT), where it has no own file.
        method: whether it is one of `quantization.methods`.
        static: the scales of activations are in the file, so that every runtime computes on integers.
        trained: by a training run of its own, whose history and record lie beside model.onnx.
        axes: of RECIPE_AXES, those that decide what comes of it; the others do not exist for it.
    """

    name: str
    meaning: str
    column: str
    color: str
    marker: str
    hatch: str = ""
    dashes: tuple[float, ...] = ()
    rule: str = ""
    method: bool = True
    static: bool = False
    trained: bool = False
    axes: tuple[str, ...] = ()
    trial: str = ""
    hint: str = ""

    @property
    def integers(self) -> bool:
        """Whether its file has integers to multiply."""
        return self.method and not self.hint


FP32, DYNAMIC, PTQ, QAT = "fp32", "dynamic", "ptq", "qat"
PRECISIONS = Words(
    "precision",
    Precision(
        name=FP32,
        meaning="32-bit floating point",
        column="base",
        rule="export",
        color="#4D4D4D",
        marker="o",
        method=False,
        trained=True,
    ),
    Precision(
        name="bf16",
        meaning="bfloat16, in which OpenVINO computes the fp32 file when it is told to",
        column="bf16",
        color="#CC79A7",
        marker="v",
        hatch="\\\\\\\\",
        dashes=(5, 1),
        trial="winnow.check.told",
        hint="bf16",
    ),
    Precision(
        name="fp16",
        meaning="16-bit floating point, in which OpenVINO computes the fp32 file when it is told to",
        column="fp16",
        color="#56B4E9",
        marker="P",
        hatch="++++",
        dashes=(3, 1, 1, 1, 1, 1),
        trial="winnow.check.told",
        hint="f16",
    ),
    Precision(
        name=DYNAMIC,
        meaning="int8 weights, activations scaled while running (dynamic quantization)",
        column="dynamic",
        rule="quantize_dynamic",
        color="#E69F00",
        marker="s",
        hatch="////",
        dashes=(4, 1.5),
        axes=("weights", "overflow"),
        trial="winnow.check.dynamic",
    ),
    Precision(
        name=PTQ,
        meaning="int8 weights and activations, calibrated after training (PTQ)",
        column="ptq",
        rule="calibrate",
        static=True,
        color="#0072B2",
        marker="^",
        hatch="....",
        dashes=(6, 1.5, 1, 1.5),
        axes=tuple(axis for axis in RECIPE_AXES if axis != "distill"),
        trial="winnow.check.static",
    ),
    Precision(
        name=QAT,
        meaning="int8 weights and activations, trained for it (QAT)",
        column="qat",
        rule="train_quantized",
        static=True,
        color="#009E73",
        marker="D",
        hatch="xxxx",
        dashes=(1, 1.5),
        trained=True,
        axes=("weight_bits", "activation_bits", "weights", "overflow", "distill", "multiplier"),
        trial="winnow.check.aware",
    ),
)
FP32_HINT = "f32"
METHODS = tuple(name for name, precision in PRECISIONS.items() if precision.method)
QUANTIZED = tuple(name for name, precision in PRECISIONS.items() if precision.integers)


@dataclass(frozen=True)
class Runtime:
    """What executes a network.

    Attributes:
        label: as its makers write it.
        module: with `load`; see `winnow.deploy.runtimes`.
        package: whose version is recorded.
        ships: runs model.onnx: every file is scored in it, and `recommend` can ask for it; else it runs the module.
        dynamic: has integer kernels for activations that are scaled while running.
        preferred: where a network is to be shipped if the configuration does not say.
    """

    name: str
    label: str
    module: str
    package: str
    ships: bool = True
    dynamic: bool = False
    preferred: bool = False

    def on_integers(self, precision: Precision) -> bool:
        """Whether it should compute a network of this precision on integers."""
        return precision.integers and (precision.static or self.dynamic)


RUNTIMES = Words(
    "runtime",
    Runtime(
        "onnxruntime", label="ONNX Runtime", module="winnow.deploy.onnx_runtime", package="onnxruntime", dynamic=True
    ),
    Runtime("openvino", label="OpenVINO", module="winnow.deploy.openvino_runtime", package="openvino", preferred=True),
    Runtime("torch", label="torch eager", module="winnow.deploy.torch_eager", package="torch", ships=False),
)
SCORED = tuple(name for name, runtime in RUNTIMES.items() if runtime.ships)
"""Runtimes that every file is scored in; the numbers of the first one are the network's."""


@dataclass(frozen=True)
class Criterion:
    """What says how much a weight matters.

    Attributes:
        meaning: after "removed by".
        module: with `score`; see `winnow.prune.criteria`.
        control: it knows nothing of the weights.
        magnitude: it is the size of the weights; single ones have one order in all of these.
        gradient: it takes gradients on calibration images.
        initial: it scores the initial weights.
    """

    name: str
    meaning: str
    module: str
    control: bool = False
    magnitude: bool = False
    gradient: bool = False
    initial: bool = False


CRITERIA = Words(
    "criterion",
    Criterion("l1", "smallest magnitude (l1)", "winnow.prune.magnitude", magnitude=True),
    Criterion("l2", "smallest norm (l2)", "winnow.prune.magnitude", magnitude=True),
    Criterion("taylor", "smallest effect on the loss (taylor)", "winnow.prune.sensitivity", gradient=True),
    Criterion(
        "snip",
        "smallest effect on the loss at initialization (snip)",
        "winnow.prune.sensitivity",
        gradient=True,
        initial=True,
    ),
    Criterion("random", "a random draw", "winnow.prune.random_draw", control=True),
)
MAGNITUDE = tuple(name for name, word in CRITERIA.items() if word.magnitude)


def criterion(name: str) -> Criterion:
    """Return a criterion by its name, or the user's own by its import path, `module:function`."""
    return Criterion(name, f"the smallest scores of {name}", "") if ":" in name else CRITERIA[name]


@dataclass(frozen=True)
class Structure:
    """What is removed at once.

    Attributes:
        action: as the subject of a sentence.
        unit: what sparsity counts, in sparsity.json; `units` in a sentence.
        narrow: what is removed is not in the file and not multiplied.
    """

    name: str
    action: str
    unit: str
    units: str
    narrow: bool


STRUCTURES = Words(
    "structure",
    Structure(
        name="unstructured", action="Setting single weights to zero", unit="weights", units="weights", narrow=False
    ),
    Structure(name="channels", action="Removing channels", unit="channels", units="output channels", narrow=True),
)
NARROW = tuple(name for name, structure in STRUCTURES.items() if structure.narrow)
