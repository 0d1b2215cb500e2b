"""Networks trained elsewhere: read from what other programs write, held against the network, tuned."""

import argparse
import re
import warnings

import numpy as np
import pytest
import torch
import torchvision
import yaml
from safetensors.torch import save_file
from torch import nn

import trained_elsewhere
from samples import REPOSITORY, colored_squares, model_settings, train_in, training_settings
from winnow.check.feasibility import check_network
from winnow.config.catalog import NETWORKS
from winnow.config.check_request import check_request
from winnow.config.resolve import check_own_files, resolve
from winnow.config.settings import CheckSettings, ImportSettings, PruningSettings, StrategySettings
from winnow.errors import WinnowError
from winnow.files import safetensors_metadata
from winnow.models.build import blank_image, build_model
from winnow.models.imported import import_weights, load_imported
from winnow.models.torchvision_weights import names_of_today, weights_file
from winnow.prune.step import Ancestors, prune
from winnow.study.task import Task
from winnow.study.training import Training
from winnow.train.tuning import tuned

TASK = Task(channels=3, size=32, classes=4)
NET = model_settings("net", name=None, factory="trained_elsewhere:small_net")


def small_net(classes=4, seed=1):
    torch.manual_seed(seed)
    return trained_elsewhere.SmallNet(classes)


def imported(tmp_path, path, key=None, new_head=False, network=NET, task=TASK, seed=0):
    """Return the network that begins with the weights of a file."""
    settings = ImportSettings(label="net", entry="weights", weights=str(path), key=key, new_head=new_head)
    import_weights(tmp_path / "imported.safetensors", settings, network, task)
    model = build_model(network, task, seed=seed)
    load_imported(tmp_path / "imported.safetensors", model)
    return model


def saved(tmp_path, content):
    path = tmp_path / "net.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, path)
    return path


def equal(model, state):
    own = model.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[name], state[name]) for name in own)


STATE = small_net().state_dict()


def prefixed(prefix, state=STATE):
    return {f"{prefix}{name}": value for name, value in state.items()}


def averaged():
    return torch.optim.swa_utils.AveragedModel(small_net()).state_dict()


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (STATE, None),
        ({"state_dict": STATE, "epoch": 3}, None),
        ({"model": STATE, "model_ema": small_net(seed=2).state_dict()}, None),
        ({"model": small_net(seed=2).state_dict(), "ema": {"module": prefixed("module.")}}, "ema"),
        ({"model": small_net(seed=2).state_dict(), "a": {"b": STATE}}, "a.b"),
        ({"model": small_net(seed=2).state_dict(), "model_ema": averaged()}, "model_ema"),
        (prefixed("module."), None),
        (prefixed("_orig_mod."), None),
        (prefixed("_orig_mod.module."), None),
        (prefixed("module._orig_mod."), None),
        ({"state_dict": prefixed("model.")}, None),
        ({name.replace("stem.", "stem._orig_mod."): value for name, value in STATE.items()}, None),
        ({name: value for name, value in STATE.items() if "num_batches" not in name}, None),
        ({"net": STATE, "args": argparse.Namespace(lr=1.0), "best": np.float64(1), "seen": np.arange(3)}, None),
        ({"network": STATE, "optimizer": torch.optim.AdamW(small_net().parameters()).state_dict()}, None),
    ],
)
def test_weights_are_found_in_what_programs_write(tmp_path, content, key):
    assert equal(imported(tmp_path, saved(tmp_path, content), key), STATE)


def test_weights_of_safetensors_and_of_old_files(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    assert equal(imported(tmp_path, tmp_path / "net.safetensors"), STATE)
    torch.save(STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert equal(imported(tmp_path, tmp_path / "old.pt"), STATE)


def without(*names, **more):
    return {name: value for name, value in STATE.items() if name not in names} | more


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(small_net(), {nn.Linear}).state_dict()


def quantized_tensors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"w": torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.quint8)}


RENAMED = {name.replace("fc.", "classifier."): value for name, value in STATE.items()}


