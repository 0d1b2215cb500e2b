"""How a network is run in each runtime that ships, as code for a model card."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from winnow.report.blocks import Block, Code, Text
from winnow.study.vocabulary import FP32_HINT, PRECISIONS


def loading(row: pd.Series, images: str) -> Iterator[Block]:
    """Yield what runs a network, a row of results.csv, where it computes what was measured.

    Args:
        images: name of the input.
    """
    if row.get("onnxruntime_agrees", 1) == 1:
        yield Text("In ONNX Runtime:")
        yield Code(
            "import onnxruntime\n"
            'session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])\n'
            f'labels = session.run(None, {{"{images}": {images}}})[0].argmax(1)'
        )
    if row.get("openvino_agrees", 1) == 1:
        word = PRECISIONS[row["precision"]]
        yield Text(
            f"In OpenVINO, on a processor that has {word.name}; on others the hint has no effect, and the numbers of "
            "this card do not hold:"
            if word.hint
            else "In OpenVINO, which without the hint computes what is not on integers in bf16 where the processor "
            "has it:"
        )
        yield Code(
            f'import openvino\nhint = {{"INFERENCE_PRECISION_HINT": "{word.hint or FP32_HINT}"}}\n'
            'network = openvino.Core().compile_model("model.onnx", "CPU", hint)\n'
            f"labels = network({images})[0].argmax(1)"
        )
