"""Whether a network is one that can be trained, measured and shipped: images in, a row of logits for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from winnow.errors import WinnowError
from winnow.models.outputs import give_logits_only
from winnow.models.user_code import user_code
from winnow.rng import generator

_TOLERANCE = 1e-4  # relative to the largest logit; kernels for other batch sizes add up in another order
_NOISE = 6  # names a stream of random numbers


def check_fit(model: nn.Module, label: str, shape: tuple[int, int, int], classes: int) -> None:
    """Run a network for the first time: lazy layers get their weights, further outputs are cut off.

    Args:
        label: names the model in errors.
        shape: (C, H, W).

    Raises:
        WinnowError: it does not run on such images, or what it gives are not logits.
    """
    images, size = _noise(2, shape), "x".join(map(str, shape))
    advice = "set image_size of the data set, or choose another network"
    with _inference(model), user_code(label, f"does not accept {size} images", advice, model):
        logits = model(images)
        if not isinstance(logits, Tensor):
            give_logits_only(model)
            logits = model(images)
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise WinnowError(f"{label}: for 2 images its output is {found}, expected logits of shape (2, {classes})")
    if logits.dtype != torch.float32:
        raise WinnowError(f"{label}: its logits are {logits.dtype}, expected torch.float32; end it in .float()")
    for name, value in model.state_dict().items():
        if isinstance(value, UninitializedParameter | UninitializedBuffer):
            raise WinnowError(f"{label}: {name} is lazy and no image reaches its layer; remove it from the network")
        if not isinstance(value, Tensor):
            raise WinnowError(f"{label}: {name} of its state is a {type(value).__name__}; keep tensors only")
    if not torch.isfinite(logits).all():
        raise WinnowError(
            f"{label}: its logits are not finite with initial weights; initialize every parameter, and scale less"
        )


def check_inference(model: nn.Module, label: str, shape: tuple[int, int, int]) -> None:
    """Check that in inference the logits of an image are a function of that image and of the weights.

    Raises:
        WinnowError: they change from call to call or with the other images of a batch, or a call changes the network;
            with the layer it begins in.
    """
    images, advice = _noise(4, shape), "it must accept batches of any size"
    with _inference(model), user_code(label, "inference fails", advice, model):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        first, again, fewer = model(images), model(images), model(images[:2])
    for name, value in model.state_dict().items():
        if not torch.equal(value, before[name]):
            raise WinnowError(f"{label}: inference changes its {name}; change it only `if self.training`")
    if not _same(first, again):
        layer = _first_difference(model, images, images)
        raise WinnowError(
            f"{label}: its logits change from call to call in inference, from {layer} on; what is random must "
            "rest unless self.training"
        )
    if not _same(first[:2], fewer):
        norms = [
            name for name, part in model.named_modules() if isinstance(part, _BatchNorm) and part.running_mean is None
        ]
        layer = f"layer {norms[0]}" if norms else _first_difference(model, images, images[:2])
        reason = "a batch norm without running statistics, set track_running_stats" if norms else "compute each alone"
        raise WinnowError(
            f"{label}: the logits of an image depend on the other images of its batch, from {layer} on; {reason}"
        )
    with _inference(model), user_code(label, "does not accept a single image", advice, model):
        alone = model(images[:1])
    if not _same(first[:1], alone):
        raise WinnowError(
            f"{label}: for 1 image its output is {tuple(alone.shape)}, expected logits of shape "
            f"{tuple(first[:1].shape)} as in a larger batch; keep the batch dimension"
        )


def _noise(count: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randn(count, *shape, generator=generator(_NOISE))


@contextmanager
def _inference(model: nn.Module) -> Iterator[None]:
    training = model.training
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        model.train(training)


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs agree within the rounding of another order of additions."""
    if one.shape != other.shape:
        return False
    return not one.numel() or float((one - other).abs().max()) <= _TOLERANCE * float(one.abs().max())


def _first_difference(model: nn.Module, images: Tensor, others: Tensor) -> str:
    """Return the first layer that ends with another output for the first image."""
    one, other = (_outputs(model, batch) for batch in (images, others))
    for (name, value), (_, second) in zip(one, other, strict=False):
        if not _same(value[:1], second[:1]):
            return f"layer {name}" if name else "the network itself"
    return "the network itself"


def _outputs(model: nn.Module, images: Tensor) -> list[tuple[str, Tensor]]:
    """Return what every module gives, in the order they end."""
    found: list[tuple[str, Tensor]] = []

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _arguments: object, output: object) -> None:
            if isinstance(output, Tensor) and output.dim() and output.is_floating_point():
                found.append((name, output.clone()))

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in model.named_modules()]
    try:
        with _inference(model):
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found
