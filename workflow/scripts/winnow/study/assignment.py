"""multipliers.json: which layer of a network multiplies with which circuit, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.study.multiplication import CircuitError
from winnow.study.multipliers import Cost, Multiplier
from winnow.study.record import Record
from winnow.study.sensitivity import Setting


@dataclass(frozen=True)
class AssignedLayer:
    """One layer.

    Attributes:
        multiplier: the name of its circuit.
        macs: its share of what all layers on integers multiply for one image.
        noise: what each circuit in this layer alone does to the logits, by its name: mean squared difference from exact
            multipliers, as a share of the variance of the logits.
        error: of its circuit, over the pairs of operands that the layer multiplies on calibration images.
    """

    layer: str
    multiplier: str
    macs: float
    noise: Mapping[str, float]
    error: CircuitError


@dataclass(frozen=True)
class TriedAssignment:
    """A step of the search.

    Attributes:
        step: how many times a layer was given a cheaper circuit.
        power: of the multiplications, relative to exact 8 x 8 multipliers.
        setting: what the network scores on validation images, its mean errors corrected if the recipe corrects them.
    """

    step: int
    power: float
    setting: Setting


@dataclass(frozen=True)
class Assignment(Record):
    """The cheapest circuits with which a network is accurate enough, in the order of its layers.

    Attributes:
        limit: how much top-1 accuracy it may lose as calibrated, a share; what will be trained may lose more.
        samples: validation images.
        probed: how many of them the noise of single layers was measured on.
        floats: what the float network scores.
        circuits: all that were to choose from, the exact one among them.
        cost: of the multiplications, each layer weighted by what it multiplies.
        chosen: the step that was chosen; 0 has exact multipliers everywhere.
        curve: all steps that were tried, from the most power to the least.
    """

    limit: float
    samples: int
    probed: int
    floats: Setting
    circuits: tuple[Multiplier, ...]
    layers: tuple[AssignedLayer, ...]
    cost: Cost
    chosen: int
    curve: tuple[TriedAssignment, ...]

    @property
    def by_layer(self) -> dict[str, Multiplier]:
        """Return the circuit of each layer."""
        known = {circuit.name: circuit for circuit in self.circuits}
        return {layer.layer: known[layer.multiplier] for layer in self.layers}
