"""The gauntlet: what ships of every network is what the network computes, or is refused with a reason."""

import numpy as np
import onnx
import pytest
import torch

from networks.harness import Gauntlet, multiplications
from networks.record import AGREES, STAGES
from networks.registry import NETWORKS, SIBLINGS
from networks.table import PAGE, page
from winnow.deploy.coverage import measure_coverage
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.deploy.openvino_runtime import load as load_openvino
from winnow.errors import WinnowError
from winnow.measure.metrics import sqnr_db

# dB against the float counterpart; a network that trains with frozen ranges learns to live with their clipping
LEAST = {"fp32": 80, "dynamic": 20, "ptq": 30, "qat": 10, "masks": 80, "channels": 80, "channels_ptq": 30}
INTEGER = ("ptq", "qat", "channels_ptq")
RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
    "Dropout",
}
CASES = [(network, stage) for network in NETWORKS for stage in (("ptq",) if network.name in SIBLINGS else STAGES)]


@pytest.fixture(scope="module")
def gauntlets(tmp_path_factory):
    """One gauntlet at a time: its stages build on each other."""
    current = {}

    def of(network):
        if network.name not in current:
            current.clear()
            current[network.name] = Gauntlet(network, tmp_path_factory.mktemp(network.name))
        return current[network.name]

    return of


@pytest.mark.parametrize(("network", "stage"), CASES, ids=[f"{network.name}-{stage}" for network, stage in CASES])
def test_what_ships_is_right(network, stage, gauntlets):
    gauntlet = gauntlets(network)
    if network.expected(stage) != AGREES:
        with pytest.raises(WinnowError, match=network.expected(stage)) as refusal:
            check(gauntlet, stage)
        assert len(str(refusal.value).splitlines()) == 1
        return
    check(gauntlet, stage)


def check(gauntlet, stage):
    network, artifact, images = gauntlet.network, gauntlet.artifact(stage), gauntlet.held_out
    with torch.no_grad():
        expected, module = (m(images).numpy() for m in (artifact.counterpart, artifact.module))
    runtimes = [load(artifact.path, threads=1) for load in (load_onnxruntime, load_openvino)]
    found = [runtime(images.numpy()) for runtime in runtimes]
    difference = abs(found[0] - found[1]).mean() / expected.std()
    if not difference < 0.02:
        raise WinnowError(f"{network.name}: ONNX Runtime and OpenVINO differ by {difference:.2g} of the logits' spread")
    for runtime, logits in zip(runtimes, found, strict=True):
        assert np.array_equal(runtime(images.numpy()), logits)
        assert (sqnr_db(module, logits) or 999) > 30  # the file is the module
    noise = np.sqrt((expected**2).mean()) * 10 ** (-LEAST[stage] / 20)
    hesitant = np.diff(np.sort(expected)[:, -2:]).squeeze(1) < 2 * noise  # what noise that is let pass may decide
    for logits in found:
        assert (sqnr_db(expected, logits) or 999) > LEAST[stage]
        assert ((logits.argmax(1) == expected.argmax(1)) | hesitant).mean() > 0.95
    graph = onnx.load(artifact.path).graph
    assert not RANDOM & {node.op_type for node in graph.node}
    if stage in INTEGER:
        coverage = measure_coverage(artifact.path, network.shape, "onnxruntime")
        integer = sum(part.macs for part in coverage.operations if part.node in coverage.integer)
        share = integer / multiplications(artifact.counterpart, images[:1])
        if stage == "ptq":
            assert share == pytest.approx(network.integer, abs=0.002)
    if stage == "masks":
        constants = [onnx.numpy_helper.to_array(constant) for constant in graph.initializer]
        assert sum(int((c == 0).sum()) for c in constants if c.dtype == np.float32) >= gauntlet.masked


def test_the_page_lists_these_networks_and_outcomes():
    """`make docs` writes it."""
    assert PAGE.read_text() == page()


def test_there_are_networks_enough_with_names_and_situations_of_their_own():
    assert len({network.name for network in NETWORKS}) == len(NETWORKS) >= 45
    assert len({network.situation for network in NETWORKS}) == len(NETWORKS)
    assert {network.name for network in NETWORKS} >= SIBLINGS
