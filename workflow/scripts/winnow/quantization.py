"""Three ways to int8: dynamic, post-training static (calibrated) and quantization-aware training.

Static and aware quantization go through PT2E: capture the graph, insert observers or fake quantizers where
`int8` says, collect ranges, convert. Sources: Jacob et al. 2018; Krishnamoorthi 2018; Nagel et al. 2021.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType
from onnxruntime.quantization import quantize_dynamic as onnx_quantize_dynamic
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import disable_observer, enable_observer
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e

from winnow.batches import Split, generator
from winnow.data import ImageDataset
from winnow.errors import WinnowError
from winnow.export import dynamic_batch
from winnow.files import replacing
from winnow.int8 import Int8Quantizer
from winnow.masks import Masks
from winnow.settings import QatSettings
from winnow.training import Trainee

aten = torch.ops.aten
_CALIBRATION_BATCH = 64
_DEFAULT_EPSILON = 1e-5
_DROPOUT = (aten.dropout.default, aten.dropout_.default)


def quantize_dynamic(source: str | Path, target: str | Path) -> None:
    """Quantize the weights of a model.onnx per channel; ONNX Runtime finds the scale of every input as it runs.

    Args:
        source: an fp32 model.onnx.
        target: written with ConvInteger and MatMulInteger operators.
    """
    with replacing(target) as temporary, _quiet():
        onnx_quantize_dynamic(
            source,
            temporary,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        )


def calibration_batches(data: ImageDataset, count: int) -> Iterator[Tensor]:
    """Draw `count` images from the training split, without augmentation.

    Yields:
        Normalized float32 [N, C, H, W].

    Raises:
        WinnowError: the split has fewer.
    """
    split = Split.of(data, "train", torch.device("cpu"))
    if count > len(split):
        raise WinnowError(
            f"data set {data.name}: quantization.ptq.calibration_samples is {count}, "
            f"but the training split has {len(split)} images; lower it"
        )
    chosen = torch.randperm(len(split), generator=generator(0))[:count]
    for index in chosen.split(_CALIBRATION_BATCH):
        yield split.normalized(split.images[index]).contiguous()


def quantize_static(model: nn.Module, batches: Iterable[Tensor], observer: str) -> GraphModule:
    """Return an int8 module whose ranges were observed on calibration batches.

    Args:
        model: fp32, on the CPU.
        batches: normalized float32 [N, C, H, W], at least one.
        observer: `histogram` (least expected squared error) or `minmax`.
    """
    batches = iter(batches)
    first = next(batches)
    prepared = prepare_pt2e(_captured(model.eval(), first), Int8Quantizer(observer))
    with torch.no_grad(), _quiet():
        prepared(first)
        for batch in batches:
            prepared(batch)
    return _converted(prepared)


class AwareTraining:
    """A network with fake quantizers, to be trained and then converted.

    Args:
        model: the trained fp32 network.
        example: float32 [N, C, H, W], N >= 2.
        settings: from which epoch on (1-based) observers, and the statistics of batch norm, stay as they are.
        masks: weights that stay zero, by the names they have in `model`; capturing keeps the names.
    """

    def __init__(self, model: nn.Module, example: Tensor, settings: QatSettings, masks: Masks | None = None):
        captured = _captured(model.train(), example)
        norms = [(node.args[6], node.args[7]) for node in _batch_norms(captured)]
        self.model = prepare_qat_pt2e(captured, Int8Quantizer())
        if len(norms) != len(list(_batch_norms(self.model))):
            raise WinnowError("quantization-aware training: torchao loses a batch norm of this network; use ptq for it")
        self._settings = settings
        self._masks = masks or Masks({})
        self._epsilons = [epsilon for _, epsilon in norms]
        self._set_norms(norms)  # torchao's rewrite assumes torch's default momentum and epsilon
        self._observers_frozen = self._norms_frozen = False

    @property
    def trainee(self) -> Trainee:
        return Trainee(
            self.model,
            lambda _, training: self._set_mode(training),
            self._before_epoch,
            self._masks.enforcer(self.model),
        )

    def check(self, run: str) -> None:
        """Check that masked weights are still zero; see `Masks.check`."""
        self._masks.check(self.model, run)

    def convert(self) -> GraphModule:
        """Return the int8 module, on the CPU."""
        self._set_mode(training=False)
        model = self.model.cpu()
        # torchao folds batch norms with the default epsilon: move the difference into the variance
        for node, epsilon in zip(_batch_norms(model), self._epsilons, strict=True):
            owner, _, name = node.args[4].target.rpartition(".")
            getattr(model.get_submodule(owner), name).add_(epsilon - _DEFAULT_EPSILON)
        self._set_norms([(0.1, _DEFAULT_EPSILON)] * len(self._epsilons))
        return _converted(model)

    def _before_epoch(self, epoch: int) -> None:
        self._observers_frozen = epoch + 1 >= self._settings.freeze_observers_epoch
        self._norms_frozen = epoch + 1 >= self._settings.freeze_batchnorm_epoch

    def _set_mode(self, training: bool) -> None:
        """Exported graphs know no train() and eval(): the operators' own flags are set."""
        for node in self.model.graph.nodes:
            if node.op == "call_function" and node.target in _DROPOUT:
                node.update_arg(2, training)
        for node in _batch_norms(self.model):
            node.update_arg(5, training and not self._norms_frozen)
        self.model.recompile()
        # inference must not move the ranges either
        self.model.apply(enable_observer if training and not self._observers_frozen else disable_observer)

    def _set_norms(self, norms: list[tuple[float, float]]) -> None:
        """Set (momentum, epsilon) of every batch norm, also where the weights are scaled by it."""
        for node, (momentum, epsilon) in zip(_batch_norms(self.model), norms, strict=True):
            node.update_arg(6, momentum)
            node.update_arg(7, epsilon)
            for user in list(node.args[4].users):  # running variance + epsilon, under the square root
                if user.target == aten.add.Tensor:
                    user.update_arg(1, epsilon)
        self.model.recompile()


def _batch_norms(model: GraphModule) -> Iterator[torch.fx.Node]:
    for node in model.graph.nodes:
        if node.op == "call_function" and node.target == aten.batch_norm.default:
            yield node


def _captured(model: nn.Module, example: Tensor) -> GraphModule:
    return torch.export.export(model, (example,), dynamic_shapes=dynamic_batch()).module(check_guards=False)


def _converted(prepared: GraphModule) -> GraphModule:
    with _quiet():
        return convert_pt2e(prepared)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the libraries' remarks about themselves."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(level)
