"""From a torch module to the one file that is scored, timed and shipped: model.onnx."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from winnow.capture.exported import dynamic_batch, exported
from winnow.capture.spelling import PlainSpelling
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.data.normalization import Normalization
from winnow.data.sample import sample
from winnow.deploy.agreement import FLOAT, INT8_EXPORT, compared
from winnow.deploy.baking import bake
from winnow.deploy.constants import fold_weights, restore_names
from winnow.deploy.inputs import read_input
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.repeatable import check_repeatable
from winnow.deploy.torchlib import keep_torchlib
from winnow.errors import WinnowError
from winnow.files import replacing
from winnow.models.user_code import cause_of

log = logging.getLogger(__name__)
_CHECK_IMAGES = 64
INPUT, OUTPUT = "images", "logits"


def export_onnx(
    model: nn.Module,
    example: Tensor,
    path: str | Path,
    metadata: Mapping[str, object],
    baked_in: Normalization | None = None,
) -> None:
    """Write a network that is in inference mode as a single ONNX file with a free batch size.

    The file does not depend on the memory format of training: strides would be exported as operators, which runtimes
    do not fuse and may miscompute.

    Args:
        model: maps float32 [N, C, H, W] to logits [N, classes], an int8 module (`lowering.lowered`) too; it is not
            changed.
        example: any input of at least 2 images.
        metadata: stored as JSON values in the file's metadata: classes and preprocessing, what a user needs to
            feed and read it.
        baked_in: what the file does to pixels before the network, see `baking`; None to take normalized images.
    """
    if baked_in:
        metadata = {**metadata, **baked_in.facts, "baked_in": True}
    with warnings.catch_warnings(), PlainSpelling():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        logging.getLogger("onnxscript").setLevel(logging.ERROR)
        keep_torchlib()
        program = torch.onnx.export(
            exported(model, example),
            (example.contiguous(),),
            dynamo=True,
            dynamic_shapes=dynamic_batch(),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    if program is None:
        raise WinnowError("torch.onnx.export gave no program")
    for node in program.model.graph:
        node.metadata_props.clear()  # the exporter's stack traces: paths of this machine, and bytes to ship
    program.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
    file = program.model_proto
    fold_weights(file)
    restore_names(file, {name: value.detach().cpu().numpy() for name, value in model.named_parameters()})
    if baked_in:
        bake(file, baked_in)
    onnx.save(file, path)


def example_images(data: ImageDataset) -> Tensor:
    """Return a few normalized test images, float32 [N, C, H, W], to capture and to check a network with."""
    split = Split.of(data, "test", torch.device("cpu"))
    return split.normalized(split.take(_examples(len(split)))).contiguous()


def fed_images(path: str | Path, data: ImageDataset) -> np.ndarray:
    """Return the same images as a file takes them, [N, C, H, W]."""
    rows, _ = data.rows("test")
    return read_input(path).images(rows[_examples(len(rows))].numpy(), data.normalization)


def _examples(count: int) -> Tensor:
    return torch.from_numpy(sample(count, _CHECK_IMAGES))


def export_checked(
    model: nn.Module,
    data: ImageDataset,
    path: str | Path,
    *,
    run: str,
    integer: bool,
    baked_in: bool = False,
    facts: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Export a network to model.onnx with what its user needs to know, and check it before it gets its name.

    Args:
        baked_in: whether the file normalizes images itself.
        facts: further entries of the file's metadata.

    Raises:
        WinnowError: torch cannot export it, or as `check_agreement` and `check_repeatable`; then nothing is written.
    """
    metadata = {"classes": data.classes, **data.normalization.facts, "fitting": data.fitting.facts, "run": run, **facts}
    with replacing(path) as temporary:
        try:
            export_onnx(model, example_images(data), temporary, metadata, data.normalization if baked_in else None)
        except Exception as error:  # whatever the network's code and the exporter raise
            log.info("%s: while exporting", run, exc_info=error)
            raise WinnowError(
                f"{run}: the network cannot be exported ({cause_of(error)}); write that part of it for torch.export, "
                "for any batch size"
            ) from error
        check_repeatable(temporary, fed_images(temporary, data), run, integer=integer)
        deviation = check_agreement(model, data, temporary, run, integer=integer)
    log.info("%s: exported; deviation from the network in memory %.2g", run, deviation)


def check_agreement(
    model: nn.Module, data: ImageDataset, path: str | Path, run: str, *, integer: bool, most: int = _CHECK_IMAGES
) -> float:
    """Check that the exported file computes in ONNX Runtime what the module computes, and return the deviation.

    The module gets normalized images, the file what it takes. What other runtimes make of the file is compared with
    ONNX Runtime when it is scored.

    Args:
        most: so many of the example images, at most.

    Raises:
        WinnowError: the difference is beyond the tolerance of its kind (see `agreement`), or not finite.
    """
    with torch.no_grad():
        expected = model(example_images(data)[:most]).float().numpy()
    tolerance = INT8_EXPORT if integer else FLOAT
    found = compared(expected, load_onnxruntime(path, threads=torch.get_num_threads())(fed_images(path, data)[:most]))
    if not tolerance.holds(found):
        raise WinnowError(
            f"{run}: the exported network deviates from the one in memory: {found}, tolerated are {tolerance}; the "
            "exporter or ONNX Runtime miscomputes an operator of this network: report it with the network"
        )
    return found.difference
