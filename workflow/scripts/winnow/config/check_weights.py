"""What is wrong between keys of networks that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from winnow.config.catalog import NETWORKS, TORCHVISION
from winnow.config.keys.pruning import Pruning
from winnow.config.keys.study import Configuration, Model
from winnow.config.keys.training import Training
from winnow.config.overrides import training_of
from winnow.study.grid import expand
from winnow.study.vocabulary import criterion
from winnow.study.words import NONE

_NEED_WEIGHTS = ("weights_key", "new_head", "initial_weights", "trained")
_OF_TUNING = ("freeze", "head_lr")


def weights_conflicts(config: Configuration) -> Iterator[str]:
    """Yield what does not go together in a network's weights, how it is trained and how it is pruned."""
    for name, model in config.models.items():
        training = training_of(config, name)
        yield from _weights_conflicts(name, model) if model.weights else _without_weights(name, model)
        yield from _training_conflicts(name, model, training)
    if config.training.rewind_epochs and all(model.weights for model in config.models.values()):
        yield "training.rewind_epochs: networks with weights have no early epochs to keep; remove it"
    if config.pruning:
        for name in config.pruning.chosen("models", config.models):
            yield from _pruning_conflicts(name, config.models[name], training_of(config, name), config.pruning)


def _without_weights(name: str, model: Model) -> Iterator[str]:
    for key in _NEED_WEIGHTS:
        if getattr(model, key) != type(model).model_fields[key].get_default():
            yield f"models.{name}.{key} says something of weights, and there are none; add models.{name}.weights"


def _weights_conflicts(name: str, model: Model) -> Iterator[str]:
    weights = (model.weights or "").removeprefix(TORCHVISION)
    if weights != model.weights and "." not in weights:
        builtin = "" if model.factory else model.name or name
        if builtin not in NETWORKS or not NETWORKS[builtin].weights:
            having = ", ".join(network for network, entry in NETWORKS.items() if entry.weights)
            yield (
                f"models.{name}.weights is {model.weights}, which torchvision has for {having}; give a file, or for a "
                f"factory the full name, as {TORCHVISION}ResNet18_Weights.IMAGENET1K_V1"
            )
    if weights != model.weights and model.weights_key:
        yield f"models.{name}.weights_key is for files; torchvision's weights have no key"
    if model.new_head and model.initial_weights:
        yield f"models.{name} has both new_head and initial_weights, which hold no such head; keep one"


def _training_conflicts(name: str, model: Model, training: Training) -> Iterator[str]:
    used = [key for key in _OF_TUNING if getattr(training, key)]
    if used and not model.weights:
        yield f"training of {name}: {used[0]} is for networks with weights; set it in models.<name>.training of those"
    if training.epochs:
        return
    if not model.weights:
        yield f"training of {name}: epochs is 0, and there are no weights to take as they are; set either"
    elif model.new_head:
        yield f"models.{name}.new_head begins with fresh weights, and epochs is 0; train it for some"
    elif used:
        yield f"training of {name}: {used[0]} has no effect with epochs: 0; remove it, or train for some"


def _pruning_conflicts(name: str, model: Model, training: Training, pruning: Pruning) -> Iterator[str]:
    """Yield what strategies need that nobody has: initial weights, early epochs, or a schedule to repeat."""
    if not model.weights:
        return
    strategies = expand(pruning.grid()).values()
    rewinds = {strategy["rewind"]: strategy["rewind_epoch"] for strategy in strategies}
    elsewhere = "leave it out, or the network (pruning.models)"
    for rewind, epoch in rewinds.items():
        if epoch:
            yield f"pruning.rewind lists {epoch}, and {name} was trained elsewhere: no early epochs of it; {elsewhere}"
        elif rewind != NONE and not training.epochs:
            yield f"pruning.rewind lists {rewind}, which trains again, and training of {name} has 0 epochs; {elsewhere}"
        elif epoch == 0 and not model.initial_weights:
            yield f"pruning.rewind lists {rewind}, and {name} has no initial_weights; give them, or {elsewhere}"
    for scored in dict.fromkeys(strategy["criterion"] for strategy in strategies):
        if criterion(scored).initial and not model.initial_weights:
            yield f"pruning.criterion lists {scored}, and {name} has no initial_weights; give them, or {elsewhere}"
