"""The check before any training: everything a study asks for is tried, and what will not work is one line each."""

import re
from dataclasses import replace

import pytest

from samples import colored_squares
from winnow.check.feasibility import check_network
from winnow.check.trial import few_images
from winnow.config.check_request import check_request
from winnow.config.resolve import resolve
from winnow.config.settings import CheckSettings

DATA = colored_squares(40, 4)
GRID = {
    "ratio": [0.3, 0.8],
    "criterion": ["l1", "taylor"],
    "structure": ["unstructured", "channels"],
    "calibration_samples": 32,
}
NEEDED = ["weights", "inference", "training", "fp32"]


def request(name, arguments=None, methods=(), pruning=None, **changes):
    config = {
        "study": "s",
        "datasets": {"d": {"source": "digits"}},
        "models": {name: {"factory": f"odd_networks:{name}", "arguments": arguments or {}}},
        "quantization": {"methods": list(methods), "ptq": {"calibration_samples": 32}},
        **changes,
    }
    return check_request(resolve(config | ({"pruning": pruning} if pruning else {})), "d", name)


def check(name, data=DATA, **options):
    return check_network(CheckSettings.of(request(name, **options)), data, f"d/{name}")


def failures(findings):
    assert not any(finding.works and finding.reason for finding in findings)
    assert not any("\n" in (finding.reason or "") for finding in findings)
    return {finding.what: finding.reason for finding in findings if not finding.works}


def test_everything_that_is_asked_for_is_tried():
    findings = check("plain", methods=["dynamic", "ptq", "qat"], pruning=GRID)
    assert failures(findings) == {}
    pruned = [
        f"{structure} by {criterion}" for structure in ("channels", "unstructured") for criterion in ("l1", "taylor")
    ]
    assert [finding.what for finding in findings] == [*NEEDED, "dynamic", "ptq", "qat", *pruned]
    details = {finding.what: finding.details for finding in findings}
    everywhere = {"onnxruntime": None, "openvino": None, "integer_macs_onnxruntime": 1.0, "integer_macs_openvino": 1.0}
    assert details["ptq"] == details["qat"] == everywhere
    assert details["unstructured by l1"]["sparsity"] == pytest.approx(0.8, abs=0.01)


def test_what_takes_pixels_is_tried_with_them():
    findings = check("plain", methods=["dynamic", "ptq"], export={"baked_in": True})
    assert failures(findings) == {}
    shares = {finding.what: finding.details.get("integer_macs_onnxruntime") for finding in findings}
    assert [shares[method] for method in ("dynamic", "ptq")] == [1.0] * 2


def test_nothing_else_is_tried():
    assert [finding.what for finding in check("plain")] == NEEDED


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        (
            "from_nowhere",
            "weights",
            r"^model from_nowhere: built twice with seed 0, it has other weights, first in 2.weight",
        ),
        (
            "noisy",
            "inference",
            r"^d/noisy, inference: its logits change from call to call in inference, from layer 6 on",
        ),
        ("branching", "fp32", r"^d/branching, fp32: .*\(GuardOnDataDependentSymNode"),
        ("fixed_batch", "fp32", r"^d/fixed_batch, fp32: "),
    ],
)
def test_what_does_not_work_at_all_ends_the_check(name, what, message):
    findings = check(name, methods=["ptq"])
    failed = failures(findings)
    assert list(failed) == [what] == [findings[-1].what]
    assert len(findings) == NEEDED.index(what) + 1
    assert re.search(message, failed[what])


def test_a_training_step_names_the_layer_that_fails():
    failed = failures(check("raising", arguments={"kind": "index", "only_in_training": True}))
    message = (
        "d/raising, training: a training step of 8 images fails in layer 6.0 (IndexError: list index out of range)"
    )
    assert failed["training"].startswith(message)


def test_batches_are_as_small_as_the_smallest_of_the_study():
    assert failures(check("last_batch")) == {}
    alone = failures(check("last_batch", training={"batch_size": 1}))
    assert "a training step of 1 images fails in layer 6 (ValueError: Expected more than 1 value" in alone["training"]
    pair = {"training": {"batch_size": 3}}  # batches of two and three images
    assert len(few_images(DATA, CheckSettings.of(request("plain", **pair)).training.batch_size).train_index) == 2
    tiny = replace(DATA, train_index=DATA.train_index[:1])
    assert failures(check("plain", tiny))["training"].startswith("d/plain, training: the training split has 1 image;")


def test_what_does_not_work_beside_training_is_one_line_each():
    findings = check("standardized", methods=["ptq"], pruning=GRID)
    failed = failures(findings)
    assert list(failed) == ["unstructured by l1", "unstructured by taylor"]
    assert failed["unstructured by l1"].startswith("d/standardized, unstructured by l1: layer 2 multiplies by what it")
    works = {finding.what for finding in findings if finding.works}
    assert works == {*NEEDED, "ptq", "channels by l1", "channels by taylor"}


def test_a_floor_that_leaves_no_room_is_found():
    pruning = {"ratio": [0.99], "min_density": 0.01, "structure": ["channels"]}  # one channel of each always stays
    (reason,) = failures(check("plain", pruning=pruning)).values()
    assert "pruning.min_density 0.01 keeps at least" in reason


def test_what_does_not_decide_whether_it_works_is_no_part_of_the_request():
    base = request("plain", methods=["ptq", "qat"], pruning=GRID)
    same = request(
        "plain",
        methods=["ptq", "qat"],
        pruning=GRID | {"ratio": [0.5, 0.8], "rounds": [3], "rewind": ["init", 2], "retrain": {"epochs": 3}},
        training={"epochs": 7, "lr": 0.3, "warmup_epochs": 1, "rewind_epochs": [2]},
        seeds=[0, 1],
    )
    assert same == base
    for other in (
        {"methods": ["ptq"], "pruning": GRID},
        {"methods": ["ptq", "qat"], "pruning": GRID | {"ratio": [0.9]}},
    ):
        assert request("plain", **other) != base
