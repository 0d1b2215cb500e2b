"""Results of studies that were never run: files as the workflow writes them, with numbers from a formula."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

import records
from winnow.config.resolve import resolve
from winnow.data.fitting import Fitting
from winnow.figures.catalog import figure_names
from winnow.figures.draw import Tables
from winnow.results.collect import collect
from winnow.results.tidy import collect_confusion, collect_histories, collect_layers
from winnow.study.artifacts import Network, networks
from winnow.study.quality import InRuntime, LayerNoise, Quality, RuntimeCoverage, Sizes
from winnow.study.recipe import Recipe
from winnow.study.recipes import precisions
from winnow.study.saturation import SaturatingLayer
from winnow.study.sparsity import Group, LeftAlone, Sparsity
from winnow.study.speed import Timing
from winnow.study.vocabulary import KEYS, PRECISIONS, RUNTIMES, SCORED

FED = {"mean": [0.5], "std": [0.25], "value_range": 1, "channel_order": "rgb"}
FED["fitting"] = Fitting((2, 2), None, None, "bicubic", upright=True, background="white").facts
"""What a file says of how it is fed."""
NO_HINT = InRuntime(runs=False, agrees=False, reason="it computes a float file in fp32 only")
"""What ONNX Runtime makes of a precision that runtimes are told to compute in."""
CLASSES = [f"class {letter}" for letter in "abcd"]
LAYERS = ["conv1", "conv2", "fc"]
GRID = {
    "criterion": ["l1", "random"],
    "structure": ["unstructured", "channels"],
    "ratio": [0.5, 0.8, 0.9],
    "rounds": [1, 3],
    "rewind": ["init", 2],
    "exclude": [{"structure": "channels", "rounds": 3}, {"criterion": "random", "rounds": 3}],
}
_GROUPS = (Group("conv1", ("conv1", "conv2"), width=8, kept=1), Group("conv3", ("conv3",), width=16, kept=2))
_BITS = {"fp32": 4.0, "bf16": 4.0, "fp16": 4.0, "dynamic": 1.05, "ptq": 1.0, "qat": 1.0}
_LOSS = {"fp32": 0.0, "bf16": 0.0005, "fp16": 0.0001, "dynamic": 0.004, "ptq": 0.012, "qat": 0.002}
_SPEED = {"fp32": 1.0, "bf16": 0.5, "fp16": 0.5, "dynamic": 1.6, "ptq": 0.4, "qat": 0.4}


def configuration(**changes) -> dict[str, Any]:
    """Return a valid configuration: three seeds, every quantization, a pruning grid."""
    config = {
        "study": "made-up",
        "seeds": [0, 1, 2],
        "datasets": {"shapes": {"source": "digits"}},
        "models": {"lenet5": {}},
        "training": {"epochs": 5, "warmup_epochs": 1},
        "quantization": {"apply_to": "last"},
        "pruning": GRID,
        "benchmark": {"runtimes": ["onnxruntime", "openvino", "torch"], "batch_sizes": [1, 64]},
    }
    return {key: value for key, value in (config | changes).items() if value is not None}


def write_study(
    root: Path, config: Mapping[str, Any], without: Callable[[Network], bool] = lambda _: False
) -> dict[str, Any]:
    """Write every file of a study but those of networks that are `without`; return the resolved study."""
    study = resolve(config).reported()
    folder = root / "results" / study["study"]
    for name in study["datasets"]:
        _write_dataset(root / "results" / "data" / f"{name}.safetensors", name)
    for network in networks(study):
        if not without(network):
            _write_network(folder, study, network)
    return study


def files(root: Path, study: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Return the files of a study that exist, by the names of the inputs of `collect`."""
    folder = root / "results" / study["study"]
    everything = list(networks(study))
    return {
        "quality": [path for n in everything if (path := folder / n.folder / "quality.json").exists()],
        "speed": [path for n in everything if (path := folder / n.folder / "speed.json").exists()],
        "history": [path for n in everything if n.history and (path := folder / n.history).exists()],
        "data": sorted((root / "results" / "data").glob("*.safetensors")),
    }