@pytest.mark.parametrize(
    ("content", "key", "expected"),
    [
        (small_net(), None, r"holds a trained_elsewhere.SmallNet, whose code would run .*model.state_dict\(\)"),
        (nn.DataParallel(small_net()), None, r"holds a torch.nn.parallel.data_parallel.DataParallel, whose code"),
        ({"model": small_net()}, None, r"holds a trained_elsewhere.SmallNet, whose code"),
        (torch.rand(3), None, r"holds no tensors by name but a Tensor"),
        ({}, None, r"holds no tensors by name but a dict"),
        ({"epoch": 3}, None, r"holds no tensors by name but a dict"),
        (STATE, "model_ema", r"is a state dict without the weights_key 'model_ema'; remove the key"),
        ({"model": STATE}, "ema", r"no weights under 'ema', but under 'model'; name one in weights_key"),
        ({"net_g": STATE, "net_d": STATE}, None, r"no weights under a usual key, but under 'net_g', 'net_d'; name one"),
        (small_net().half().state_dict(), None, r"are float16 instead of float32, first stem.0.weight; store them"),
        (small_net().bfloat16().state_dict(), None, r"are bfloat16 instead of float32"),
        (small_net().double().state_dict(), None, r"are float64 instead of float32"),
        (
            without("fc.weight", **{"fc.weight": (STATE["fc.weight"] * 10).to(torch.int8)}),
            None,
            r"are int8 .* quantized",
        ),
        (quantized(), None, r"is quantized; give the weights in float"),
        (quantized_tensors(), None, r"is quantized; give the weights in float"),
        (
            RENAMED,
            None,
            r"2 missing: fc.weight \(nearest .*\), fc.bias.*; 2 extra: classifier.weight, classifier.bias; give",
        ),
        (
            without("stem.0.weight", **{"stem.0.weight": torch.zeros(8, 1, 3, 3)}),
            None,
            r"1 of another shape: stem.0.weight \(8x1x3x3, the network's 8x3x3x3\)",
        ),
        (
            small_net(classes=7).state_dict(),
            None,
            r"its last layer, fc, is for 7 classes, and the data set has 4; with new_head: true",
        ),
        (without("fc.bias", **{"fc.bias": torch.full((4,), torch.nan)}), None, r"fc.bias is not finite everywhere"),
    ],
)
def test_what_cannot_be_taken_is_one_line_and_nothing_is_written(tmp_path, content, key, expected):
    path = saved(tmp_path, content)
    with pytest.raises(WinnowError) as caught:
        imported(tmp_path, path, key)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"models.net.weights: {path}: ")
    assert re.search(expected, lines[0]), lines[0]
    assert not (tmp_path / "imported.safetensors").exists()


@pytest.mark.parametrize("name", ["net.pth", "old.pth", "net.safetensors"])
def test_a_damaged_file_is_one_line(tmp_path, name):
    path = tmp_path / name
    if name == "net.safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=name == "net.pth")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no weights at all"):
        path.write_bytes(content)
        with pytest.raises(WinnowError, match=r"models.net.weights: .*not readable as .*; get it again") as caught:
            imported(tmp_path, path)
        assert "\n" not in str(caught.value)


def test_a_program_of_torchscript_is_no_state_dict(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(small_net().eval(), torch.zeros(1, 3, 32, 32)).save(tmp_path / "net.pt")
    with pytest.raises(WinnowError, match=r"is a program of TorchScript, not weights"):
        imported(tmp_path, tmp_path / "net.pt")


def test_code_in_a_file_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with pytest.raises(WinnowError, match=r"holds a \S*open, whose code would run"):
        imported(tmp_path, saved(tmp_path, {"state_dict": STATE, "more": Evil()}))
    assert not (tmp_path / "ran").exists()


def test_a_new_head_is_fresh_for_every_seed_and_the_rest_is_not(tmp_path):
    path = saved(tmp_path, small_net(classes=7).state_dict())
    one, again, other = (imported(tmp_path, path, new_head=True, seed=seed) for seed in (0, 0, 1))
    assert safetensors_metadata(tmp_path / "imported.safetensors") == {"fresh": '["fc.bias", "fc.weight"]'}
    assert equal(one, again.state_dict())
    assert not torch.equal(one.fc.weight, other.fc.weight)
    assert torch.equal(one.stem[0].weight, other.stem[0].weight)
    assert torch.equal(one.stem[0].weight, small_net(classes=7).stem[0].weight)


def test_a_new_head_of_the_same_classes_is_fresh_too(tmp_path):
    model = imported(tmp_path, saved(tmp_path, STATE), new_head=True)
    assert not torch.equal(model.fc.weight, STATE["fc.weight"])


def test_frozen_parts_keep_weights_and_statistics_and_the_head_has_a_rate_of_its_own(tmp_path):
    model, data = imported(tmp_path, saved(tmp_path, STATE)), colored_squares(60, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = training_settings(epochs=1, lr=1e-6, head_lr=0.5, freeze=["stem", "body.[1]"], warmup_epochs=0)
    trainee = tuned(model, settings, blank_image(TASK), "net")
    record = train_in(tmp_path, trainee, data, settings)
    moved = {name: float((value - before[name]).abs().max()) for name, value in model.state_dict().items()}
    assert all(change == 0 for name, change in moved.items() if name.startswith(("stem.", "body.1.")))
    assert 0 < moved["body.0.weight"] < 1e-3
    assert moved["fc.weight"] > 1e-2
    assert record.trained_here


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        (["stm"], r"net: training.freeze: 'stm' is no part of the network; did you mean 'stem'\?"),
        (["*"], r"net: training.freeze leaves nothing to train"),
    ],
)
def test_freezing_nothing_or_everything_is_refused(freeze, expected):
    with pytest.raises(WinnowError, match=expected):
        tuned(small_net(), training_settings(freeze=freeze), blank_image(TASK), "net")


