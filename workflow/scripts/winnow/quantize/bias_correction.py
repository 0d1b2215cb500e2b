"""Bias correction: the mean error that rounding leaves in each channel is taken from its bias (Nagel et al. 2019)."""

from __future__ import annotations

from dataclasses import replace

import torch

from winnow.quantize.walk import Meeting
from winnow.quantize.weights import IntegerWeights, integer_weights


def corrected(meeting: Meeting, chosen: IntegerWeights) -> IntegerWeights:
    """Return the integers of a layer with another bias, so that on the images of a walk no channel is off on average.

    The mean is over images and places. It is the error of this layer and of all before it, as these are corrected.
    """
    weight, bias = chosen.float_weight, chosen.float_bias
    errors = [
        (wanted - meeting.output(value, weight, bias)).transpose(0, 1).flatten(1)
        for value, wanted in zip(meeting.inputs, meeting.wanted, strict=True)
    ]
    error = torch.cat(errors, dim=1).double().mean(1).float()
    shifted = error if bias is None else bias + error
    weights = replace(meeting.weights, bias=shifted)
    return integer_weights(weights, chosen.codes, chosen.scales, meeting.scale)
