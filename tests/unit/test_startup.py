"""What the scripts load before they work: a heavy library only where its job is."""

import ast
import subprocess
import sys

from samples import REPOSITORY

SCRIPTS = REPOSITORY / "workflow" / "scripts"
SHARED = {"adapter", "dataset_adapter", "training_adapter"}
WITHOUT_TORCH = {
    *("benchmark", "check_configfiles", "collect", "evaluate", "live", "make_check_table", "make_figures"),
    *(
        "make_overview",
        "make_multiplier_table",
        "make_pruning_sensitivity_table",
        "make_pruning_table",
        "make_quantization_table",
        "make_sensitivity_table",
        "plan",
        "quantize_dynamic",
        "recommend",
    ),
    *("ship", "time_layers"),
}
WITH_TORCH = {
    *("calibrate", "check_network", "choose_float", "choose_multipliers", "export", "import_network"),
    *("measure_sensitivity", "prepare_dataset", "prune", "retrain", "train", "train_quantized", "tune"),
}
MEASURING = {"benchmark", "evaluate", "quantize_dynamic", "time_layers"}
TABLES = {"pandas", "matplotlib", "seaborn", "plotly"}


def loaded_by(scripts: set[str]) -> set[str]:
    """Return the modules that the imports of these scripts load, in one process."""
    imports = [
        ast.unparse(node)
        for script in sorted(scripts)
        for node in ast.parse((SCRIPTS / f"{script}.py").read_text()).body
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")
    ]
    program = "\n".join(["import sys", f"sys.path.insert(0, {str(SCRIPTS)!r})", *imports, "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_script_is_known():
    scripts = {path.stem for path in SCRIPTS.glob("*.py")} - SHARED
    assert scripts == WITHOUT_TORCH | WITH_TORCH


def test_what_needs_no_torch_loads_none():
    assert not loaded_by(WITHOUT_TORCH) & {"torch", "torchvision", "torch_pruning"}
    assert not loaded_by(MEASURING) & TABLES


def test_what_needs_torch_loads_torchvision_only_where_its_network_asks():
    modules = loaded_by(WITH_TORCH)
    assert "torch" in modules
    assert not modules & {"torchvision", *TABLES}
    assert "torch._dynamo" not in modules