def tables(root: Path, study: Mapping[str, Any]) -> Tables:
    """Return what `collect` makes of a study."""
    found = files(root, study)
    return Tables(
        collect(found["quality"], found["speed"], {}),
        collect_layers(found["quality"]),
        collect_confusion(found["quality"], found["data"]),
        collect_histories(found["history"], root / "results" / study["study"], precisions(study["recipes"])),
    )


def _write_dataset(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"name": name, "classes": json.dumps(CLASSES), "definition": "made up"}
    save_file({"mean": torch.zeros(1)}, path, metadata)


def _write_network(folder: Path, study: Mapping[str, Any], network: Network) -> None:
    target = folder / network.folder
    target.mkdir(parents=True)
    random = np.random.default_rng(abs(hash_of(network)))
    pruning = None if network.run == "dense" else _pruning(study, network.run)
    identity = {key: getattr(network, key) for key in KEYS}
    quality = _quality(study, identity, pruning, random)
    quality.write(target / "quality.json")
    timings = _timings(study, network.precision, pruning, random)
    records.speed(*timings, computation=network.folder, **identity).write(target / "speed.json")
    if network.history:
        (folder / network.history).parent.mkdir(parents=True, exist_ok=True)
        (folder / network.history).write_text(_history(study["training"][network.model]["epochs"]))
        quality.training.write((folder / network.history).with_name("training.json"))
    onnx.save(_graph(), folder / network.file)


def hash_of(network: Network) -> int:
    """Return a number that is the same in every process."""
    return sum(ord(letter) * (position + 1) for position, letter in enumerate(f"{network.folder}"))


def _pruning(study: Mapping[str, Any], run: str) -> Sparsity:
    slug, _, number = run.partition("/round")
    axes = dict(study["strategies"][slug])
    removed = 1 - (1 - axes["ratio"]) ** (int(number) / axes["rounds"])
    layers = tuple(
        records.layer_sparsity(
            name, removed if axes["scope"] == "local" else min(0.999, removed * (0.6 + 0.2 * position))
        )
        for position, name in enumerate(LAYERS)
    )
    pruning = records.sparsity(slug, int(number), axes, removed, layers=layers)
    if axes["structure"] != "channels":
        return pruning
    whole = replace(pruning.whole_network, sparsity=1 - (1 - removed) ** 2)
    left_alone = (LeftAlone("fc", "the classifier"),)
    return replace(pruning, unit="channels", whole_network=whole, groups=_GROUPS, left_alone=left_alone)


