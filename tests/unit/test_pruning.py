"""Pruning: exact masks that hold, channels that are gone, and weights that go back to where they were."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from samples import colored_squares, model_settings, training_settings
from winnow.config.settings import PruningSettings, QatSettings, StrategySettings
from winnow.data.batches import Split
from winnow.deploy.export import example_images, export_checked
from winnow.errors import Interrupted, WinnowError
from winnow.models.build import blank_image, build_model, load_model
from winnow.models.narrowing import cut_metadata, kept_places, read_cut
from winnow.models.weights import read_state, save_weights
from winnow.prune import step as pruning_step
from winnow.prune.allotment import least_harmful
from winnow.prune.criteria import weight_scores
from winnow.prune.layers import prunable_weights, weights_of
from winnow.prune.masks import Masks, load_masks, save_masks
from winnow.prune.rewinding import check_rewound
from winnow.prune.scoring import Scoring
from winnow.prune.selection import check_count, density, select, shuffled
from winnow.prune.step import Ancestors, prune
from winnow.quantize.aware import AwareTraining
from winnow.quantize.static import quantize_static
from winnow.rng import generator
from winnow.study.pruning_axes import SCOPES
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import STRUCTURES
from winnow.train.loop import Job, Trainee, train
from winnow.train.resume import ResumeFile

SETTINGS = PruningSettings(skip_layers=(), min_density=0.001, calibration_samples=32)


def strategy(**changes) -> StrategySettings:
    values = {
        "criterion": "l1",
        "scope": "global",
        "structure": "unstructured",
        "ratio": 0.9,
        "rounds": 1,
        "rewind": "init",
        "rewind_epoch": 0,
        "shuffle": "none",
    }
    return StrategySettings.of(values | changes)


class Chain:
    """Files of a network through rounds of pruning, without training in between."""

    def __init__(self, folder, data, name="lenet5", **changes):
        self.folder, self.data, self.settings = folder, data, model_settings(name, **changes)
        self.init, self.weights, self.masks = folder / "init.safetensors", folder / "dense.safetensors", None
        save_weights(self.init, build_model(self.settings, data.task, seed=0))
        save_weights(self.weights, build_model(self.settings, data.task, seed=1))

    def prune(self, plan, number=1, settings=SETTINGS, snapshot=None):
        snapshot = (snapshot or self.init) if plan.rewind_epoch is not None else None
        files = Ancestors(self.weights, self.masks, snapshot, self.init)
        return prune(
            files, self.settings, self.data, plan, settings, slug="s", number=number, seed=0, run=f"net/round{number}"
        )

    def round(self, plan, number):
        """Prune, and take what comes out as if it were trained."""
        step = self.prune(plan, number)
        self.weights, self.masks = self.folder / f"w{number}.safetensors", self.folder / f"m{number}.safetensors"
        save_weights(self.weights, step.model, cut_metadata(step.cut))
        save_masks(self.masks, step.masks)
        return step


@pytest.fixture
def chain(tmp_path, squares):
    return Chain(tmp_path, squares)


# ---- selection


def random_scores(**sizes):
    return {name: torch.rand(size, generator=generator(size)) for name, size in sizes.items()}


def choose(scores, share, scope="global", alive=None, min_density=0.0):
    alive = alive or {name: torch.ones(len(score), dtype=torch.bool) for name, score in scores.items()}
    kinds = {"scope": scope, "min_density": min_density, "random": generator(0), "run": "net"}
    return select(scores, alive, share, **kinds, loss_of=lambda name, keep: -float(scores[name][keep].sum()))


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("ratio", [0, 0.1, 0.25, 0.5, 0.8, 0.9, 0.93, 0.97, 0.98, 1 / 3, 0.995])
def test_the_count_is_exact_also_when_all_scores_are_equal(scope, ratio):
    for scores in (random_scores(a=1000, b=500, c=37), {k: torch.zeros(n) for k, n in (("a", 1000), ("b", 537))}):
        keep = choose(scores, 1 - ratio, scope)
        total = sum(map(len, scores.values()))
        kept = sum(int(mask.sum()) for mask in keep.values())
        assert kept == total - round(ratio * total)
        check_count(kept, total, 1 - ratio, "net", "weights")
        if scope == "local":
            assert all(abs(mask.sum() - (1 - ratio) * len(mask)) <= 1 for mask in keep.values())


def test_ties_are_not_broken_by_position():
    keep = choose({"a": torch.ones(1000)}, 0.5)["a"]
    assert 200 < keep[:500].sum() < 300


def test_masks_agree_with_torch_prune(chain):
    model = build_model(chain.settings, chain.data.task, seed=1)
    keep = chain.prune(strategy(ratio=0.83)).masks.keep
    layers = [(module, "weight") for module in model if hasattr(module, "weight")]
    torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=0.83)
    for index, (module, _) in zip((0, 3, 7, 9), layers, strict=True):
        assert torch.equal(module.weight_mask.bool(), keep[f"{index}.weight"])
    local = chain.prune(strategy(ratio=0.83, scope="local")).masks.keep
    weight = build_model(chain.settings, chain.data.task, seed=1)[7]
    torch_prune.l1_unstructured(weight, "weight", amount=0.83)
    assert (weight.weight_mask.bool() ^ local["7.weight"]).sum() <= 1


def test_what_goes_adds_least_to_the_loss():
    steep, flat = [(0, 1.0), (50, 2.0), (100, 5.0)], [(0, 1.0), (100, 1.5), (200, 2.5)]  # 0.02, 0.06; 0.005, 0.01
    layers = {"steep": steep, "flat": flat}
    assert least_harmful(layers, 0) == {"steep": 0, "flat": 0}
    assert least_harmful(layers, 125) == {"steep": 0, "flat": 125}
    assert least_harmful(layers, 240) == {"steep": 40, "flat": 200}
    assert least_harmful(layers, 300) == {"steep": 100, "flat": 200}
    # a loss that falls is chance, one that is no number is the worst, and a jump is spread over what leads to it
    odd = {"falls": [(0, 1.0), (50, 0.5), (100, 0.9)], "breaks": [(0, 1.0), (50, 1.1), (100, math.nan)]}
    assert least_harmful(odd, 60) == {"falls": 60, "breaks": 0}
    assert least_harmful(odd, 140) == {"falls": 100, "breaks": 40}
    jump = {"jumps": [(0, 1.0), (50, 2.0), (100, 2.0)], "even": [(0, 1.0), (100, 2.1)]}
    assert least_harmful(jump, 100) == {"jumps": 100, "even": 0}
    assert least_harmful({"a": [(0, 1.0), (3, 1.0)], "b": [(0, 1.0), (9, 1.0)]}, 4) == {"a": 1, "b": 3}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_each_layer_bears_alone_is_recorded(chain, structure):
    plan = strategy(structure=structure, ratio=0.8, scope="sensitivity")
    found = chain.prune(plan).sparsity
    assert found == chain.prune(plan).sparsity
    check_count(found.kept, found.total, 0.2, "net", found.unit)
    assert (
        sorted(curve.layer for curve in found.curves) == ["0", "3", "7", "9"][: 4 if structure == "unstructured" else 3]
    )
    for curve in found.curves:
        removed = [probe.removed for probe in curve.probes]
        assert removed == sorted(removed)
        assert removed[0] == 0
        assert removed[-1] > 0.8
    assert not chain.prune(replace(plan, scope="local")).sparsity.curves
    assert all(chain.round(replace(plan, rounds=2), number).sparsity.curves for number in (1, 2))


def test_a_floor_keeps_every_layer_alive():
    scores = {"large": torch.rand(10_000) + 1, "small": torch.rand(100)}  # global ranking would empty it
    assert choose(scores, 0.1)["small"].sum() == 1
    keep = choose(scores, 0.1, min_density=0.05)
    assert (keep["small"].sum(), keep["large"].sum()) == (5, 1005)
    with pytest.raises(WinnowError, match=r"net: 101 of 10100 may stay, but pruning.min_density 0.5 keeps at least"):
        choose(scores, 0.01, min_density=0.5)


def test_dead_weights_stay_dead():
    scores = random_scores(a=400, b=100)
    first = choose(scores, 0.5)
    second = choose({name: -score for name, score in scores.items()}, 0.25, alive=first)
    assert all((second[name] <= first[name]).all() for name in scores)
    assert sum(int(mask.sum()) for mask in second.values()) == 125


def test_shuffling_keeps_how_much_each_layer_loses(chain):
    plain, mixed = chain.prune(strategy()).masks.keep, chain.prune(strategy(shuffle="layerwise")).masks.keep
    for name, keep in plain.items():
        assert keep.sum() == mixed[name].sum()
    assert not torch.equal(plain["7.weight"], mixed["7.weight"])
    alive = {"a": torch.tensor([True, False] * 50)}
    assert (shuffled({"a": alive["a"] & (torch.arange(100) < 20)}, alive, generator(0))["a"] <= alive["a"]).all()


def test_densities_of_rounds():
    assert [density(0.875, k, 3) for k in (1, 2, 3)] == pytest.approx([0.5, 0.25, 0.125])


# ---- what is pruned, and by what


def test_batch_norms_and_biases_are_never_pruned(tmp_path, squares):
    chain = Chain(tmp_path, squares, "resnet20")
    masks = chain.prune(strategy(ratio=0.98)).masks
    state = build_model(chain.settings, squares.task, seed=0).state_dict()
    assert set(masks.keep) == {name for name, value in state.items() if value.ndim > 1}
    start = chain.prune(strategy(ratio=0.98)).model.state_dict()
    assert all(torch.equal(start[name], state[name]) for name in state if name not in masks.keep)


def test_layers_are_spared_by_place_or_name(chain):
    model = build_model(chain.settings, chain.data.task, seed=0)
    layers = weights_of(model, blank_image(chain.data.task), "net")
    assert list(layers) == ["0", "3", "7", "9"]
    assert list(prunable_weights(layers, ["first", "classifier"], "net")) == ["3", "7"]
    step = chain.prune(strategy(), settings=replace(SETTINGS, skip_layers=("first", "7")))
    assert set(step.masks.keep) == {"3.weight", "9.weight"}
    assert [layer.spared for layer in step.sparsity.layers] == [True, False, True, False]
    with pytest.raises(WinnowError, match=r"net: pruning.skip_layers lists 'fc', .* its layers are 0, 3, 7, 9"):
        prunable_weights(layers, ["fc"], "net")
    with pytest.raises(WinnowError, match="leaves no layer to prune"):
        prunable_weights(layers, ["0", "3", "7", "9"], "net")


def test_layers_are_found_in_the_order_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.begin = nn.Linear(4, 2), nn.Linear(12, 4)

        def forward(self, x):
            return self.last(self.begin(x.flatten(1)))

    assert list(weights_of(Backwards(), torch.zeros(1, 3, 2, 2), "net")) == ["begin", "last"]


def test_gradient_scores_are_the_effect_on_the_loss(squares):
    model = build_model(model_settings("lenet5"), squares.task, seed=0).eval()
    scoring = Scoring("taylor", model, {"9": model[9].weight}, squares, samples=40, random=generator(0), run="net")
    scores = weight_scores(scoring)["9"]
    split = Split.of(squares, "train", torch.device("cpu"))
    index = torch.randperm(len(split), generator=generator(1))[:40]
    images, labels = split.normalized(split.images[index]), split.labels[index]
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    assert torch.allclose(scores, (model[9].weight * model[9].weight.grad).abs(), atol=1e-6)
    with pytest.raises(WinnowError, match=r"net: pruning.calibration_samples is 5000, but the training split has 96"):
        weight_scores(replace(scoring, criterion="snip", samples=5000))


def test_snip_scores_the_initial_weights_and_leaves_them_alone(tmp_path, squares):
    chain = Chain(tmp_path, squares, "resnet20")
    one = chain.prune(strategy(criterion="snip"))
    chain.weights = chain.init  # what training did must not matter
    assert all(torch.equal(k, one.masks.keep[n]) for n, k in chain.prune(strategy(criterion="snip")).masks.keep.items())


def test_scores_that_are_not_finite_are_named(chain):
    state = read_state(chain.weights)
    model = build_model(chain.settings, chain.data.task, seed=0)
    state["3.weight"][0, 0, 0, 0] = torch.nan
    model.load_state_dict(state)
    save_weights(chain.weights, model)
    with pytest.raises(WinnowError, match="net/round1: l1 scores of layer 3 are not finite"):
        chain.prune(strategy())


# ---- masks


def test_masks_survive_a_file_and_fit_only_their_network(tmp_path, chain):
    masks = chain.prune(strategy()).masks
    save_masks(tmp_path / "m.safetensors", masks)
    read = load_masks(tmp_path / "m.safetensors")
    assert all(torch.equal(masks.keep[name], read.keep[name]) for name in masks.keep)
    save_masks(tmp_path / "none.safetensors", Masks({}))
    assert load_masks(tmp_path / "none.safetensors").keep == {}
    with pytest.raises(WinnowError, match=r"holds no masks"):
        load_masks(chain.weights)
    with pytest.raises(WinnowError, match=r"mask of 0.weight .* the network has"):
        read.apply(build_model(model_settings("resnet20"), chain.data.task, seed=0))


def retrained(chain, step, tmp_path, *, hold=True, optimizer="sgd", name="a", first_epoch=0, **hooks):
    settings = training_settings(optimizer=optimizer, lr=0.02, epochs=3)
    trainee = Trainee(step.model, after_step=step.masks.enforcer(step.model) if hold else (lambda: None), **hooks)
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    resume, history = ResumeFile(folder / "weights.resume", "k"), folder / "history.csv"
    job = Job(name, seed=0, resume=resume, history=history, snapshots={}, tdp_watts=65.0, first_epoch=first_epoch)
    train(trainee, chain.data, settings, job)
    return step.model


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_pruned_weights_stay_zero_through_momentum_and_decay(chain, tmp_path, optimizer):
    step = chain.prune(strategy())
    before = step.model.state_dict()["7.weight"].clone()
    model = retrained(chain, step, tmp_path, optimizer=optimizer)
    step.masks.check(model, "net")
    assert not torch.equal(model[7].weight, before)
    assert not torch.signbit(model[7].weight[~step.masks.keep["7.weight"]]).any()


def test_pruned_weights_that_come_back_are_an_error(chain, tmp_path):
    step = chain.prune(strategy())
    model = retrained(chain, step, tmp_path, hold=False)
    with pytest.raises(WinnowError, match=r"net: \d+ pruned weights of 0.weight are not zero"):
        step.masks.check(model, "net")


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_pruned_weight_is_plus_zero_and_no_bit_of_another_changes(kind, layout):
    model = nn.Conv2d(5, 4, 3).to(kind).to(memory_format=layout)
    with torch.no_grad():
        model.weight[0, 0, 0] = torch.tensor([-0.0, float("nan"), float("-inf")])
        model.weight[1, 0, 0] = torch.tensor([-0.0, float("nan"), -1.0])
    keep = torch.rand(model.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    keep[0, 0, 0], keep[1, 0, 0] = True, False
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[kind.itemsize]
    before, strides = model.weight.detach().clone(), model.weight.stride()
    Masks({"weight": keep}).apply(model)
    expected = torch.where(keep, before.view(integers), 0)
    assert torch.equal(model.weight.detach().view(integers), expected)
    assert model.weight.stride() == strides


def test_masks_hold_through_a_resume(chain, tmp_path):
    whole = retrained(chain, chain.prune(strategy()), tmp_path, name="whole")
    step = chain.prune(strategy())

    def killed(epoch):
        if epoch == 1:
            raise Interrupted("killed")

    with pytest.raises(Interrupted):
        retrained(chain, step, tmp_path, name="parts", before_epoch=killed)
    step = chain.prune(strategy())
    parts = retrained(chain, step, tmp_path, name="parts")
    step.masks.check(parts, "net")
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True))


def test_a_rewound_training_is_the_rest_of_the_original(chain, tmp_path):
    """Without pruning, momentum and statistics, rewinding to an epoch repeats what training did from there."""
    settings = training_settings(epochs=3, momentum=0.0)
    point = tmp_path / "rewind.safetensors"
    job = Job(
        label="r",
        seed=0,
        resume=ResumeFile(tmp_path / "a", "k"),
        history=tmp_path / "h.csv",
        snapshots={1: point},
        tdp_watts=65.0,
    )
    model = build_model(chain.settings, chain.data.task, seed=0)
    train(Trainee(model), chain.data, settings, job)
    step = chain.prune(strategy(ratio=0.0, rewind="epoch1", rewind_epoch=1), snapshot=point)
    rest = replace(job, resume=ResumeFile(tmp_path / "b", "k"), snapshots={}, first_epoch=1)
    train(Trainee(step.model), chain.data, settings, rest)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), step.model.parameters(), strict=True))
    assert [line.split(",")[0] for line in (tmp_path / "h.csv").read_text().splitlines()] == ["epoch", "2", "3"]


# ---- rewinding


def test_rewound_weights_are_those_of_the_snapshot(chain):
    init = read_state(chain.init)
    step = chain.prune(strategy())
    for name, value in step.model.state_dict().items():
        keep = step.masks.keep.get(name, torch.tensor(True))
        assert torch.equal(value, torch.where(keep, init[name], 0.0))
    tuned = chain.prune(strategy(rewind="lr", rewind_epoch=None)).model.state_dict()
    assert torch.equal(tuned["9.bias"], read_state(chain.weights)["9.bias"])
    fresh = chain.prune(strategy(rewind="random", rewind_epoch=None)).model.state_dict()
    assert not torch.equal(fresh["9.bias"], init["9.bias"])
    assert not torch.equal(fresh["9.bias"], read_state(chain.weights)["9.bias"])


def test_weights_that_are_not_those_of_the_snapshot_are_an_error(chain, monkeypatch):
    step = chain.prune(strategy())
    start, source = step.model.state_dict(), read_state(chain.init)
    check_rewound(start, source, step.masks, None, "net")
    place = tuple(step.masks.keep["7.weight"].nonzero()[0])
    start["7.weight"][place] = torch.nextafter(start["7.weight"][place], torch.tensor(9.0))
    with pytest.raises(WinnowError, match=r"net: 1 of \d+ values of 7.weight differ from those to go back to"):
        check_rewound(start, source, step.masks, None, "net")

    def inexact(model, state, _):
        model.load_state_dict({name: value * (1 + 1e-6) for name, value in state.items()})
        return model.eval()

    monkeypatch.setattr(pruning_step, "loaded", inexact)
    with pytest.raises(WinnowError, match=r"net/round1: .* differ from those to go back to"):
        chain.prune(strategy())
    with pytest.raises(WinnowError, match=r"net/round1: .* differ from those to go back to"):
        chain.prune(strategy(structure="channels", ratio=0.5))


def test_a_wrong_number_of_weights_is_an_error(chain, monkeypatch):
    def careless(_scores, alive, *_, **__):  # the usual mistake: a threshold, and ties
        return {name: torch.ones_like(mask) for name, mask in alive.items()}

    monkeypatch.setattr(pruning_step, "select", careless)
    with pytest.raises(WinnowError, match=r"net/round1: \d+ of \d+ weights stay, a sparsity of 0.0* where 0.90* was"):
        chain.prune(strategy())


# ---- channels


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("name", ["lenet5", "lenet_300_100", "resnet20", "resnet18", "mobilenet_v2"])
def test_channels_are_gone_and_the_narrow_network_loads(tmp_path, name, scope):
    data = colored_squares(40, 4)
    chain = Chain(tmp_path, data, name, shortcut="projection")
    plan = strategy(structure="channels", ratio=0.5, rounds=2, scope=scope)
    wide = sum(p.numel() for p in build_model(chain.settings, data.task, seed=0).parameters())
    for number in (1, 2):
        step = chain.round(plan, number)
        assert step.sparsity.unit == "channels"
        check_count(step.sparsity.kept, step.sparsity.total, density(0.5, number, 2), "net", "channels")
        model = load_model(chain.settings, data.task, chain.weights)
        assert model(example_images(data)[:2]).shape == (2, 4)
        assert sum(p.numel() for p in model.parameters()) < wide
        wide = sum(p.numel() for p in model.parameters())
    places = kept_places(
        build_model(chain.settings, data.task, seed=0), read_cut(chain.weights), blank_image(data.task)
    )
    init = read_state(chain.init)
    for key, value in read_state(chain.weights).items():
        if key in places:
            assert torch.equal(value, init[key].flatten()[places[key]])


def test_the_weakest_filters_go(chain):
    state = read_state(chain.weights)
    state["0.weight"][[2, 5, 11]] *= 1e-3
    model = build_model(chain.settings, chain.data.task, seed=0)
    model.load_state_dict(state)
    save_weights(chain.weights, model)
    plan = strategy(structure="channels", ratio=3 / 570)
    assert chain.prune(plan).cut == [[("0", True, [2, 5, 11])]]


def test_a_narrow_network_is_exported_and_quantized_like_any_other(tmp_path, squares):
    chain = Chain(tmp_path, squares, "resnet20", shortcut="projection")
    chain.round(strategy(structure="channels", ratio=0.5), 1)
    model = load_model(chain.settings, squares.task, chain.weights)
    export_checked(model, squares, tmp_path / "model.onnx", run="net", integer=False)
    quantized = quantize_static(model, [example_images(squares)], Recipe("ptq", "minmax"))
    export_checked(quantized, squares, tmp_path / "int8.onnx", run="net", integer=True)
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "model.onnx").stat().st_size


def test_what_is_removed_together_and_what_is_left_alone_is_recorded(tmp_path, squares):
    """The shortcuts of option A pad channels: what they carry stays, what lies inside the blocks can go."""
    chain = Chain(tmp_path, squares, "resnet20")
    sparsity = chain.prune(strategy(structure="channels", ratio=0.5, scope="local")).sparsity
    inside = {f"features.{block}.residual.0" for block in range(3, 12)}
    assert {group.root for group in sparsity.groups} == inside
    assert all(group.kept * 2 == group.width for group in sparsity.groups)
    assert all(group.members == (group.root,) for group in sparsity.groups)
    reasons = {entry.layer: entry.reason for entry in sparsity.left_alone}
    assert reasons["classifier"] == "the classifier, with an output for each class"
    assert "; padding adds channels to them" in reasons["features.0"]


def test_a_group_that_has_one_channel_left_still_counts(tmp_path, squares, monkeypatch):
    (tmp_path / "thin.py").write_text(
        "from torch import nn\n"
        "def make(channels, size, classes):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU(), nn.Conv2d(2, 8, 3), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    chain, plan = Chain(tmp_path, squares, factory="thin:make"), strategy(structure="channels", ratio=0.7, rounds=2)
    for number, kept in ((1, 5), (2, 3)):
        sparsity = chain.round(replace(plan, scope="local"), number).sparsity
        assert (sparsity.total, sparsity.kept) == (10, kept)
        assert {group.root: group.width for group in sparsity.groups} == {"0": 2, "2": 8}
    assert {group.root: group.kept for group in sparsity.groups} == {"0": 1, "2": 2}


def test_what_cannot_lose_channels_is_refused(tmp_path, squares, monkeypatch):
    (tmp_path / "grouped.py").write_text(
        "from torch import nn\n"
        "def make(channels, size, classes):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.AdaptiveAvgPool2d(1),\n"
        "                         nn.Flatten(), nn.Linear(8, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    chain = Chain(tmp_path, squares, factory="grouped:make")
    with pytest.raises(
        WinnowError,
        match=r"net/round1: no layer can lose channels \(.*1: .* of a grouped convolution",
    ):
        chain.prune(strategy(structure="channels", ratio=0.5))


def test_a_damaged_list_of_channels_is_named(tmp_path, chain):
    step = chain.round(strategy(structure="channels", ratio=0.5), 1)
    save_weights(tmp_path / "bad.safetensors", step.model, {"removed_channels": "[[["})
    with pytest.raises(WinnowError, match=r"bad.safetensors: its list of removed channels is damaged"):
        load_model(chain.settings, chain.data.task, tmp_path / "bad.safetensors")
    save_weights(tmp_path / "other.safetensors", step.model, {"removed_channels": '[[["features.0", true, [1]]]]'})
    with pytest.raises(WinnowError, match=r"removed channels do not fit the network"):
        load_model(chain.settings, chain.data.task, tmp_path / "other.safetensors")


# ---- quantization


def test_aware_training_keeps_the_mask(tmp_path, squares):
    chain = Chain(tmp_path, squares, "resnet20")
    step = chain.prune(strategy())
    settings = QatSettings(2, 2, training_settings(epochs=1, warmup_epochs=0, lr=0.01), None)
    aware = AwareTraining(step.model, example_images(squares), settings, Recipe("qat"), step.masks)
    resume = ResumeFile(tmp_path / "r", "k")
    job = Job("net", seed=0, resume=resume, history=tmp_path / "h.csv", snapshots={}, tdp_watts=65.0)
    train(aware.trainee, squares, settings.training, job)
    aware.check("net")
    with torch.no_grad():
        dict(aware.model.named_parameters())["classifier.weight"].fill_(1.0)
    with pytest.raises(WinnowError, match=r"net: .* pruned weights of classifier.weight are not zero"):
        aware.check("net")