def test_no_epochs_leave_the_weights_and_an_empty_history(tmp_path):
    model, data = imported(tmp_path, saved(tmp_path, STATE)), colored_squares(60, 4)
    settings = training_settings(epochs=0)
    record = train_in(tmp_path, tuned(model, settings, blank_image(TASK), "net"), data, settings)
    assert equal(model, STATE)
    assert (tmp_path / "history.csv").read_text().splitlines()[1:] == []
    known = record.after(Training.of_import())
    assert (known.trained_here, known.imported, known.seconds, known.energy) == (False, True, None, None)
    known.write(tmp_path / "training.json")
    assert Training.read(tmp_path / "training.json") == known


def test_totals_are_unknown_after_something_unknown_and_sums_otherwise(tmp_path):
    data, settings = colored_squares(60, 4), training_settings(epochs=1)
    record = train_in(tmp_path, tuned(small_net(), settings, blank_image(TASK), "net"), data, settings)
    tuning = record.after(Training.of_import())
    unknown, later = tuning.whole(None, None), record.after(tuning).whole(100.0, None)
    assert (unknown.total_seconds, unknown.total_joules, unknown.energy_estimated) == (None, None, None)
    assert unknown.seconds == record.seconds
    assert (later.total_seconds, later.total_joules) == (100.0 + 2 * record.seconds, None)
    stated = tuning.whole(100.0, 500.0)
    assert stated.total_seconds == 100.0 + record.seconds
    assert stated.total_joules == 500.0 + record.energy.joules
    assert stated.energy_estimated == record.energy_estimated
    assert record.whole(100.0, 500.0) == record  # fresh weights


def asked(**changes):
    """What a study asks of the network of the script."""
    model = {"factory": "trained_elsewhere:small_net", "weights": "net.pth"} | changes
    methods = {"methods": ["ptq"], "ptq": {"calibration_samples": 32}}
    return CheckSettings.of(
        check_request(resolve(config(models={"net": model}, quantization=methods)), "digits", "net")
    )


def test_a_network_is_checked_with_the_weights_it_begins_with(tmp_path, monkeypatch):
    imported(tmp_path, saved(tmp_path, STATE))
    began = []
    monkeypatch.setattr("winnow.check.feasibility.check_inference", lambda model, *_: began.append(model))
    data, path = colored_squares(40, 4), tmp_path / "imported.safetensors"
    findings = check_network(asked(), data, "d/net", path)
    assert {finding.what: finding.reason for finding in findings} == dict.fromkeys(
        ("weights", "inference", "training", "fp32", "ptq")
    )
    assert equal(began[0], STATE)
    for training, expected in (
        (
            {"freeze": ["stm"]},
            r"d/net, training: training.freeze: 'stm' is no part of the network; did you mean 'stem'\?",
        ),
        ({"epochs": 0}, None),
    ):
        findings = check_network(asked(training=training), data, "d/net", path)
        reasons = [finding.reason for finding in findings if finding.reason]
        assert not reasons if expected is None else re.fullmatch(expected, reasons[0])


