"""What the ONNX exporter knows is collected once, and changes no file."""

import subprocess
import sys

from samples import REPOSITORY

PROGRAM = """
import sys
sys.path[:0] = [{tests!r}, {scripts!r}]
import torch
from torch.onnx._internal.exporter import _registration
from samples import model_settings, colored_squares
from winnow.deploy import export
from winnow.models.build import build_model
if not {kept}:
    export.keep_torchlib = lambda: None
collected = []
usual = _registration.ONNXRegistry._cleanup_registry_based_on_opset_version
_registration.ONNXRegistry._cleanup_registry_based_on_opset_version = lambda self: collected.append(usual(self))
model = build_model(model_settings("lenet5"), colored_squares(8, 2).task, seed=0).eval()
for number in range(2):
    export.export_onnx(model, torch.zeros(2, 3, 32, 32), {folder!r} + f"/{kept}{{number}}.onnx", {{}})
print(len(collected))
"""


def test_what_the_exporter_knows_is_collected_once_and_changes_no_file(tmp_path):
    """Fails when a new torch has renamed what is kept, and exporting is slower again."""
    places = {"tests": str(REPOSITORY / "tests"), "scripts": str(REPOSITORY / "workflow" / "scripts")}
    counts = []
    for kept in (False, True):
        program = PROGRAM.format(**places, folder=str(tmp_path), kept=kept)
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        counts.append(ran.stdout.split()[-1])
    assert counts == ["2", "1"]
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 4
