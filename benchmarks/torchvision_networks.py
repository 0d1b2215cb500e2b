"""Twelve of torchvision's networks on real images: what each precision keeps of the float network's predictions.

    .venv/bin/python benchmarks/torchvision_networks.py data/cifar10-images.zip docs/torchvision.md

Runs the study that `study` describes (CIFAR-10 as class folders at 64 x 64 pixels, each network trained for a moment)
with Snakemake, network by network, so that one that is refused does not stop the others, and writes the table.
`build` is the factory that the study names.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torchvision
import yaml
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from winnow.measure.machine import machine
from winnow.study.quality import Quality
from winnow.study.vocabulary import QUANTIZED

NETWORKS = (
    "densenet121",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "efficientnet_b0",
    "googlenet",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "mnasnet0_5",
    "resnext50_32x4d",
    "convnext_tiny",
    "vit",
    "swin_t",
)
_RATE = 0.001
_RATES = {"squeezenet1_1": 0.0003}  # it has no norms
_SLOW = {"shufflenet_v2_x1_0": 3, "efficientnet_b0": 3, "regnet_y_400mf": 3, "mnasnet0_5": 3}  # times as many epochs
_MOMENTUM = 0.1  # of batch norms: torchvision's 0.0003 to 0.1 are meant for more steps than are taken here
_OPTIONS = {"googlenet": {"init_weights": True}}


def build(channels: int, size: int, classes: int, name: str) -> nn.Module:
    """Build a network of torchvision for RGB images; the vision transformer is a small one for small images."""
    if channels != 3:
        raise ValueError(f"torchvision's {name} takes images of 3 channels, not {channels}")
    if name == "vit":
        vit: nn.Module = torchvision.models.VisionTransformer(
            image_size=size,
            patch_size=8,
            num_layers=6,
            num_heads=4,
            hidden_dim=192,
            mlp_dim=384,
            num_classes=classes,
        )
        return vit
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **_OPTIONS.get(name, {}))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _MOMENTUM
    return model


def study(name: str, images: str, samples: int, epochs: int) -> dict[str, Any]:
    """Return the configuration of one network's study."""
    rate = _RATES.get(name, _RATE)
    label = name.replace("_", "-")
    return {
        "study": f"torchvision-{label}",
        "datasets": {
            "cifar10-64": {
                "source": "image_folder",
                "path": images,
                "image_size": 64,
                "max_train_samples": samples,
                "max_test_samples": 2000,
            }
        },
        "models": {label: {"factory": "benchmarks.torchvision_networks:build", "arguments": {"name": name}}},
        "training": {
            "epochs": epochs * _SLOW.get(name, 1),
            "batch_size": 64,
            "optimizer": "adamw",
            "lr": rate,
            "weight_decay": 0.05,
            "warmup_epochs": 1,
            "precision": "fp32",
        },
        "quantization": {
            "methods": list(QUANTIZED),
            "min_agreement": 0.98,
            "ptq": {"calibration_samples": 256},
            "qat": {"epochs": 1, "lr": rate / 10, "warmup_epochs": 0},
        },
        "benchmark": {"batch_sizes": [1], "threads": [1], "seconds": 0.3, "warmup_seconds": 0.1},
    }


def run(configuration: dict[str, Any], cores: int) -> list[str]:
    """Evaluate every file of a study; return what refuses any, a line each."""
    name = configuration["study"]
    (model,) = configuration["models"]
    files = [
        f"results/{name}/cifar10-64/{model}/seed0/dense/{precision}/quality.json" for precision in ("fp32", *QUANTIZED)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(configuration, file)
        file.flush()
        command = [sys.executable, "-m", "snakemake", *files, "--profile", "profiles/local", "--keep-going"]
        done = subprocess.run(
            [*command, "--cores", str(cores), "--configfile", file.name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    lines = (done.stdout + done.stderr).splitlines()
    found = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return list(dict.fromkeys(found)) or ([lines[-1]] if done.returncode else [])


HEADER = (
    "network",
    "precision",
    "top-1 (%)",
    "SQNR (dB)",
    "decided predictions equal to float (%)",
    "OpenVINO",
    "integer MACs, ONNX Runtime (%)",
    "OpenVINO (%)",
    "remark",
)


def rows(name: str, refusals: list[str]) -> list[str]:
    """Return the rows of the table for one network."""
    label = name.replace("_", "-")
    folder = ROOT / "results" / f"torchvision-{label}" / "cifar10-64" / label / "seed0" / "dense"
    lines = []
    for precision in ("fp32", *QUANTIZED):
        path = folder / precision / "quality.json"
        cells = _cells(Quality.read(path)) if path.exists() else [*[""] * 6, _refusal(precision, refusals, folder)]
        lines.append("| " + " | ".join([name, precision, *cells]) + " |")
    return lines


def _refusal(precision: str, refusals: list[str], folder: Path) -> str:
    """Return what refuses a precision, without the folder that the table is about."""
    own = [line for line in refusals if f"/dense/{precision}:" in line] or refusals or ["not made"]
    return own[0].rpartition(f"/dense/{precision}: ")[2].replace(f"{folder.relative_to(ROOT)}/", "")


def _cells(quality: Quality) -> list[str]:
    difference, openvino, coverage = quality.quantization, quality.runtimes["openvino"], quality.coverage.runtimes
    found = difference.validation if difference else None
    left = {layer.reason for covered in coverage.values() if covered for layer in covered.float_layers}
    return [
        _percent(quality.test.top1 if quality.test else None),
        f"{found.sqnr_db:.1f}" if found and found.sqnr_db else "",
        _percent(found.agreement if found else None),
        "agrees" if openvino.agrees else openvino.reason or f"differs by {openvino.difference:.2g}",
        *(_percent(covered.macs if covered else None) for covered in coverage.values()),
        "; ".join(sorted(left)),
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


_TEXT = """# torchvision's networks

Written by [benchmarks/torchvision_networks.py](../benchmarks/torchvision_networks.py): each network was trained for a
moment on {samples:,} CIFAR-10 images at 64 x 64 pixels ({epochs} epochs; three times as many for those that learn
slowly), with AdamW, one seed; int8 with 256 calibration images, or one epoch of quantization-aware training. Top-1 is
that of 2,000 test images; the networks have only begun to learn, which is the harder case for quantization.

*SQNR* and *decided predictions equal to float* compare a file in ONNX Runtime with the float network it stands for, on
300 validation images; fewer than 98 % are refused, and the remark says why. *OpenVINO* agrees if it computes what ONNX
Runtime computes, or is as near to the float network. Integer MACs are the share of multiply-accumulates that each
runtime executes on integers; OpenVINO turns those of dynamic quantization back into float. {machine}.
"""


def _machine() -> str:
    """Return the machine and the versions of a table."""
    found = machine()
    versions = ", ".join(f"{name} {found.versions[name]}" for name in ("torch", "onnxruntime", "openvino"))
    return f"Made on {found.processor} ({', '.join(found.vector_extensions)}), {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="CIFAR-10 as class folders: a directory or an archive")
    parser.add_argument("table", type=Path, help="Markdown file to write")
    parser.add_argument("--samples", type=int, default=3000, help="training images (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="of base training (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    arguments = parser.parse_args()
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    for name in arguments.networks:
        refusals = run(study(name, arguments.images, arguments.samples, arguments.epochs), arguments.cores)
        lines += rows(name, refusals)
        print("\n".join(lines[-len(QUANTIZED) - 1 :]), flush=True)
    text = _TEXT.format(samples=arguments.samples, epochs=arguments.epochs, machine=_machine())
    arguments.table.write_text(f"{text}\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