def test_pruning_goes_back_to_initial_weights_of_a_file_and_scores_them(tmp_path):
    data, initial = colored_squares(40, 4), small_net(seed=5)
    imported(tmp_path, saved(tmp_path, initial.state_dict()))
    first = (tmp_path / "imported.safetensors").rename(tmp_path / "initial.safetensors")
    imported(tmp_path, saved(tmp_path, STATE))
    given = config(FIRST, pruning={"ratio": [0.5], "rewind": ["init"], "criterion": ["snip"]})
    (strategy,) = resolve(given).strategies.values()
    step = prune(
        Ancestors(weights=tmp_path / "imported.safetensors", masks=None, snapshot=first, init=first),
        NET,
        data,
        StrategySettings.of(strategy),
        PruningSettings(skip_layers=(), min_density=0.001, calibration_samples=16),
        slug="snip",
        number=1,
        seed=0,
        run="net",
    )
    name = "fc.weight"
    keep = step.masks.keep[name]
    assert torch.equal(step.model.state_dict()[name], torch.where(keep, initial.state_dict()[name], 0.0))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.weights])
def test_torchvisions_weights_fit_its_networks_but_for_the_head(tmp_path, name):
    entries = getattr(torchvision.models, NETWORKS[name].weights)
    assert (
        resolve(config(models={name: {"weights": "torchvision:IMAGENET1K_V1"}})).imports[name]["imported"]["weights"]
        == f"torchvision:{entries.IMAGENET1K_V1}"
    )
    state = getattr(torchvision.models, name)().state_dict()
    model = imported(tmp_path, saved(tmp_path, state), new_head=True, network=model_settings(name))
    own = model.state_dict()
    other = [name for name, value in state.items() if not torch.equal(own[name], value)]
    assert [name.rpartition(".")[2] for name in other] == ["weight", "bias"]
    assert {own[name].shape[0] for name in other} == {4}


def test_names_of_torchvisions_old_files_are_those_of_today():
    """DenseNets' files have `norm.1` where a network has `norm1`."""
    state = torchvision.models.densenet121().state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): value for name, value in state.items()}
    assert old.keys() != state.keys()
    assert names_of_today(old).keys() == state.keys()
    assert names_of_today(state).keys() == state.keys()


def test_torchvisions_weights_are_verified_and_offline_say_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("winnow.models.torchvision_weights.download_url_to_file", offline)
    name = "ResNet18_Weights.IMAGENET1K_V1"
    with pytest.raises(
        WinnowError,
        match=r"cannot be downloaded \(no route to host\); offline, put \w+18-f37072fd.pth from https://.* into data/",
    ):
        weights_file(name, "models.resnet18.weights")
    (tmp_path / "data/resnet18-f37072fd.pth").write_bytes(b"half of it")
    with pytest.raises(WinnowError, match=r"data/resnet18-f37072fd.pth is damaged \(its SHA-256 does not begin with"):
        weights_file(name, "models.resnet18.weights")
    monkeypatch.setattr("winnow.models.torchvision_weights.content_digest", lambda _: "f37072fd" + 56 * "0")
    assert weights_file(name, "").name == "resnet18-f37072fd.pth"
    with pytest.raises(WinnowError, match=r"torchvision's ResNet18_Weights has no 'V9', but IMAGENET1K_V1"):
        weights_file("ResNet18_Weights.V9", "models.resnet18.weights")
    with pytest.raises(WinnowError, match=r"torchvision.models has no Resnet18_Weights; write e.g."):
        weights_file("Resnet18_Weights.IMAGENET1K_V1", "models.resnet18.weights")


def config(model=None, **changes):
    models = {"resnet18": {"weights": "net.pth"} | (model or {})}
    return {"study": "s", "datasets": {"digits": {"source": "digits"}}, "models": models} | changes


