"""Weights that were trained elsewhere, as a study keeps them: by the names of the network, checked to fit it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

from winnow.config.catalog import TORCHVISION
from winnow.config.settings import ImportSettings, ModelSettings
from winnow.data.fitting import Fitting
from winnow.data.stated import stated
from winnow.errors import WinnowError
from winnow.files import safetensors_metadata, write_bytes
from winnow.models.build import blank_image, build_model
from winnow.models.checkpoints import read_checkpoint
from winnow.models.fitting import Target, fitted
from winnow.models.head import head_of
from winnow.models.weights import load_state, read_state
from winnow.study.task import Task

log = logging.getLogger(__name__)
_FRESH = "fresh"  # in the header of a file: what it leaves to the network


def import_weights(path: str | Path, settings: ImportSettings, network: ModelSettings, task: Task) -> None:
    """Write the weights of another program as a study keeps them.

    Args:
        path: to write to.

    Raises:
        WinnowError: they cannot be read, or do not fit the network.
    """
    where = f"models.{settings.label}.{settings.entry}: {settings.weights}"
    model = build_model(network, task, seed=0)
    target = Target(model.state_dict(), head_of(model, blank_image(task), f"model {settings.label}"), task.classes)
    given = _given(settings, where)
    state = fitted(given, target, new_head=settings.new_head, where=where)
    fresh = sorted(target.state.keys() - state.keys())
    log.info("%s: %d tensors fit the network; fresh: %s", where, len(state), ", ".join(fresh) or "none")
    write_bytes(path, save({name: value.clone() for name, value in state.items()}, {_FRESH: json.dumps(fresh)}))


def remark_on_images(settings: ImportSettings, fitting: Fitting) -> None:
    """Log if images come to their size in another way than torchvision states for its weights.

    Args:
        fitting: how those of the data set do.
    """
    name = settings.weights.removeprefix(TORCHVISION)
    known = stated(name) if name != settings.weights else None
    found = fitting.resize, fitting.size, fitting.interpolation
    if known and found != (known.resize, known.crop, known.interpolation):
        log.warning(
            "models.%s.%s: torchvision scores %s on images with %s; those of the data set come to their size otherwise",
            *(settings.label, settings.entry, name, known),
        )


def load_imported(path: str | Path, model: nn.Module) -> None:
    """Load what `import_weights` wrote into a network, in place; a fresh head stays.

    Raises:
        WinnowError: the file is damaged, or does not fit the network.
    """
    fresh, own = json.loads(safetensors_metadata(path).get(_FRESH, "[]")), model.state_dict()
    try:
        load_state(model, read_state(path) | {name: own[name] for name in fresh})
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WinnowError(f"{path}: does not fit the network ({reason}); delete it and run again") from error


def _given(settings: ImportSettings, where: str) -> dict[str, Tensor]:
    name = settings.weights.removeprefix(TORCHVISION)
    if name == settings.weights:
        return read_checkpoint(name, settings.key, where)
    from winnow.models.torchvision_weights import names_of_today, weights_file  # torchvision takes seconds to load

    return names_of_today(read_checkpoint(weights_file(name, where), settings.key, where))
