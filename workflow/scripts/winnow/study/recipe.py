"""A recipe: one way of quantizing a network. Imported by the Snakefile, so it must not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from winnow.study.multipliers import EXACT, Multiplier, OwnMultiplier, described
from winnow.study.recipe_axes import AUTO, CORRECTED, EQUALIZATION, FULL_BITS
from winnow.study.vocabulary import PRECISIONS


@dataclass(frozen=True)
class Recipe:
    """What a quantized form is made by; axes that its method does not use keep their defaults.

    Attributes:
        method: of `vocabulary.METHODS`.
        observer: how ranges of activations are chosen: histogram, minmax, mean, percentile or entropy.
        calibration_samples: training images that ranges are observed on.
        weight_bits: 2 to 8; of fewer than 8, fewer levels of int8 are used.
        activation_bits: 4 to 8; of fewer than 8, fewer levels of uint8 are used.
        weights: what shares one scale, `per_channel` or `per_tensor`.
        correction: what makes up for the error of rounding: none, `bias` or `equalization`.
        rounding: of weights, `nearest` or `adaround`.
        keep_float: number of layers left in float, those that hurt most; `auto` for as few as the limit allows.
        overflow: `safe` keeps sums of two products within 16 bits, for processors without VNNI; else `fast`.
        distill: weight of the dense network's answers in the loss of a training run; 0 for the labels alone.
        multiplier: that integers are multiplied with, by its name (see `multipliers`) or as the user describes it;
            `auto` gives each layer its own, as cheap as the limit allows.
        circuit_error: what is done about the mean error of that: `corrected` or left.
    """

    method: str
    observer: str = "histogram"
    calibration_samples: int = 1024
    weight_bits: int = FULL_BITS
    activation_bits: int = FULL_BITS
    weights: str = "per_channel"
    correction: str = "none"
    rounding: str = "nearest"
    keep_float: int | str = 0
    overflow: str = "fast"
    distill: float = 0.0
    multiplier: OwnMultiplier | str = EXACT
    circuit_error: str = CORRECTED

    @property
    def axes(self) -> dict[str, float | str]:
        """Return the axes that decide what comes of it, with their values, of a user's circuit its name; an exact
        multiplier has no error."""
        used = (axis for axis in PRECISIONS[self.method].axes if self.approximate or axis != "circuit_error")
        values = {axis: getattr(self, axis) for axis in used}
        return {axis: value.name if isinstance(value, OwnMultiplier) else value for axis, value in values.items()}

    @property
    def rescales_layers(self) -> bool:
        """Whether layers compute their channels in another scale than in float, so that they cannot be compared."""
        return self.correction == EQUALIZATION

    @property
    def fewer_levels(self) -> bool:
        """Whether it rounds more coarsely than int8 can: what it loses by that is what was asked for."""
        return min(self.weight_bits, self.activation_bits) < FULL_BITS

    @property
    def approximate(self) -> bool:
        """Whether its multiplier is one that no processor here has, so that its file simulates it."""
        return self.multiplier != EXACT

    @property
    def unspared(self) -> Recipe:
        """Return what is measured to find the layers that stay in float: none does, and all multiply exactly."""
        return replace(self, keep_float=0, multiplier=EXACT, circuit_error=CORRECTED)

    @property
    def assigned(self) -> bool:
        """Whether each layer has a multiplier of its own, chosen for the network."""
        return self.multiplier == AUTO

    @property
    def circuit(self) -> Multiplier:
        """Return the one multiplier of all layers.

        Raises:
            WinnowError: each layer has its own.
        """
        return described(self.multiplier)
