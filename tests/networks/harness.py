"""One network of the gauntlet through every stage, with what a user would ship from each."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from networks.record import Network
from samples import training_settings
from winnow.config.settings import QatSettings
from winnow.deploy.export import export_onnx
from winnow.deploy.repeatable import check_repeatable
from winnow.models.copies import copied
from winnow.models.outputs import give_logits_only, logits_of
from winnow.prune.channel_groups import channel_groups
from winnow.prune.channels import channel_scores, remove_channels
from winnow.prune.layers import check_zeros_stay, prunable_weights, weights_of
from winnow.prune.masks import Masks
from winnow.prune.selection import select
from winnow.quantize.aware import AwareTraining
from winnow.quantize.dynamic import quantize_dynamic
from winnow.quantize.static import quantize_static
from winnow.rng import generator
from winnow.study.recipe import Recipe

STEPS, TUNING_STEPS, BATCH, IMAGES = 30, 6, 32, 128


@dataclass(frozen=True)
class Artifact:
    """A file, what was exported, and the float network that it stands for."""

    path: Path
    module: nn.Module
    counterpart: nn.Module


def patterns(network: Network, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy images of a coarse pattern for each class: float32 [count, C, H, W], int64 [count]."""
    channels, height, width = network.shape
    templates = torch.randn(network.classes, channels, 4, 4, generator=generator(network.classes))
    labels = torch.randint(network.classes, (count,), generator=generator(seed, 1))
    images = functional.interpolate(templates[labels], (height, width), mode="bilinear")
    return images + 0.3 * torch.randn(images.shape, generator=generator(seed, 2)), labels


FLOAT = ("fp32", "masks", "channels")


class Gauntlet:
    """The stages of one network; each is made once, when it is asked for."""

    def __init__(self, network: Network, folder: Path):
        self.network, self.folder = network, folder
        self.images, self.labels = patterns(network, 256, seed=1)
        self.held_out, _ = patterns(network, IMAGES, seed=2)

    @cached_property
    def trained(self) -> nn.Module:
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(0)
        channels, *size = self.network.shape
        model = self.network.factory(channels, tuple(size), self.network.classes)
        give_logits_only(model)
        with torch.no_grad():
            model.eval()(self.images[:2])
        return self.tuned(model, STEPS).eval()

    def tuned(self, model: nn.Module, steps: int, after_step=lambda: None, rate: float = 0.005) -> nn.Module:
        """Train in place for a few steps."""
        torch.manual_seed(0)
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        for step in range(steps):
            self.step(model, optimizer, step)
            after_step()
        return model

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        index = torch.arange(step * BATCH, (step + 1) * BATCH) % len(self.images)
        optimizer.zero_grad()
        functional.cross_entropy(logits_of(model(self.images[index])), self.labels[index]).backward()
        optimizer.step()

    def artifact(self, stage: str) -> Artifact:
        return getattr(self, stage)

    @cached_property
    def fp32(self) -> Artifact:
        return self._exported("fp32", self.trained, self.trained)

    @cached_property
    def dynamic(self) -> Artifact:
        path = self.folder / "dynamic.onnx"
        quantize_dynamic(self.fp32.path, path, Recipe("dynamic"))
        return Artifact(path, self.trained, self.trained)

    @cached_property
    def ptq(self) -> Artifact:
        return self._exported("ptq", self._quantized(self.trained), self.trained)

    @cached_property
    def qat(self) -> Artifact:
        settings = QatSettings(
            freeze_observers_epoch=2, freeze_batchnorm_epoch=3, training=training_settings(), distill=None
        )
        aware = AwareTraining(self.trained, self.images[:BATCH], settings, Recipe("qat"))
        trainee = aware.trainee
        optimizer = torch.optim.AdamW(trainee.model.parameters(), lr=0.0003)
        for epoch in range(3):
            trainee.before_epoch(epoch)
            trainee.set_mode(trainee.model, True)
            for step in range(TUNING_STEPS // 3):
                self.step(trainee.model, optimizer, step)
        trainee.set_mode(trainee.model, False)
        return self._exported("qat", aware.convert(), aware.float_model())

    @cached_property
    def masks(self) -> Artifact:
        model = copy.deepcopy(self.trained)
        weights = prunable_weights(weights_of(model, self.images[:1], self.network.name), (), self.network.name)
        check_zeros_stay(weights, self.network.name)
        keep = {}
        for weight in weights.values():
            values = model.get_parameter(weight.parameter).detach().abs()
            keep[weight.parameter] = values > values.median()
        self.masked = sum(int((~kept).sum()) for kept in keep.values())
        masks = Masks(keep)
        masks.apply(model)
        model = self.tuned(model, TUNING_STEPS, masks.enforcer(model), 0.001).eval()
        masks.check(model, self.network.name)
        return self._exported("masks", model, model)

    @cached_property
    def narrow(self) -> nn.Module:
        model, example, run = copied(self.trained), self.images[:1], self.network.name
        weights = {name: weight for name, weight in weights_of(model, example, run).items() if weight.multiplied}
        spared = {list(weights)[-1]: "the classifier, with an output for each class"}
        groups = channel_groups(model, example, weights, spared, run).groups
        scores = {name: model.get_parameter(weight.parameter).detach().abs() for name, weight in weights.items()}
        ranked = channel_scores(groups, scores, "l1")
        alive = {root: torch.ones(len(values), dtype=torch.bool) for root, values in ranked.items()}
        options = {"scope": "local", "min_density": 0.0, "random": generator(0), "run": run}
        keep = select(ranked, alive, 0.5, **options)
        remove_channels(model, example, keep, run)
        return self.tuned(model, TUNING_STEPS, rate=0.001).eval()

    @cached_property
    def channels(self) -> Artifact:
        return self._exported("channels", self.narrow, self.narrow)

    @cached_property
    def channels_ptq(self) -> Artifact:
        return self._exported("channels_ptq", self._quantized(self.narrow), self.narrow)

    def _quantized(self, model: nn.Module) -> nn.Module:
        return quantize_static(model, self.images.split(64), Recipe("ptq"))

    def _exported(self, stage: str, module: nn.Module, counterpart: nn.Module) -> Artifact:
        path = self.folder / f"{stage}.onnx"
        export_onnx(module, self.images[:4], path, {"run": self.network.name})
        check_repeatable(path, self.images[:8].numpy(), self.network.name, integer=stage not in FLOAT)
        return Artifact(path, module, counterpart)


def multiplications(model: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of one image, counted by torch: every product, that of two activations too."""
    model = copy.deepcopy(model).requires_grad_(False)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # none of the fused forms is counted
    try:
        plain = torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH)
        with torch.no_grad(), plain[0], plain[1], FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return counter.get_total_flops() // 2
