"""Writes docs/networks.md: the gauntlet as a table. `make docs`."""

from __future__ import annotations

from pathlib import Path

from networks.record import AGREES, STAGES
from networks.registry import NETWORKS, SIBLINGS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
_HEADINGS = {
    "fp32": "fp32",
    "dynamic": "dynamic",
    "ptq": "ptq",
    "qat": "qat",
    "masks": "single weights pruned",
    "channels": "channels removed",
    "channels_ptq": "channels removed, ptq",
}
_INTRODUCTION = """# What works with which network

Written by `make docs` from the records in tests/networks/, which tests hold every artifact to. Each network is small
and stands for a situation. *Yes*: the file agrees with the float network it stands for, in ONNX Runtime and in
OpenVINO, and both with each other. A quotation is a part of the one-line message that refuses it. *As ptq*: tested
with ptq alone, as another network of the table has the same on all other ways. The share is that of the
multiply-accumulates that a ptq file computes on integers.
"""


def page() -> str:
    """Return the page."""
    heads = ["network", "situation", *_HEADINGS.values(), "on integers"]
    rows = [" | ".join(heads), " | ".join(["---"] * len(heads))]
    for network in NETWORKS:
        outcomes = [_outcome(network, stage) for stage in STAGES]
        share = f"{network.integer:.1%}" + (f": {network.reason} stay in float" if network.reason else "")
        if network.refused.get("ptq"):
            share = ""
        rows.append(" | ".join([f"`{network.name}`", network.situation, *outcomes, share]))
    return _INTRODUCTION + "\n" + "\n".join(f"| {row} |" for row in rows) + "\n"


def _outcome(network, stage: str) -> str:
    if network.expected(stage) != AGREES:
        return f'"{network.expected(stage)}"'
    return "as ptq" if network.name in SIBLINGS and stage != "ptq" else "yes"


if __name__ == "__main__":
    PAGE.write_text(page())
