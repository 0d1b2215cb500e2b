"""Which layer multiplies with which circuit: the cheapest choice that a network bears.

What one layer's circuit does to the logits is measured alone, mean error taken out, and taken to add up over layers as
independent noise does. Then power is saved where it disturbs least for each unit: step by step from exact multipliers
everywhere to the cheapest everywhere. Along this one way the last network that is accurate enough is found by
bisection; each that is tried is really computed.
Source: layers of one network differ in what they bear: Mrazek et al. 2019, Trommer et al. 2022.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from winnow.approximate.circuit_error import circuit_error
from winnow.approximate.circuits import circuit
from winnow.approximate.correction import lacking
from winnow.approximate.multipliers import Multipliers, exact_multiplier
from winnow.approximate.network import approximate, layer_by_layer
from winnow.approximate.operands import operands
from winnow.approximate.products import ApproximateLayer, approximate_layer
from winnow.approximate.static import CORRECTED_ON, multiplied
from winnow.data.sample import sample
from winnow.errors import WinnowError
from winnow.quantize.bisection import least_good
from winnow.quantize.sensitivity import Labelled, Scorer
from winnow.study.assignment import AssignedLayer, Assignment, TriedAssignment
from winnow.study.multiplier_cost import network_cost
from winnow.study.multipliers import EXACT, Cost, Multiplier
from winnow.study.recipe import Recipe
from winnow.study.recipe_axes import CORRECTED
from winnow.study.sensitivity import Setting

log = logging.getLogger(__name__)
Noise = Mapping[str, Mapping[str, float]]
"""By layer and circuit: mean squared difference of the logits, as a share of their variance."""
_PROBED = 256  # validation images on which layers are measured one by one


def assign(
    module: GraphModule,
    batches: Sequence[Tensor],
    validation: Labelled,
    scorer: Scorer,
    candidates: Sequence[Multiplier],
    recipe: Recipe,
    limit: float,
    run: str,
) -> Assignment:
    """Find the assignment of least power whose network loses no more accuracy than it may.

    That more power saved is no better is assumed. Where int8 with exact multipliers loses too much already, they stay.

    Args:
        module: int8, as `quantize_static` returns it.
        batches: calibration images, normalized float32 [N, C, H, W].
        scorer: of the float network on the validation images.
        candidates: circuits whose power is known; the exact multiplier is always one.
        recipe: whether mean errors are corrected, and how many bits an exact multiplier has.
        limit: how much top-1 accuracy may be lost on the validation images, a share. What will be trained through its
            circuits wins most of it back, so that it may lose more.
        run: begins messages.

    Raises:
        WinnowError: the power of a candidate is not known, or no layer is on integers.
    """
    known = {found.name: found for found in (exact_multiplier(recipe), *candidates)}
    batches = batches[:CORRECTED_ON]
    circuits = {name: circuit(one) for name, one in known.items()}
    exact = circuits[EXACT]
    found = {layer.layer: layer for layer in operands(approximate(module, lambda _: exact), batches[:1])}
    macs = {name: layer.macs for name, layer in found.items()}
    if not macs:
        raise WinnowError(
            f"{run}: no layer computes on integers, so none can be given a multiplier; leave the recipe out"
        )
    images = _few([some for some, _ in validation])
    measured = noise(module, batches, images, list(known.values()), corrected=recipe.circuit_error == CORRECTED)
    steps = list(saving_steps(measured, macs, known))
    costs = [_cost(macs, {layer: known[name] for layer, name in step.items()}) for step in steps]
    tried: dict[int, Setting] = {}

    def good(step: int) -> bool:
        multipliers = Multipliers.assigned({layer: known[name] for layer, name in steps[step].items()})
        tried[step] = scorer.score(multiplied(module, batches, recipe, multipliers))
        top1 = tried[step].top1
        log.info("%s: at %.1f %% of the power, top-1 is %.2f %%", run, 100 * costs[step].power, 100 * top1)
        return top1 >= scorer.floats.top1 - limit

    last = len(steps) - 1
    chosen = last - least_good(last, lambda spared: good(last - spared)) if good(0) else 0
    return Assignment(
        limit=limit,
        samples=scorer.samples,
        probed=sum(map(len, images)),
        floats=scorer.floats,
        circuits=tuple(known.values()),
        layers=tuple(
            AssignedLayer(
                layer=layer,
                multiplier=name,
                macs=macs[layer] / sum(macs.values()),
                noise=dict(measured[layer]),
                error=circuit_error(circuits[name], found[layer].pairs),
            )
            for layer, name in steps[chosen].items()
        ),
        cost=costs[chosen],
        chosen=chosen,
        curve=tuple(TriedAssignment(step, costs[step].power, tried[step]) for step in sorted(tried)),
    )


def _few(batches: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return some of the images, of all classes, in batches of the size of the first."""
    images = torch.cat(list(batches))
    found: Sequence[Tensor] = images[torch.from_numpy(sample(len(images), _PROBED))].split(len(batches[0]))
    return found


def _cost(macs: Mapping[str, int], multipliers: Mapping[str, Multiplier]) -> Cost:
    cost = network_cost(macs, multipliers)
    assert cost is not None  # saving_steps has refused what has none
    return cost


@torch.no_grad()
def noise(
    module: GraphModule,
    batches: Sequence[Tensor],
    images: Sequence[Tensor],
    candidates: Sequence[Multiplier],
    *,
    corrected: bool = True,
) -> Noise:
    """Measure what each circuit in each layer does to the logits, all other layers exact.

    Args:
        batches: calibration images, which mean errors are corrected on.
        images: what the logits are of, likewise float32 [N, C, H, W].
        corrected: whether mean errors are.
    """
    circuits = {found.name: circuit(found) for found in candidates}
    exact = circuits[EXACT]
    network = approximate(module, lambda _: exact)
    places = {child: name for name, child in network.named_modules() if isinstance(child, ApproximateLayer)}
    reference = torch.cat([network(some) for some in images])
    measured = {}
    biases = {}  # not the layers: those of all circuits at once would take too much memory
    for layer, codes in layer_by_layer(network, batches):
        measured[layer.source.name] = {EXACT: 0.0}
        for name, found in circuits.items():
            if name == EXACT:
                continue
            trial = approximate_layer(layer.source, found)
            biases[layer, name] = lacking(trial, codes).round() if corrected else 0.0
    for (layer, name), bias in biases.items():
        trial = approximate_layer(layer.source, circuits[name])
        trial.bias += bias
        network.set_submodule(places[layer], trial)
        logits = torch.cat([network(some) for some in images])
        network.set_submodule(places[layer], layer)
        share = (logits - reference).double().square().mean() / reference.double().var()
        measured[layer.source.name][name] = float(share)
    return measured


def saving_steps(noise: Noise, macs: Mapping[str, int], known: Mapping[str, Multiplier]) -> Iterator[dict[str, str]]:
    """Yield assignments of ever less power, each from the one before by the step that saves most for its noise.

    Args:
        macs: multiply-accumulates of each layer.
        known: circuits by name, the exact one among them.

    Yields:
        The name of the circuit of each layer.

    Raises:
        WinnowError: the power of one is not known.
    """
    power = {name: _power(found) for name, found in known.items()}
    current = dict.fromkeys(noise, EXACT)
    while True:
        yield dict(current)
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
