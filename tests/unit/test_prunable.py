"""Which weights are found, which can be pruned, and that a file holds the zeros that are said to be in it."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from samples import colored_squares, model_settings
from winnow.config.settings import PruningSettings, StrategySettings
from winnow.deploy.export import export_checked
from winnow.errors import WinnowError
from winnow.models.build import blank_image, build_model, load_model
from winnow.models.weights import save_weights
from winnow.prune.exported_zeros import check_exported_zeros
from winnow.prune.layers import prunable_weights, weights_of
from winnow.prune.masks import Masks
from winnow.prune.step import Ancestors, prune

DATA = colored_squares(40, 4)
SETTINGS = PruningSettings(skip_layers=(), min_density=0.001, calibration_samples=16)
STRATEGY = StrategySettings("l1", "global", "unstructured", 0.8, 1, "none", None, "none")


def settings(name, **arguments):
    return model_settings(name, name=None, factory=f"odd_networks:{name}", arguments=arguments)


def found(name, **arguments):
    return weights_of(build_model(settings(name, **arguments), DATA.task, seed=0), blank_image(DATA.task), "net")


def pruned(folder, name, skip=(), strategy=STRATEGY, **arguments):
    save_weights(folder / "w", build_model(settings(name, **arguments), DATA.task, seed=0))
    files = Ancestors(folder / "w", None, None, folder / "w")
    options = replace(SETTINGS, skip_layers=skip)
    return prune(files, settings(name, **arguments), DATA, strategy, options, slug="s", number=1, seed=0, run="net")


@pytest.mark.parametrize(
    ("name", "arguments", "multiplied", "others"),
    [
        ("attention", {}, ["patch", "attention.in_proj_weight", "attention.out_proj", "up", "down", "head"],
         ["token", "position"]),
        ("transposed", {}, ["down", "up", "pair", "own"], []),
        ("rows", {"kind": "LSTM"}, ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "head"], []),
        ("rows", {"kind": "GRU"}, ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "head"], []),
        ("tied", {}, ["stem", "one", "head"], []),
        ("heads", {"kind": "named"}, ["body.0", "body.2", "body.6", "head"], []),
        ("parametrized", {"kind": "weight_norm"}, ["0", "2.parametrizations.weight.original1", "6"],
         ["2.parametrizations.weight.original0"]),
    ],
)  # fmt: skip
def test_every_weight_is_found_wherever_it_is_held(name, arguments, multiplied, others):
    weights = found(name, **arguments)
    assert [layer for layer, weight in weights.items() if weight.multiplied] == multiplied
    assert [layer for layer, weight in weights.items() if not weight.multiplied] == others
    assert not any(weight.unfit for weight in weights.values())


def test_layers_are_spared_by_the_module_around_them_and_by_each_name_they_have():
    attention, tied = found("attention"), found("tied")
    assert list(prunable_weights(attention, ["attention", "classifier"], "net")) == ["patch", "up", "down"]
    assert list(prunable_weights(tied, ["two"], "net")) == ["stem", "head"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("attention", {}),
        ("transposed", {}),
        ("rows", {"kind": "LSTM"}),
        ("rows", {"kind": "GRU"}),
        ("tied", {}),
        ("equalized", {}),
        ("pruned", {}),
        ("parametrized", {"kind": "weight_norm"}),
        ("parametrized", {"kind": "spectral_norm"}),
        ("heads", {"kind": "named"}),
    ],
)
def test_the_sparsity_that_is_said_is_that_of_the_file(name, arguments, tmp_path):
    step = pruned(tmp_path, name, **arguments)
    assert step.sparsity.achieved == pytest.approx(0.8, abs=1 / step.sparsity.total)
    step.masks.check(step.model, "net")
    save_weights(tmp_path / "start", step.model)
    model = load_model(settings(name, **arguments), DATA.task, tmp_path / "start")
    export_checked(model, DATA, tmp_path / "m.onnx", run="net", integer=False)
    check_exported_zeros(tmp_path / "m.onnx", step.masks, "net")
    constants = [onnx.numpy_helper.to_array(c) for c in onnx.load(tmp_path / "m.onnx").graph.initializer]
    zeros = sum(int((c == 0).sum()) for c in constants if c.ndim > 1)
    assert zeros >= step.sparsity.whole_network.weights - step.sparsity.whole_network.kept


def test_the_whole_network_is_all_of_its_weights(tmp_path):
    step = pruned(tmp_path, "attention", skip=("attention.in_proj_weight",))
    model = build_model(settings("attention"), DATA.task, seed=0)
    shipped = [p.numel() for name, p in model.named_parameters() if p.dim() > 1 and not name.startswith("unused")]
    assert step.sparsity.whole_network.weights == sum(shipped)
    assert [entry.parameter for entry in step.sparsity.outside] == ["token", "position"]
    assert {layer.layer for layer in step.sparsity.layers if layer.spared} == {"attention.in_proj_weight"}
    zeros = sum(int((p == 0).sum()) for name, p in step.model.named_parameters() if name in step.masks.keep)
    assert zeros == step.sparsity.whole_network.weights - step.sparsity.whole_network.kept


@pytest.mark.parametrize(("name", "arguments"), [("standardized", {}), ("parametrized", {"kind": "orthogonal"})])
def test_weights_in_which_zeros_do_not_stay_are_refused(name, arguments, tmp_path):
    with pytest.raises(
        WinnowError, match=r"^net: layer 2\S* multiplies by what it computes from 2\..*weight.*; list the"
    ):
        pruned(tmp_path, name, **arguments)
    assert "2.weight" not in pruned(tmp_path, name, skip=("2",), **arguments).masks.keep


@pytest.mark.parametrize("criterion", ["taylor", "snip"])
def test_gradients_are_taken_of_every_weight(criterion, tmp_path):
    strategy = replace(STRATEGY, criterion=criterion)
    assert "attention.in_proj_weight" in pruned(tmp_path, "attention", strategy=strategy).masks.keep
    assert pruned(tmp_path, "heads", strategy=strategy, kind="inception").sparsity.achieved > 0.79


def test_a_file_without_the_zeros_of_a_mask_is_refused(tmp_path):
    """What weight standardization made of pruned weights before it was recognized."""
    model = build_model(settings("standardized"), DATA.task, seed=0).eval()
    masks = Masks({"2.weight": torch.arange(8 * 8 * 9).view(8, 8, 3, 3) % 5 == 0})
    masks.apply(model)
    export_checked(model, DATA, tmp_path / "m.onnx", run="net", integer=False)
    with pytest.raises(
        WinnowError, match=r"^net: .*m.onnx holds no constant with the 460 zeros of 2.weight: the network"
    ):
        check_exported_zeros(tmp_path / "m.onnx", masks, "net")
    plain = build_model(settings("plain"), DATA.task, seed=0).eval()
    masks.apply(plain)
    export_checked(plain, DATA, tmp_path / "m.onnx", run="net", integer=False)
    check_exported_zeros(tmp_path / "m.onnx", masks, "net")
    other = Masks({"2.weight": ~masks.keep["2.weight"]})
    with pytest.raises(WinnowError, match="holds no constant with the 116 zeros"):
        check_exported_zeros(tmp_path / "m.onnx", other, "net")


def test_masks_that_a_network_brings_along_are_kept(tmp_path):
    model = build_model(settings("pruned"), DATA.task, seed=0)
    masked = model[2].parametrizations.weight[0].mask == 0
    assert masked.sum() == 288
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= parameter.grad
    assert (model[2].weight[masked] == 0).all()
    export_checked(model.eval(), DATA, tmp_path / "m.onnx", run="net", integer=False)
    constants = [onnx.numpy_helper.to_array(c) for c in onnx.load(tmp_path / "m.onnx").graph.initializer]
    assert any(np.array_equal(constant == 0, masked) for constant in constants)
