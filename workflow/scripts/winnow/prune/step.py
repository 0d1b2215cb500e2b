"""One step of pruning: choose by scores, remove, and go back to the weights that are trained next."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from winnow.config.settings import ModelSettings, PruningSettings, StrategySettings
from winnow.data.dataset import ImageDataset
from winnow.models.build import blank_image, build_model, load_model
from winnow.models.copies import copied
from winnow.models.narrowing import Cut, kept_places, read_cut, replay
from winnow.models.user_code import user_code
from winnow.models.weights import read_state
from winnow.prune.channel_groups import channel_groups
from winnow.prune.channels import channel_scores, original_channels, remove_channels
from winnow.prune.criteria import weight_scores
from winnow.prune.layers import check_zeros_stay, prunable_weights, weights_of
from winnow.prune.masks import Masks, load_masks
from winnow.prune.probing import Probes, without_channels, without_weights
from winnow.prune.rewinding import check_rewound, loaded, untied_state, wide_state
from winnow.prune.scoring import Scoring
from winnow.prune.selection import check_count, density, select, shuffled
from winnow.prune.sparsity import sparsity_of
from winnow.rng import generator
from winnow.study.sparsity import Group, LeftAlone, Sparsity
from winnow.study.vocabulary import STRUCTURES, criterion

_ADVICE = "use another pruning.criterion, or leave this network out of pruning.models"
_SCORES, _TIES, _SHUFFLE = 3, 4, 5  # name streams of random numbers


@dataclass(frozen=True)
class PrunedNetwork:
    """What a step of pruning leaves to be trained.

    Attributes:
        model: with the weights to train from.
        masks: what must stay zero; empty when channels are removed.
        cut: what was removed, earlier rounds included; empty for masks.
        sparsity: what is left, and of what.
    """

    model: nn.Module
    masks: Masks
    cut: Cut
    sparsity: Sparsity


@dataclass(frozen=True)
class Ancestors:
    """Files that a step starts from.

    Attributes:
        weights: of the network to prune, the last round's or the dense one's.
        masks: of the last round, None in the first.
        snapshot: the weights to rewind to, None if there are none.
        init: the initial weights, for `snip`; else None.
    """

    weights: str | Path
    masks: str | Path | None
    snapshot: str | Path | None
    init: str | Path | None


def prune(
    files: Ancestors,
    model: ModelSettings,
    data: ImageDataset,
    strategy: StrategySettings,
    settings: PruningSettings,
    *,
    slug: str,
    number: int,
    seed: int,
    run: str,
) -> PrunedNetwork:
    """Take round `number` of a strategy, whose name is `slug`.

    Raises:
        WinnowError: files that do not fit, layers that cannot be pruned, or a violated invariant: what stays is
            not what was requested, or the rewound weights are not those of the snapshot.
    """
    return _Step(
        files=files,
        model=model,
        data=data,
        strategy=strategy,
        settings=settings,
        slug=slug,
        number=number,
        seed=seed,
        run=run,
    ).result()


@dataclass
class _Step:
    files: Ancestors
    model: ModelSettings
    data: ImageDataset
    strategy: StrategySettings
    settings: PruningSettings
    slug: str
    number: int
    seed: int
    run: str

    def __post_init__(self) -> None:
        self.example = blank_image(self.data.task)
        self.previous = load_model(self.model, self.data.task, self.files.weights)
        self.cut = read_cut(self.files.weights)
        self.masks = load_masks(self.files.masks) if self.files.masks else Masks({})
        self.wide = build_model(self.model, self.data.task, seed=0).eval()
        self.weights = weights_of(self.previous, self.example, self.run)
        self.layers = {name: weight for name, weight in self.weights.items() if weight.multiplied}
        self.prunable = prunable_weights(self.weights, self.settings.skip_layers, self.run)
        self.share = density(self.strategy.ratio, self.number, self.strategy.rounds)

    def result(self) -> PrunedNetwork:
        if STRUCTURES[self.strategy.structure].narrow:
            return self._channels()
        return self._unstructured()

    def _unstructured(self) -> PrunedNetwork:
        check_zeros_stay(self.prunable, self.run)
        scores = self._scores(self.prunable)
        alive = {
            name: self.masks.keep.get(weight.parameter, torch.ones_like(scores[name], dtype=torch.bool)).flatten()
            for name, weight in self.prunable.items()
        }
        places = {name: self.prunable[name].parameter for name in scores}
        self.probes = Probes(self.data, partial(without_weights, self.previous, places))
        keep = self._select({name: score.flatten() for name, score in scores.items()}, alive)
        masks = Masks({self.prunable[name].parameter: kept.view(scores[name].shape) for name, kept in keep.items()})
        source = self._source() or read_state(self.files.weights)
        start = loaded(self.wide, source, self.run)
        masks.apply(start)
        masks.check(start, self.run)
        check_rewound(untied_state(start), source, masks, None, self.run)
        return PrunedNetwork(model=start, masks=masks, cut=[], sparsity=self._sparsity(keep, start, masks))

    def _channels(self) -> PrunedNetwork:
        found = channel_groups(self.previous, self.example, self.prunable, self._spared_channels(), self.run)
        groups = found.groups
        members = {layer for group in groups for layer in group.layers}
        scores = channel_scores(groups, self._scores(members), self.strategy.criterion)
        # every mask is over the channels of the wide network, so that shares are shares of it
        origin = original_channels(self.wide, self.cut, [group.root for group in groups], self.example)
        alive, spread = {}, {}
        for root, (width, places) in origin.items():
            alive[root] = torch.zeros(width, dtype=torch.bool)
            alive[root][places] = True
            spread[root] = torch.zeros(width)
            spread[root][places] = scores[root]
        self.probes = Probes(self.data, partial(without_channels, self.previous, origin, self.example))
        keep = self._select(spread, alive)
        narrow = copied(self.previous)
        removals = remove_channels(
            narrow, self.example, {root: keep[root][places] for root, (_, places) in origin.items()}, self.run
        )
        source = self._source()
        if source is None:
            start, cut, wide = narrow, [removals], self.previous
            source = read_state(self.files.weights)
        else:
            start, cut, wide = loaded(copied(self.wide), source, self.run), [*self.cut, removals], self.wide
            replay(start, cut, self.example)
        check_rewound(start.state_dict(), source, Masks({}), kept_places(wide, cut, self.example), self.run)
        sparsity = self._sparsity(keep, start, Masks({}))
        removed = tuple(
            Group(group.root, tuple(group.layers), width=origin[group.root][0], kept=int(keep[group.root].sum()))
            for group in groups
        )
        left_alone = tuple(LeftAlone(layer, reason) for layer, reason in found.left_alone.items())
        sparsity = replace(sparsity, groups=removed, left_alone=left_alone)
        return PrunedNetwork(model=start, masks=Masks({}), cut=[*self.cut, removals], sparsity=sparsity)

    def _spared_channels(self) -> dict[str, str]:
        """Return the layers that keep their channels by rule, with the reason."""
        spared = {name: "listed in pruning.skip_layers" for name in self.layers if name not in self.prunable}
        return spared | {list(self.layers)[-1]: "the classifier, with an output for each class"}

    def _source(self) -> dict[str, Tensor] | None:
        return wide_state(self.strategy.rewind, self.files.snapshot, self.model, self.data, self.seed)

    def _scores(self, layers: Container[str]) -> dict[str, Tensor]:
        """Return float32 by layer, in the shape of its weight."""
        network, name = self.previous, self.strategy.criterion
        if criterion(name).initial:
            if self.files.init is None:
                raise ValueError(f"{self.run}: {name} scores the initial weights, and none are given")
            network = loaded(copied(self.wide), read_state(self.files.init), self.run)
            replay(network, self.cut, self.example)
            self.masks.apply(network)
        scoring = Scoring(
            criterion=name,
            model=network,
            # in the order of the network, whatever that of `layers`: a random draw is a function of the seed
            weights={
                layer: network.get_parameter(weight.parameter)
                for layer, weight in self.weights.items()
                if layer in layers
            },
            data=self.data,
            samples=self.settings.calibration_samples,
            random=generator(self.seed, _SCORES, self.number),
            run=self.run,
        )
        with user_code(self.run, f"the network cannot be scored by {name}", _ADVICE, network):
            return weight_scores(scoring)

    def _select(self, scores: Mapping[str, Tensor], alive: Mapping[str, Tensor]) -> dict[str, Tensor]:
        keep = select(
            scores,
            alive,
            self.share,
            scope=self.strategy.scope,
            min_density=self.settings.min_density,
            random=generator(self.seed, _TIES, self.number),
            run=self.run,
            loss_of=lambda name, keep: self.probes.loss(name, keep, alive[name]),
        )
        if self.strategy.shuffle == "layerwise":
            keep = shuffled(keep, alive, generator(self.seed, _SHUFFLE, self.number))
        return keep

    def _sparsity(self, keep: Mapping[str, Tensor], start: nn.Module, masks: Masks) -> Sparsity:
        unit = STRUCTURES[self.strategy.structure].unit
        spared = self.weights.keys() - self.prunable.keys()
        found = sparsity_of(keep, self.weights, spared, self.wide, start, masks)
        check_count(found["kept"], found["total"], self.share, self.run, unit)
        return Sparsity(
            strategy=self.slug,
            round=self.number,
            axes=asdict(self.strategy),
            unit=unit,
            requested=1 - self.share,
            curves=self.probes.curves,
            **found,
        )
