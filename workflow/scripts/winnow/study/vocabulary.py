"""Every word of the domain, typed once, with what it means, how it looks and what is known of it.

The schema's choices, the guide, tables, figures, sentences and checks derive from here; a word that is not here raises
where it is looked up. What computes with a word is named by `module` and loaded by name, so that a new word changes
nothing that does not use it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from winnow.errors import WinnowError

KEYS = ("dataset", "model", "seed", "run", "precision")
"""What identifies a network of a study: the first columns of every tidy table."""
AXES = ("criterion", "scope", "structure", "ratio", "rounds", "rewind", "shuffle")
"""What a pruning strategy is a combination of."""
DENSE = "dense"
"""The run that is not pruned."""


class _Word(Protocol):
    @property
    def name(self) -> str: ...


W = TypeVar("W", bound=_Word)


class Words(Mapping[str, W], Generic[W]):
    """Words of one kind by name, in the order in which they are shown."""

    def __init__(self, kind: str, *words: W):
        self.kind = kind
        self._words = {word.name: word for word in words}

    def __getitem__(self, name: str) -> W:
        """Return a word.

        Raises:
            WinnowError: there is none of this name.
        """
        if name not in self._words:
            near = difflib.get_close_matches(str(name), self._words, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._words)}"
            raise WinnowError(f"{name!r} is no {self.kind} ({hint})")
        return self._words[name]

    def __contains__(self, name: object) -> bool:
        return name in self._words

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._words)

    def __len__(self) -> int:
        return len(self._words)


@dataclass(frozen=True)
class Choice:
    """A value of a key that needs no more than its meaning."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Precision:
    """In which numbers a network computes, and how it came to them.

    Attributes:
        column: its name in the table of the study that Winnow repeats.
        rule: makes its model.onnx.
        color, marker, hatch, line: of its points, bars and lines.
        method: whether it is one of `quantization.methods`.
        static: the scales of activations are in the file, so that every runtime computes on integers.
        trained: by a training run of its own, whose history and record lie beside model.onnx.
    """

    name: str
    meaning: str
    column: str
    rule: str
    color: str
    marker: str
    hatch: str
    line: str | tuple[int, tuple[int, ...]]
    method: bool = True
    static: bool = True
    trained: bool = False


FP32 = "fp32"
PRECISIONS = Words(
    "precision",
    Precision(
        FP32,
        "32-bit floating point",
        "base",
        "export",
        "#4D4D4D",
        "o",
        "",
        "-",
        method=False,
        static=False,
        trained=True,
    ),
    Precision(
        "dynamic",
        "int8 weights, activations scaled while running (dynamic quantization)",
        "dynamic",
        "quantize_dynamic",
        "#E69F00",
        "s",
        "////",
        "--",
        static=False,
    ),
    Precision(
        "ptq",
        "int8 weights and activations, calibrated after training (PTQ)",
        "ptq",
        "calibrate",
        "#0072B2",
        "^",
        "....",
        "-.",
    ),
    Precision(
        "qat",
        "int8 weights and activations, trained for it (QAT)",
        "qat",
        "train_quantized",
        "#009E73",
        "D",
        "xxxx",
        ":",
        trained=True,
    ),
)
METHODS = tuple(name for name, precision in PRECISIONS.items() if precision.method)


@dataclass(frozen=True)
class Runtime:
    """What executes a network.

    Attributes:
        label: as its makers write it.
        module: with `load`; see `winnow.deploy.runtimes`.
        package: whose version is recorded.
        ships: runs model.onnx, so that every file is scored in it and it can be asked for in `recommend`; else it
            runs the trained module, for comparison.
    """

    name: str
    label: str
    module: str
    package: str
    ships: bool = True


RUNTIMES = Words(
    "runtime",
    Runtime("onnxruntime", "ONNX Runtime", "winnow.deploy.onnx_runtime", "onnxruntime"),
    Runtime("openvino", "OpenVINO", "winnow.deploy.openvino_runtime", "openvino"),
    Runtime("torch", "torch eager", "winnow.deploy.torch_eager", "torch", ships=False),
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
        gradient: it takes gradients on calibration images.
        initial: it scores the initial weights.
    """

    name: str
    meaning: str
    module: str
    control: bool = False
    gradient: bool = False
    initial: bool = False


CRITERIA = Words(
    "criterion",
    Criterion("l1", "smallest magnitude (l1)", "winnow.prune.magnitude"),
    Criterion("l2", "smallest norm (l2)", "winnow.prune.magnitude"),
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


def criterion(name: str) -> Criterion:
    """Return a criterion by its name, or the user's own by its import path, `module:function`."""
    return Criterion(name, f"the smallest scores of {name}", "") if ":" in name else CRITERIA[name]


@dataclass(frozen=True)
class Structure:
    """What is removed at once.

    Attributes:
        action: as the subject of a sentence.
        unit: what sparsity counts, in sparsity.json; `units` in a sentence.
        narrow: what is removed is gone from the file and not multiplied.
    """

    name: str
    action: str
    unit: str
    units: str
    narrow: bool


STRUCTURES = Words(
    "structure",
    Structure("unstructured", "Setting single weights to zero", "weights", "weights", narrow=False),
    Structure("channels", "Removing channels", "channels", "output channels", narrow=True),
)
SCOPES = Words(
    "scope",
    Choice("global", "all layers ranked together"),
    Choice("local", "the same share of each layer"),
)
REWINDS = Words(
    "rewind",
    Choice("none", "then fine-tuned"),
    Choice("lr", "then trained again with the whole schedule, weights kept"),
    Choice("init", "then rewound to the initial weights and trained again"),
    Choice("random", "then trained again from fresh weights"),
)
SHUFFLES = Words("shuffle", Choice("none", ""), Choice("layerwise", "what each layer loses is drawn at random"))


def rewinding(value: str) -> str:
    """Say what is trained after pruning, from the value of the axis; `epoch2` is a rewind point."""
    epoch = value.removeprefix("epoch")
    if epoch != value and epoch.isdigit():
        return f"then rewound to the weights after epoch {epoch}"
    return REWINDS[value].meaning


OBJECTIVES = Words(
    "objective",
    Choice("accuracy", "the smallest loss of accuracy"),
    Choice("size", "the smallest file"),
    Choice("latency", "the lowest latency"),
    Choice("energy", "the lowest energy"),
)
APPLY_TO = Words(
    "choice of apply_to",
    Choice("dense", "those not pruned"),
    Choice("last", "also the last round of every pruning strategy"),
    Choice("all", "every round"),
)
OPTIMIZERS = Words("optimizer", Choice("sgd", "SGD with Nesterov momentum"), Choice("adamw", "AdamW"))
SCHEDULES = Words(
    "schedule",
    Choice("one_cycle", "up to `lr` and down to nearly 0"),
    Choice("cosine", "down to 0"),
    Choice("multi_step", "drops at `milestones`"),
)
TUNING_SCHEDULES = Words("schedule", Choice("constant", "the same rate"), Choice("cosine", "down to 0"))
ARITHMETIC = Words(
    "precision of training",
    Choice("auto", "bf16 where the device multiplies it natively"),
    Choice(FP32, "32-bit floating point"),
    Choice("bf16", "bf16 autocast"),
)
DEVICES = Words(
    "device",
    Choice("auto", "takes a GPU where it finds one"),
    Choice("cpu", "never uses a GPU"),
    Choice("cuda", "asks the scheduler for a GPU"),
)
OBSERVERS = Words("observer", Choice("histogram", "least expected error"), Choice("minmax", "all that was seen"))
