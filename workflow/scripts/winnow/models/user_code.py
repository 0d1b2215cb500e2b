"""Code that is not ours may raise anything: one line says what, where and what to do, the log has the traceback."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from winnow.errors import Interrupted, WinnowError

log = logging.getLogger(__name__)
_LONGEST_CAUSE = 300


@contextmanager
def user_code(label: str, stage: str, advice: str, model: nn.Module | None = None) -> Iterator[None]:
    """Run code of a user's network, or of a library on it.

    Args:
        label: the run or the model.
        stage: what does not work if something is raised, e.g. `cannot be exported`.
        advice: what to do then.
        model: names of layers are names in it; without, in the outermost network that was running.

    Raises:
        WinnowError: whatever was raised, but for our own errors; with the layer that was running, if one was.
    """
    try:
        yield
    except (WinnowError, Interrupted):
        raise
    except (Exception, SystemExit) as error:
        log.info("%s: %s", label, stage, exc_info=True)
        origin = _origin(error)
        layer = running_layer(origin, model)
        where = f" in layer {layer}" if layer else ""
        raise WinnowError(f"{label}: {stage}{where} ({cause_of(origin)}); {advice}") from error


def imported(path: str, label: str) -> Any:
    """Return what an import path, `package.module:attribute`, leads to.

    Args:
        label: begins the message, e.g. `model mine: cannot import factory`.

    Raises:
        WinnowError: the module cannot be imported, or has no such attribute.
    """
    module, _, attribute = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # the user's package lies where snakemake was started
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the user's module may raise anything
        log.info("%s %s", label, path, exc_info=True)
        raise WinnowError(
            f"{label} {path!r} ({cause_of(error)}); looked on the Python path and in {Path.cwd()}"
        ) from error


def cause_of(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says; our own say it themselves."""
    if isinstance(error, WinnowError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f": {lines[0][:_LONGEST_CAUSE]}" if lines else ""
    return f"{type(error).__name__}{text}"


def _origin(error: BaseException) -> BaseException:
    """Exporters wrap what a network raises, and say pages about themselves."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def running_layer(error: BaseException, model: nn.Module | None) -> str:
    """Return the name of the innermost module in the traceback, which may be of a copy of the model."""
    frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    running = [module for module in frames if isinstance(module, nn.Module)]
    roots = [module for module in running if model is None or type(module) is type(model)]
    if not roots:
        return ""
    names = {module: name for name, module in roots[0].named_modules()}
    return next((names[module] for module in reversed(running) if module in names), "")
