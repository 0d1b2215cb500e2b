"""torchvision's newer families by name: what of each runs on integers, what can lose channels, and that it learns.

Of the older ones test_quantization.py and test_pruning.py tell.
"""

import copy

import pytest
import torch
from torch import nn

from samples import colored_squares, model_settings, train_in, training_settings
from winnow.deploy.coverage import measure_coverage
from winnow.deploy.export import export_checked
from winnow.models.build import blank_image, build_model
from winnow.models.narrowing import replay
from winnow.prune.channel_groups import channel_groups
from winnow.prune.channels import remove_channels
from winnow.prune.layers import weights_of
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe
from winnow.train.loop import Trainee

# share of the multiply-accumulates that run on integers, and of the layers that can lose channels
NETWORKS = {
    "mobilenet_v3_small": (1.0, 0.9),
    "efficientnet_b0": (1.0, 0.9),
    "shufflenet_v2_x1_0": (1.0, 0.0),
    "densenet121": (1.0, 0.9),
    "convnext_tiny": (1.0, 0.3),
    "vit_tiny": (0.947, 0.24),
}
CLASSIFIER = "the classifier, with an output for each class"


@pytest.fixture(scope="module")
def data():
    return colored_squares(40, 4)


def made(name, data) -> nn.Module:
    """The network with batch norms that have seen the data."""
    model = build_model(model_settings(name), data.task, seed=1).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(6):
            model(torch.cat(list(calibration_batches(data, 16))))
    return model.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_runs_on_integers_in_both_runtimes(name, data, tmp_path):
    path = tmp_path / "ptq.onnx"
    quantized = quantize_static(made(name, data), calibration_batches(data, 16), Recipe("ptq", "minmax"))
    export_checked(quantized, data, path, run=name, integer=True)
    for runtime in ("onnxruntime", "openvino"):
        assert measure_coverage(path, data.task.shape, runtime).macs == pytest.approx(NETWORKS[name][0], abs=0.001)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_can_lose_channels_does_and_the_rest_says_why_not(name, data):
    model, example = made(name, data), blank_image(data.task)
    layers = [layer for layer, weight in weights_of(model, example, name).items() if weight.multiplied]
    found = channel_groups(model, example, layers, {layers[-1]: CLASSIFIER}, name)
    members = {layer for group in found.groups for layer, _, _ in group.members}
    assert len(members & set(layers)) / len(layers) >= NETWORKS[name][1]
    assert members.isdisjoint(found.left_alone)
    alone = (*found.left_alone, *(f"{name}." for name in found.left_alone))  # attention is told of as a whole
    assert all(layer in members or layer.startswith(alone) for layer in layers)
    keep = {group.root: torch.arange(group.width) % 4 != 1 for group in found.groups}
    narrow, again = copy.deepcopy(model), copy.deepcopy(model)
    replay(again, [remove_channels(narrow, example, keep, name)], example)
    assert sum(p.numel() for p in narrow.parameters()) < 0.95 * sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        assert torch.equal(narrow(example), again(example))


@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns(name, tmp_path):
    data = colored_squares(40, 4)
    model = build_model(model_settings(name), data.task, seed=0)
    settings = training_settings(epochs=4, optimizer="adamw", lr=0.001, batch_size=8, warmup_epochs=0)
    train_in(tmp_path, Trainee(model), data, settings)
    rows = [line.split(",") for line in (tmp_path / "history.csv").read_text().splitlines()]
    losses = [float(row[rows[0].index("train_loss")]) for row in rows[1:]]
    assert losses[-1] < losses[0]
