"""The house: each package imports only from those before it, and what plans a study loads no heavy library."""

import ast
import subprocess
import sys

import pytest

from samples import REPOSITORY

LIBRARY = REPOSITORY / "workflow" / "scripts" / "winnow"
ORDER = (
    *("study", "config", "planning", "cluster", "data", "models", "capture", "deploy", "measure", "train", "prune"),
    *("quantize", "approximate", "check", "results", "analysis", "figures", "report"),
)
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.name != "__init__.py")
HEAVY = ("torch", "torchvision", "onnx", "onnxruntime", "openvino", "pandas", "matplotlib", "sklearn")


def dotted(path) -> str:
    return ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)


def imported(path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("winnow.")}


def rank(name: str) -> int:
    package = name.split(".")[1]
    return ORDER.index(package) if (LIBRARY / package).is_dir() else -1


def test_every_package_has_its_place():
    assert {path.parent.name for path in LIBRARY.glob("*/__init__.py")} == set(ORDER)
    assert all(not path.read_text() for path in LIBRARY.rglob("__init__.py"))


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_lead_downwards(path):
    upward = [name for name in imported(path) if rank(name) > rank(dotted(path))]
    assert not upward


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_private_names_stay_at_home(path):
    assert not [name for name in imported(path) if name.rpartition(".")[2].startswith("_")]


def leads_to(name: str, module: str) -> bool:
    return f"{name}.".startswith(f"{module}.")


def test_no_circles():
    edges = {dotted(path): imported(path) for path in MODULES}
    for name, names in edges.items():
        edges[name] = {module for module in edges if any(leads_to(other, module) for other in names)}
    while free := [name for name, names in edges.items() if not names & edges.keys()]:
        for name in free:
            del edges[name]
    assert not edges


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 250


def loaded_by(*modules: str) -> set[str]:
    code = f"import sys; sys.path.insert(0, {str(LIBRARY.parent)!r}); import {', '.join(modules)}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_what_plans_a_study_loads_no_heavy_library():
    planning = [dotted(path) for path in MODULES if path.parent.name in ("study", "config", "planning")]
    common = (REPOSITORY / "workflow" / "rules" / "common.smk").read_text().splitlines()
    imports = ast.parse("\n".join(line for line in common if line.startswith("from winnow")))
    rules = {node.module for node in ast.walk(imports) if isinstance(node, ast.ImportFrom)}
    assert rules
    assert not loaded_by(*planning, *sorted(rules)) & set(HEAVY)
