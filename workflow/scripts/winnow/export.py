"""From a torch module to the one file that is scored, timed and shipped: model.onnx."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from winnow.batches import Split
from winnow.capture import dynamic_batch
from winnow.data import ImageDataset
from winnow.errors import WinnowError
from winnow.files import replacing
from winnow.runtimes import load_onnxruntime
from winnow.spelling import PlainSpelling

log = logging.getLogger(__name__)
_CHECK_IMAGES = 64
INPUT, OUTPUT = "images", "logits"
FP32_TOLERANCE = 1e-3  # largest difference of a logit, relative to the largest logit
INT8_TOLERANCE = 0.5  # mean difference of a logit, relative to the logits' standard deviation


def export_onnx(model: nn.Module, example: Tensor, path: str | Path, metadata: Mapping[str, object]) -> None:
    """Write a network that is in inference mode as a single ONNX file with a free batch size.

    Args:
        model: maps float32 [N, C, H, W] to logits [N, classes]; a converted PT2E module works too.
        example: any input of at least 2 images.
        metadata: stored as JSON values in the file's metadata: classes, mean and std, what a user needs to
            feed and read it.
    """
    with warnings.catch_warnings(), torch.no_grad(), PlainSpelling():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        logging.getLogger("onnxscript").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            dynamic_shapes=dynamic_batch(),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    for node in program.model.graph:
        node.metadata_props.clear()  # the exporter's stack traces: paths of this machine, and bytes to ship
    program.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
    program.save(path, external_data=False)


def example_images(data: ImageDataset) -> Tensor:
    """Return a few normalized test images, float32 [N, C, H, W], to capture and to check a network with."""
    split = Split.of(data, "test", torch.device("cpu"))
    return split.normalized(split.images[:_CHECK_IMAGES]).contiguous()


def export_checked(model: nn.Module, data: ImageDataset, path: str | Path, *, run: str, integer: bool) -> None:
    """Export a network to model.onnx with what its user needs to know, and check it before it gets its name.

    Raises:
        WinnowError: as `check_agreement`; then nothing is written.
    """
    images = example_images(data)
    metadata = {"classes": data.classes, "mean": data.mean.tolist(), "std": data.std.tolist(), "run": run}
    with replacing(path) as temporary:
        export_onnx(model, images, temporary, metadata)
        deviation = check_agreement(model, images, temporary, run, integer=integer)
    log.info("%s: exported; deviation from the network in memory %.2g", run, deviation)


def check_agreement(model: nn.Module, images: Tensor, path: str | Path, run: str, *, integer: bool) -> float:
    """Check that the exported file computes what the module computes, and return the deviation.

    fp32 must agree within FP32_TOLERANCE. Integer kernels round differently from torch's simulation, one
    quantum here and there, which later layers carry on; in a deep network that has hardly been trained, far
    (0.4 was seen). INT8_TOLERANCE of the logits' spread is allowed: a wrong operator is beyond it.

    Raises:
        WinnowError: the deviation is larger, or not finite.
    """
    with torch.no_grad():
        expected = model(images).float().numpy()
    difference = abs(load_onnxruntime(path, threads=torch.get_num_threads())(images.numpy()) - expected)
    if integer:
        deviation, tolerance = difference.mean() / max(float(expected.std()), 1e-12), INT8_TOLERANCE
    else:
        deviation, tolerance = difference.max() / max(float(abs(expected).max()), 1e-12), FP32_TOLERANCE
    if not deviation <= tolerance:  # also when it is not a number
        raise WinnowError(
            f"{run}: {path} deviates from the network in memory by {deviation:.3g} (tolerance {tolerance}); "
            "the exporter or a runtime miscomputes an operator of this network: report it with the network"
        )
    return float(deviation)
