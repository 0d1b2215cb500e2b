"""The inference graph of a network: what is quantized, trained aware of it, and lowered.

One capture serves post-training and quantization-aware networks alike, so nothing that a module does only while it
trains can reach a file.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from winnow.capture.fx_graphs import NORMS, arguments, calls, module_of, schema_of
from winnow.capture.spelling import PlainSpelling, spell
from winnow.errors import WinnowError
from winnow.models.copies import copied

aten = torch.ops.aten
_TRAINING_FLAGS = ("train", "training", "use_input_stats")  # the names torch's operators have for it


def dynamic_batch() -> tuple[dict[int, torch.export.Dim]]:
    """The shapes of every graph here: any batch size, all else fixed."""
    return ({0: torch.export.Dim("batch")},)


def exported(model: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Export the inference graph of a network, whatever memory format its tensors have or its code asks for.

    Args:
        model: maps float32 [N, C, H, W] to logits [N, classes]; it is not changed.
        example: any input of at least 2 images.
    """
    model = copied(model).cpu()
    if not isinstance(model, GraphModule):  # a captured graph is in inference mode already
        model.eval()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.contiguous()  # strides would be exported as operators
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator that nothing knows
    try:
        with PlainSpelling():
            program = torch.export.export(model, (example.contiguous(),), dynamic_shapes=dynamic_batch())
    except torch._dynamo.exc.UserError as error:
        raise WinnowError(
            f"this network cannot be captured for any batch size ({' '.join(str(error).split())[:200]}); "
            "x.shape[0] is a size that stays free, len(x) and int(x.shape[0]) are not"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    for node in program.graph.nodes:
        if "memory_format" in node.kwargs:
            node.update_kwarg("memory_format", torch.contiguous_format)
    return program


def captured(model: nn.Module, example: Tensor) -> GraphModule:
    """Capture the inference graph of a network in canonical form.

    Args:
        model: maps float32 [N, C, H, W] to logits [N, classes]; it is not changed.
        example: any input of at least 2 images.

    Returns:
        A module on the CPU with contiguous parameters under the names they have in `model`; it is in inference mode
        until `set_training` says otherwise.
    """
    graph_module = exported(model, example).module(check_guards=False)
    spell(graph_module)
    _refuse_random(graph_module)
    return graph_module


def _refuse_random(graph_module: GraphModule) -> None:
    for node in calls(graph_module):
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and _is_active(arguments(node)):
            raise WinnowError(
                f"{module_of(node)}: {node.target} is random in inference, so one image has no one result; "
                "do it under self.training (functional.dropout takes training=self.training)"
            )


def _is_active(values: Mapping[str, object]) -> bool:
    """Whether an operator that can be random is, by its training flag and its rate of dropout."""
    flags = [values[name] for name in _TRAINING_FLAGS if name in values]
    return all(flags) and values.get("dropout_p", values.get("p")) != 0


def set_training(graph_module: GraphModule, training: bool, *, norms: bool = True) -> None:
    """Switch a captured graph between inference and training: dropout and what else has a flag for it.

    Args:
        norms: whether batch and instance norms, too, take the statistics of the batch and update their own.
    """
    for node in calls(graph_module):
        schema = schema_of(node)
        if schema is None:
            continue
        for place, argument in enumerate(schema.arguments):
            if argument.name not in _TRAINING_FLAGS or _without_own_statistics(node):
                continue
            value = training and (norms or node.target not in NORMS)
            if place < len(node.args):
                node.update_arg(place, value)
            else:
                node.update_kwarg(argument.name, value)
    graph_module.recompile()


def _without_own_statistics(node: Node) -> bool:
    """Such a norm uses those of its input, in training and inference."""
    return node.target in NORMS and node.args[3] is None