def _quality(
    study: Mapping[str, Any], identity: dict[str, Any], pruning: Sparsity | None, random: np.random.Generator
) -> Quality:
    precision, seed, word = identity["precision"], identity["seed"], PRECISIONS[identity["precision"]]
    recipe = None if precision == "fp32" else Recipe(**study["recipes"][identity["recipe"]])
    lost = _LOSS[precision] * (1 + 8 - recipe.weight_bits if recipe else 1)
    top1, kept = 0.95 - lost + 0.004 * random.standard_normal(), 1.0
    if pruning:
        axes, kept = pruning.axes, 1 - pruning.whole_network.sparsity
        harm = {"l1": 0.06, "random": 0.2}[axes["criterion"]] * (0.6 if axes["rewind"] != "init" else 1)
        top1 -= harm * pruning.achieved**6 * (0.7 if axes["rounds"] > 1 else 1)
    narrow = kept if pruning and pruning.unit == "channels" else 1.0
    samples, right = 400, round(400 * top1)
    confusion = np.diag([right // 4] * 4)
    confusion[0, 1] += samples - confusion.sum() - 3
    confusion[2, 3] += 3
    size = int(2**20 * 0.6 * _BITS[precision] * narrow)
    noise = tuple(LayerNoise(name, 40.0 - 5 * place - seed) for place, name in enumerate(LAYERS))
    integer = {name: RUNTIMES[name].on_integers(PRECISIONS[precision]) for name in SCORED}
    found = records.quality(
        top1,
        **identity,
        test=records.scores(top1, samples, loss=1 - top1),
        confusion=tuple(map(tuple, confusion.tolist())),
        validation=records.scores(top1 + 0.003 * random.standard_normal(), 200, loss=0.2),
        quantization=None if precision == "fp32" else records.quantization(_LOSS[precision] * 10, noise),
        coverage=records.coverage(
            float(word.integers),
            runtimes={name: RuntimeCoverage(float(share), 3 * share, ()) for name, share in integer.items()},
            total_macs=int(1e6 * narrow),
            nonzero_macs=int(1e6 * kept),
        ),
        saturating=() if not word.integers or recipe.overflow == "safe" else (SaturatingLayer("conv1", 2, 8, 60_000),),
        size=Sizes(
            onnx_bytes=size,
            gzip_bytes=int(size * 0.9),
            packed_bytes=size * recipe.weight_bits // 8 if recipe and recipe.weight_bits < 8 else None,
            sparse_bytes=int(size * (0.03 + 0.97 * kept / narrow)),
            state_dict_bytes=int(2**20 * 2.4 * narrow),
            parameters=int(6e5 * narrow),
            nonzero_parameters=int(6e5 * kept),
        ),
        pruning=pruning,
        quantized_by=recipe,
        training=records.training(60.0 * (1 + bool(pruning) + (precision == "qat")), 900.0),
    )
    if not word.hint:
        return found
    coverage = replace(found.coverage, runtimes=found.coverage.runtimes | {SCORED[0]: None})
    return replace(found, runtimes=found.runtimes | {SCORED[0]: NO_HINT}, coverage=coverage)


def _timings(
    study: Mapping[str, Any], precision: str, pruning: Sparsity | None, random: np.random.Generator
) -> Iterator[Timing]:
    narrow = 1 - pruning.achieved if pruning and pruning.unit == "channels" else 1.0
    computes = {"torch": precision == "fp32", SCORED[0]: not PRECISIONS[precision].hint}
    for threads in study["benchmark"]["threads"]:
        for runtime in study["benchmark"]["runtimes"]:
            for size in study["benchmark"]["batch_sizes"]:
                if not computes.get(runtime, True):
                    continue
                median = 0.05 * size**0.9 * _SPEED[precision] * narrow * (1 + 0.02 * random.standard_normal())
                energy = replace(records.ENERGY, joules=median / size * 0.03, watts=30.0)
                timing = records.timing(runtime, size, threads, median)
                yield replace(timing, p95_ms=median * 1.1, energy_per_image=energy)


def _history(epochs: int) -> str:
    lines = [
        "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,seconds,images_per_second"
    ]
    for epoch in range(1, epochs + 1):
        lines.append(
            f"{epoch},{1 / epoch:.4f},{1 - 0.5 / epoch:.4f},{1.1 / epoch:.4f},{1 - 0.6 / epoch:.4f},0.1,2.0,500"
        )
    return "\n".join(lines) + "\n"


def _graph() -> onnx.ModelProto:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])
    node = helper.make_node("Flatten", ["images"], ["logits"])
    model = helper.make_model(helper.make_graph([node], "g", [images], [logits]), ir_version=10)
    metadata = {"classes": CLASSES, **FED, "run": "made up"}
    ours = {key: json.dumps(value) for key, value in metadata.items()}
    helper.set_model_props(model, ours | {"onnx.infer": "onnxruntime.quant"})  # libraries add their own
    return model


def wanted_figures(study: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Return the figures of the study's only network, as `draw_figures` takes them."""
    return figure_names(study, [("shapes", "lenet5")])
