"""Dynamic quantization: int8 weights in the file, scales of the inputs found while running."""

from __future__ import annotations

import logging
from pathlib import Path

from onnxruntime.quantization import QuantType
from onnxruntime.quantization import quantize_dynamic as onnx_quantize_dynamic

from winnow.files import replacing
from winnow.study.recipe import Recipe


def quantize_dynamic(source: str | Path, target: str | Path, recipe: Recipe) -> None:
    """Quantize the weights of a model.onnx; ONNX Runtime finds the scale of every input as it runs.

    Args:
        source: an fp32 model.onnx.
        target: written with ConvInteger and MatMulInteger operators.
        recipe: what shares a scale; safe are weights of 7 bits.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises to preprocess what the exporter has preprocessed
    try:
        with replacing(target) as temporary:
            onnx_quantize_dynamic(
                source,
                temporary,
                weight_type=QuantType.QInt8,
                per_channel=recipe.weights == "per_channel",
                reduce_range=recipe.overflow == "safe",
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            )
    finally:
        root.setLevel(level)
