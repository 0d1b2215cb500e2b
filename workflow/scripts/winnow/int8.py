"""Where int8 goes: a PT2E quantizer whose result runs in integer kernels of ONNX Runtime and OpenVINO.

torchao's stock quantizers annotate what Inductor fuses; much of it stays in float elsewhere. This one
annotates what both runtimes fuse: inputs *and* outputs of every convolution, linear and residual add
(uint8, per tensor, affine), weights (int8, per output channel, symmetric) and, outside of training, biases
(int32 with the product of both scales). A batch norm and a ReLU or ReLU6 behind an operator belong to it.
Source: Jacob et al. 2018 (integer-arithmetic-only inference), Krishnamoorthi 2018 (per-channel weights).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.fake_quantize import FusedMovingAvgObsFakeQuantize
from torchao.quantization.pt2e.observer import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    DerivedQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

aten = torch.ops.aten
_KEY = "quantization_annotation"
WEIGHTED = (aten.conv2d.default, aten.linear.default)
_RELU = (aten.relu.default, aten.relu_.default, aten.hardtanh.default, aten.hardtanh_.default)  # hardtanh: ReLU6
_ADD = (aten.add.Tensor, aten.add_.Tensor)
# These move or select values, so that their output has the scale of their input.
_SAME_SCALE = (
    aten.max_pool2d.default,
    aten.adaptive_avg_pool2d.default,
    aten.mean.dim,
    aten.flatten.using_ints,
    aten.slice.Tensor,
    aten.pad.default,
    aten.constant_pad_nd.default,
)
_ACTIVATION_OBSERVERS = {"histogram": HistogramObserver, "minmax": MinMaxObserver}


def activation_spec(observer: str | None) -> QuantizationSpec:
    """uint8 per tensor; `observer` is `histogram`, `minmax`, or None for QAT's moving average."""
    constructor = (
        _ACTIVATION_OBSERVERS[observer]
        if observer
        else FusedMovingAvgObsFakeQuantize.with_args(observer=MovingAverageMinMaxObserver)
    )
    return QuantizationSpec(
        dtype=torch.uint8,
        quant_min=0,
        quant_max=255,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=constructor,
    )


def weight_spec(qat: bool) -> QuantizationSpec:
    """int8 per output channel, without -128, so that products stay symmetric."""
    constructor = (
        FusedMovingAvgObsFakeQuantize.with_args(observer=MovingAveragePerChannelMinMaxObserver)
        if qat
        else PerChannelMinMaxObserver
    )
    return QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=constructor,
    )


def bias_spec(node: Node, activation: Node, weight: Node) -> DerivedQuantizationSpec:
    """int32 with scale = activation scale x weight scale, so that runtimes can fuse the bias."""

    def derive(observers):
        (activation_scale, _), (weight_scale, _) = (observer.calculate_qparams() for observer in observers)
        scale = (activation_scale * weight_scale).float()
        return scale, torch.zeros_like(scale, dtype=torch.int64)

    return DerivedQuantizationSpec(
        derived_from=[(activation, node), (weight, node)],
        derive_qparams_fn=derive,
        dtype=torch.int32,
        quant_min=-(2**31),
        quant_max=2**31 - 1,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )


class Int8Quantizer(Quantizer):
    """Annotates an exported graph for `prepare_pt2e` (with an `observer`) or `prepare_qat_pt2e` (without)."""

    def __init__(self, observer: str | None = None):
        super().__init__()
        self.qat = observer is None
        self.activation = activation_spec(observer)
        self.weight = weight_spec(self.qat)

    def annotate(self, model: GraphModule) -> GraphModule:
        for last in reversed(list(model.graph.nodes)):
            if last.op != "call_function" or _KEY in last.meta:
                continue
            if last.target in _SAME_SCALE:
                source = last.args[0]
                last.meta[_KEY] = QuantizationAnnotation(
                    input_qspec_map={source: self.activation},
                    output_qspec=SharedQuantizationSpec((source, last)),
                    _annotated=True,
                )
                continue
            chain = list(_fused_chain(last))
            first = chain[-1]
            inputs = self._inputs(first)
            if inputs is None:
                continue
            for node in chain:
                node.meta[_KEY] = QuantizationAnnotation(_annotated=True)
            first.meta[_KEY] = QuantizationAnnotation(
                input_qspec_map=inputs, output_qspec=self.activation if first is last else None, _annotated=True
            )
            if first is not last:
                last.meta[_KEY] = QuantizationAnnotation(output_qspec=self.activation, _annotated=True)
        return model

    def _inputs(self, node: Node) -> dict | None:
        """Return what is quantized on the way into `node`, or None if it stays in float."""
        if node.target in WEIGHTED:
            source, weight = node.args[:2]
            inputs = {source: self.activation, weight: self.weight}
            bias = node.args[2] if len(node.args) > 2 else None
            if bias is not None and not self.qat:
                inputs[bias] = bias_spec(node, source, weight)
            return inputs
        if node.target in _ADD and all(isinstance(argument, Node) for argument in node.args[:2]):
            return dict.fromkeys(node.args[:2], self.activation)  # batch norm's step counter adds a number
        return None

    def validate(self, model: GraphModule) -> None:
        """Nothing to check here: coverage is counted in the runtimes themselves."""


def _fused_chain(last: Node) -> Iterator[Node]:
    """Yield `last` and what it is fused with, backwards: [ReLU,] [batch norm,] operator."""
    yield last
    if last.target in _RELU:
        last = last.args[0]
        yield last
    if last.target == aten.batch_norm.default:
        yield last.args[0]