AS_IT_IS = {"training": {"epochs": 0}}
FIRST = {"initial_weights": "init.pth"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (config({"weights": None} | AS_IT_IS), r"training of resnet18: epochs is 0, and there are no weights"),
        (
            config({"weights": None, "new_head": True}),
            r"models.resnet18.new_head says something of weights, and there are",
        ),
        (config({"weights": None, "weights_key": "ema"}), r"models.resnet18.weights_key says something of weights"),
        (config({"weights": None} | FIRST), r"models.resnet18.initial_weights says something of weights"),
        (config({"weights": None, "trained": {"seconds": 3}}), r"models.resnet18.trained says something of weights"),
        (config({"trained": {"seconds": 0}}), r"models.resnet18.trained.seconds: 0 is less than or equal to"),
        (config({"new_head": True} | AS_IT_IS), r"models.resnet18.new_head begins with fresh weights, and epochs is 0"),
        (config({"new_head": True} | FIRST), r"models.resnet18 has both new_head and initial_weights"),
        (
            config({"training": {"epochs": 0, "freeze": ["fc"]}}),
            r"training of resnet18: freeze has no effect with epochs",
        ),
        (
            config({"weights": None, "training": {"head_lr": 1}}),
            r"training of resnet18: head_lr is for networks with we",
        ),
        (
            config({"weights": "torchvision:V1", "factory": "a:b"}),
            r"torchvision has for resnet18, .*mobilenet_v2, .*convnext_tiny; give",
        ),
        (
            config({"weights": "torchvision:V1", "name": "lenet5"}),
            r"weights is torchvision:V1, which torchvision has for",
        ),
        (config({"weights": "torchvision:V1", "weights_key": "a"}), r"weights_key is for files"),
        (
            config(training={"rewind_epochs": [2]}),
            r"training.rewind_epochs: networks with weights have no early epochs",
        ),
        (
            config(pruning={"ratio": [0.5], "rewind": ["init"]}),
            r"rewind lists init, and resnet18 has no initial_weights",
        ),
        (config(FIRST, pruning={"ratio": [0.5], "rewind": [3]}), r"rewind lists 3, and resnet18 was trained elsewhere"),
        (
            config(pruning={"ratio": [0.5], "criterion": ["snip"]}),
            r"criterion lists snip, and resnet18 has no initial_w",
        ),
        (
            config(AS_IT_IS, pruning={"ratio": [0.5], "rewind": ["lr"]}),
            r"lists lr, which trains again, and training of",
        ),
        (
            config(FIRST | AS_IT_IS, pruning={"ratio": [0.5], "rewind": ["init"]}),
            r"rewind lists init, which trains again",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_one_line_before_anything_starts(given, expected):
    with pytest.raises(WinnowError) as caught:
        resolve(given)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert re.search(expected, lines[0]), lines[0]


@pytest.mark.parametrize(
    "given",
    [
        config(pruning={"ratio": [0.5], "rewind": ["none", "lr", "random"]}),
        config(FIRST, pruning={"ratio": [0.5], "rewind": ["init"], "criterion": ["l1", "snip"]}),
        config(AS_IT_IS, pruning={"ratio": [0.5], "retrain": {"epochs": 2}}),
        config(pruning={"ratio": [0.5], "criterion": ["l1", "snip"], "exclude": [{"criterion": "snip"}]}),
        config(AS_IT_IS, training={"warmup_epochs": 5}),
    ],
)
def test_what_can_be_done_is_planned(given):
    assert resolve(given).imports["resnet18"]["imported"]["weights"] == "net.pth"


def test_a_network_with_weights_has_no_snapshots_and_later_runs_freeze_nothing():
    study = resolve(
        config(
            {"training": {"freeze": ["fc"], "head_lr": 0.5, "epochs": 9}},
            models={
                "resnet18": {"weights": "net.pth", "training": {"freeze": ["fc"], "head_lr": 0.5}},
                "lenet5": {},
            },
            training={"rewind_epochs": [2]},
            pruning={"ratio": [0.5], "rewind": ["none", "lr"]},
        )
    )
    assert [study.training[name]["rewind_epochs"] for name in ("resnet18", "lenet5")] == [[], [2]]
    later = [study.qat["resnet18"]["training"], *(r["training"] for r in study.retraining["resnet18"].values())]
    assert [(training["freeze"], training["head_lr"]) for training in later] == 3 * [([], None)]


def test_the_examples_of_the_guide_and_the_readme_are_studies():
    guide = (REPOSITORY / "config/README.md").read_text().partition("### Trained elsewhere")[2]
    models = yaml.safe_load(re.search(r"^ +models:\n(?: +.*\n)+", guide, re.MULTILINE)[0])
    assert resolve(config(**models)).imports.keys() == {"mine", "tuned"}
    readme = (REPOSITORY / "README.md").read_text().partition("### You have a trained network")[2]
    study = resolve(yaml.safe_load(re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]))
    assert study.training["mine"]["epochs"] == 0


def test_a_file_that_is_not_there_is_named_before_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = resolve(config(FIRST))
    with pytest.raises(WinnowError) as caught:
        check_own_files(study)
    (tmp_path / "net.pth").mkdir()
    assert str(caught.value).splitlines() == [
        "configuration: models.resnet18.weights: net.pth does not exist; put the file there, or correct it",
        "configuration: models.resnet18.initial_weights: init.pth does not exist; put the file there, or correct it",
    ]
    with pytest.raises(WinnowError, match=r"models.resnet18.weights: net.pth is no file"):
        check_own_files(study)
    check_own_files(resolve(config({"weights": "torchvision:IMAGENET1K_V1"})))
