"""Quantization-aware training: the graph that ships is trained while its values are rounded (Jacob et al. 2018).

Trained is the *inference* graph, with dropout and batch norms switched to training: what a module does only under
`self.training` (stochastic depth, noise, auxiliary heads) belongs to the base training and rests here. So training,
validation and the shipped file compute with the same operators, and there is nothing to translate between them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn
from torch.fx import GraphModule, Node

from winnow.capture.exported import captured, set_training
from winnow.capture.fx_graphs import calls, module_of, number_argument
from winnow.config.settings import QatSettings
from winnow.errors import WinnowError
from winnow.prune.masks import Masks
from winnow.quantize.int8 import Layer, Plan, plan_of
from winnow.quantize.levels import Levels
from winnow.quantize.lowering import lowered
from winnow.quantize.ranges import ActivationQuantizer, WeightQuantizer
from winnow.study.recipe import Recipe
from winnow.train.loop import Trainee

_PREFIX = "round_"


class AwareTraining:
    """A network with fake quantizers, to be trained and then converted.

    Args:
        model: the trained fp32 network; it is not changed.
        example: float32 [N, C, H, W], N >= 2.
        settings: from which epoch on (1-based) ranges, and the statistics of batch norm, stay as they are.
        recipe: how finely weights and activations are rounded.
        masks: weights that stay zero, by the names they have in `model`; capturing keeps the names.

    Attributes:
        captured: the graph of `model`, as it was.
        model: what is trained.
    """

    def __init__(
        self, model: nn.Module, example: Tensor, settings: QatSettings, recipe: Recipe, masks: Masks | None = None
    ) -> None:
        self.captured = captured(model, example)
        self._plan = plan_of(self.captured)
        self._levels = Levels.of(recipe)
        self.model, self._quantizers = _with_quantizers(self.captured, self._plan, self._levels)
        self._settings = settings
        self._masks = masks or Masks({})
        self._ranges_frozen = self._norms_frozen = False

    @property
    def trainee(self) -> Trainee:
        """Return what the training loop needs to know of it."""
        return Trainee(
            model=self.model,
            set_mode=lambda _, training: self._set_mode(training),
            before_epoch=self._before_epoch,
            after_step=self._masks.enforcer(self.model),
        )

    def check(self, run: str) -> None:
        """Check that what was trained can be written down as integers.

        Raises:
            WinnowError: a masked weight is not zero (see `Masks.check`), or a value has no range.
        """
        self._masks.check(self.model, run)
        modules = {node.name: module_of(node) for node in calls(self.captured)}
        for value, quantizer in self._quantizers.items():
            if not quantizer.observed:
                raise WinnowError(
                    f"{run}: {modules.get(value, 'the images')}: no training step has seen the range of {value}; "
                    "raise quantization.qat.freeze_observers_epoch, or epochs"
                )

    def convert(self) -> GraphModule:
        """Return the int8 module, on the CPU."""
        scales = {root: quantizer.scale() for root, quantizer in self._quantizers.items()}
        return lowered(self.float_model(), self._plan, scales, self._levels)

    def float_model(self) -> GraphModule:
        """Return the network with the trained weights in float, on the CPU: what the int8 module stands for."""
        model = copy.deepcopy(self.captured)
        trained = self.model.state_dict()
        model.load_state_dict({name: trained[name] for name in model.state_dict()})
        return model

    def _before_epoch(self, epoch: int) -> None:
        self._ranges_frozen = epoch + 1 >= self._settings.freeze_observers_epoch
        self._norms_frozen = epoch + 1 >= self._settings.freeze_batchnorm_epoch

    def _set_mode(self, training: bool) -> None:
        """Exported graphs know no train() and eval(): the operators' own flags are set."""
        set_training(self.model, training, norms=not self._norms_frozen)
        for quantizer in self._quantizers.values():
            quantizer.observing = training and not self._ranges_frozen  # inference must not move the ranges either


def _with_quantizers(
    graph_module: GraphModule, plan: Plan, levels: Levels
) -> tuple[GraphModule, dict[str, ActivationQuantizer]]:
    """Return a copy that rounds the values and weights of a plan, and the quantizers by the values they round."""
    model = copy.deepcopy(graph_module)
    nodes = {node.name: node for node in model.graph.nodes}
    quantizers = {}
    for point in plan.points:
        if point.value != point.root:  # rounded already: it only selects or moves
            continue
        value = nodes[point.value]
        quantizers[point.value] = ActivationQuantizer(levels)
        model.add_submodule(f"{_PREFIX}{point.value}", quantizers[point.value])
        readers = [reader for reader in value.users if point.readers is None or reader.name in point.readers]
        with model.graph.inserting_after(value):
            rounded = model.graph.call_module(f"{_PREFIX}{point.value}", (value,))
        for reader in readers:
            reader.replace_input_with(value, rounded)
    for layer in plan.layers:
        _round_weights(model, nodes, layer, levels)
    model.graph.lint()
    model.recompile()
    return model, quantizers


def _round_weights(model: GraphModule, nodes: Mapping[str, Node], layer: Layer, levels: Levels) -> None:
    node, norm = nodes[layer.operator], nodes[layer.norm] if layer.norm else None
    name = f"{_PREFIX}{layer.operator}_weight"
    model.add_submodule(name, WeightQuantizer(levels, number_argument(norm, 7) if norm else None))
    statistics = (norm.args[1], norm.args[4]) if norm else ()
    with model.graph.inserting_before(node):
        node.update_arg(1, model.graph.call_module(name, (node.args[1], *statistics)))
