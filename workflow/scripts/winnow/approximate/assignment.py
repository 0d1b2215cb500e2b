"""Which layer multiplies with which circuit: the cheapest choice that a network bears.

What one layer's circuit does to the logits is measured alone, mean error taken out, and taken to add up over layers as
independent noise does. Then power is saved where it disturbs least for each unit: step by step from exact multipliers
everywhere to the cheapest everywhere. Along this one way the last network that is accepted is found by bisection.
Source: layers of one network differ in what they bear: Mrazek et al. 2019, Trommer et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.circuits import circuit
from winnow.approximate.correction import correct, corrected_layer
from winnow.approximate.network import approximate, layer_by_layer
from winnow.approximate.operands import operands
from winnow.approximate.products import ApproximateLayer
from winnow.errors import WinnowError
from winnow.study.multipliers import EXACT, Multiplier, multiplier

Noise = Mapping[str, Mapping[str, float]]
"""By layer and circuit: mean squared difference of the logits, as a share of their variance."""
Assignment = Mapping[str, Multiplier]
"""The circuit of each layer."""


def assign(
    module: GraphModule,
    batches: Sequence[Tensor],
    candidates: Sequence[Multiplier],
    accepts: Callable[[GraphModule], bool],
) -> dict[str, Multiplier]:
    """Return the assignment of least power whose network is accepted, if need be exact multipliers everywhere.

    Args:
        module: int8, as `lowering.lowered` returns it.
        batches: calibration images, normalized float32 [N, C, H, W].
        candidates: circuits whose power is known; the exact multiplier is always one.
        accepts: whether a corrected network is good enough, by images that it is not scored on in the end.

    Raises:
        WinnowError: the power of a candidate is not known.
    """
    known = {found.name: found for found in (multiplier(EXACT), *candidates)}
    macs = {
        layer.layer: layer.macs for layer in operands(approximate(module, lambda _: circuit(known[EXACT])), batches)
    }
    steps = list(saving_steps(noise(module, batches, list(known.values())), macs, known))
    accepted, refused = 0, len(steps)
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        if accepts(with_assignment(module, batches, steps[middle])):
            accepted = middle
        else:
            refused = middle
    return steps[accepted]


def with_assignment(module: GraphModule, batches: Sequence[Tensor], assignment: Assignment) -> GraphModule:
    """Return the corrected network of an assignment."""
    circuits = {found.name: circuit(found) for found in assignment.values()}
    network = approximate(module, lambda layer: circuits[assignment[layer].name])
    correct(network, batches)
    return network


@torch.no_grad()
def noise(module: GraphModule, batches: Sequence[Tensor], candidates: Sequence[Multiplier]) -> Noise:
    """Measure what each circuit in each layer does to the logits, all other layers exact."""
    exact = circuit(multiplier(EXACT))
    network = approximate(module, lambda _: exact)
    places = {child: name for name, child in network.named_modules() if isinstance(child, ApproximateLayer)}
    circuits = {found.name: circuit(found) for found in candidates}
    reference = torch.cat([network(images) for images in batches])
    trials = [
        (places[layer], name, corrected_layer(layer.source, found, codes))
        for layer, codes in layer_by_layer(network, batches)
        for name, found in circuits.items()
    ]
    measured: dict[str, dict[str, float]] = {}
    for place, name, trial in trials:
        original = network.get_submodule(place)
        network.set_submodule(place, trial)
        logits = torch.cat([network(images) for images in batches])
        network.set_submodule(place, original)
        share = (logits - reference).double().square().mean() / reference.double().var()
        measured.setdefault(trial.source.name, {})[name] = float(share)
    return measured


def saving_steps(
    noise: Noise, macs: Mapping[str, int], known: Mapping[str, Multiplier]
) -> Iterator[dict[str, Multiplier]]:
    """Yield assignments of ever less power, each from the one before by the step that saves most for its noise.

    Args:
        macs: multiply-accumulates of each layer.
        known: circuits by name, the exact one among them.

    Raises:
        WinnowError: the power of one is not known.
    """
    power = {name: _power(found) for name, found in known.items()}
    current = dict.fromkeys(noise, EXACT)
    while True:
        yield {layer: known[name] for layer, name in current.items()}
        worth = {
            (layer, name): macs[layer] * (power[current[layer]] - power[name]) / max(added, 1e-12)
            for layer, by_circuit in noise.items()
            for name, after in by_circuit.items()
            if power[name] < power[current[layer]]
            for added in [after - by_circuit[current[layer]]]
        }
        if not worth:
            return
        layer, name = max(worth, key=worth.__getitem__)
        current[layer] = name


def _power(found: Multiplier) -> float:
    if found.cost is None:
        raise WinnowError(
            f"multiplier {found.name}: its power is not known, so that no assignment can save it; leave it out, or "
            "give a table of it with power, area and source"
        )
    return found.cost.power
