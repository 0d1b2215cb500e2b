"""What the ONNX exporter knows is collected once, and changes no file."""

import torch
from torch.onnx._internal.exporter import _registration

from samples import colored_squares, model_settings
from winnow.deploy import export
from winnow.deploy.torchlib import keep_torchlib
from winnow.models.build import build_model


def test_what_the_exporter_knows_is_collected_once_and_changes_no_file(tmp_path, monkeypatch):
    """Fails when a new torch has renamed what is kept, and exporting is slower again."""
    keep_torchlib()
    registry = _registration.ONNXRegistry
    kept, collected = registry.from_torchlib, []
    finish = registry._cleanup_registry_based_on_opset_version
    monkeypatch.setattr(
        registry, "_cleanup_registry_based_on_opset_version", lambda self: collected.append(finish(self))
    )
    model = build_model(model_settings("lenet5"), colored_squares(8, 2).task, seed=0).eval()
    kept.cache_clear()
    for way, times in ((kept, 1), (kept.__wrapped__, 2)):
        monkeypatch.setattr(registry, "from_torchlib", staticmethod(way))
        monkeypatch.setattr(export, "keep_torchlib", lambda: None)
        for number in range(2):
            export.export_onnx(model, torch.zeros(2, 3, 32, 32), tmp_path / f"{times}-{number}.onnx", {})
        assert len(collected) == times
        collected.clear()
    assert len(list(tmp_path.iterdir())) == 4
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_it_is_kept_once():
    keep_torchlib()
    kept = _registration.ONNXRegistry.from_torchlib
    keep_torchlib()
    assert _registration.ONNXRegistry.from_torchlib is kept
