"""Weights from elsewhere held against a network: they fit to the last name and shape, or one line says where not."""

from __future__ import annotations

import difflib
from collections.abc import Container, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.errors import WinnowError
from winnow.models.head import inside

_COUNTED = "num_batches_tracked"  # of a batch norm, in no file from before torch 0.4.1; inference does not read it
_AVERAGED = "n_averaged"  # what torch.optim.swa_utils.AveragedModel adds
_COMPILED = "_orig_mod"  # what torch.compile adds to names
_LISTED = 4


@dataclass(frozen=True)
class Target:
    """What weights are to fit.

    Attributes:
        state: parameters and buffers of the network by name, with fresh values.
        head: name of its last layer.
        classes: that the data set has.
    """

    state: Mapping[str, Tensor]
    head: str
    classes: int

    @property
    def head_names(self) -> set[str]:
        return {name for name in self.state if inside(name, self.head)}


def fitted(given: Mapping[str, Tensor], target: Target, *, new_head: bool, where: str) -> dict[str, Tensor]:
    """Return weights by the names of a network, in its shapes and types.

    Args:
        given: tensors by the names of the file; what wrappers add in front of every name is removed.
        new_head: those of the last layer are left out.
        where: begins errors.

    Raises:
        WinnowError: names, shapes or types differ, or values are not finite.
    """
    left_out = target.head_names if new_head else set()
    wanted = {name: value for name, value in target.state.items() if name not in left_out}
    found = _plain_names(given, target.state)
    found = {name: value for name, value in found.items() if not (new_head and inside(name, target.head))}
    found = {name: wanted[name] for name in wanted if name.endswith(_COUNTED)} | found
    _check_types(found, wanted, where)
    _check_names_and_shapes(found, wanted, target, where)
    for name, value in found.items():
        if not torch.isfinite(value).all() and torch.isfinite(wanted[name]).all():
            raise WinnowError(
                f"{where}: {name} is not finite everywhere; give weights of a training that did not diverge"
            )
    return {name: found[name].contiguous() for name in wanted}


def _plain_names(given: Mapping[str, Tensor], expected: Container[str]) -> dict[str, Tensor]:
    """Return tensors without what torch.compile and wrappers such as DataParallel add to names.

    A first part that all names share is removed as long as none is a name of the network; if none ever is, all stay.
    """
    found = {".".join(part for part in name.split(".") if part != _COMPILED): given[name] for name in given}
    while not any(name in expected for name in found):
        found = {name: value for name, value in found.items() if name != _AVERAGED}
        if len({name.partition(".")[0] for name in found}) != 1 or any("." not in name for name in found):
            return dict(given)
        found = {name.partition(".")[2]: value for name, value in found.items()}
    return found


def _check_types(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    other = [name for name in wanted if name in found and found[name].dtype != wanted[name].dtype]
    if not other:
        return
    kind, own = (str(tensors[other[0]].dtype).removeprefix("torch.") for tensors in (found, wanted))
    advice = (
        f"store them as they were trained, in {own}" if found[other[0]].is_floating_point() else "are they quantized?"
    )
    raise WinnowError(f"{where}: {len(other)} tensors are {kind} instead of {own}, first {other[0]}; {advice}")


def _check_names_and_shapes(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], target: Target, where: str
) -> None:
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    other = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    if not (missing or extra or other):
        return
    if not (missing or extra) and target.head_names.issuperset(other) and len(set(_rows(found, other))) == 1:
        raise WinnowError(
            f"{where}: its last layer, {target.head}, is for {_rows(found, other)[0]} classes, and the data set has "
            f"{target.classes}; with new_head: true it gets a fresh one, to be trained"
        )
    shapes = [f"{name} ({_shape(found[name])}, the network's {_shape(wanted[name])})" for name in other]
    parts = {"missing": [_with_nearest(name, extra) for name in missing], "extra": extra, "of another shape": shapes}
    listed = "; ".join(f"{len(names)} {what}: {_listed(names)}" for what, names in parts.items() if names)
    raise WinnowError(f"{where}: does not fit the network: {listed}; give the network that these weights are of")


def _rows(found: Mapping[str, Tensor], names: list[str]) -> list[int]:
    return [found[name].shape[0] if found[name].dim() else 0 for name in names]


def _with_nearest(name: str, extra: list[str]) -> str:
    near = difflib.get_close_matches(name, extra, n=1)
    return f"{name} (nearest {near[0]})" if near else name


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"
