"""Whether the user's own networks and criteria are where their import paths say, without running any of their code.

Only what is certainly not there is refused: importing it, in the first job, has the last word. Imported by the
Snakefile, so it must not import torch.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from winnow.config.study import Study
from winnow.errors import WinnowError
from winnow.study.vocabulary import CRITERIA
from winnow.text import told

_MAKING_NAMES = ("exec", "globals", "setattr", "vars", "__getattr__", "*")


def check_imports(study: Study) -> None:
    """Refuse import paths that lead nowhere.

    Raises:
        WinnowError: one line for each.
    """
    criteria = dict.fromkeys(strategy["criterion"] for strategy in study.strategies.values())
    paths = {f"models.{name}.factory": model["factory"] for name, model in study.models.items() if model["factory"]}
    paths |= {f"pruning.criterion {name}": name for name in criteria if name not in CRITERIA}
    lines = [f"configuration: {key}: {problem}" for key, path in paths.items() for problem in _problems(path)]
    if lines:
        raise WinnowError("\n".join(lines))


def _problems(path: str) -> Iterator[str]:
    """Yield what keeps `package.module:attribute` from being imported."""
    module, _, attribute = path.partition(":")
    top = module.partition(".")[0]
    roots = [str(Path.cwd()), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    own = PathFinder.find_spec(top, roots)
    if own is None:
        if not _is_installed(top):
            yield f"there is no module {top} in {roots[0]} or on the Python path; put it there, or correct its name"
        return
    parts = module.split(".")
    for depth in range(2, len(parts) + 1):
        package, name = own, ".".join(parts[:depth])
        own = PathFinder.find_spec(name, package.submodule_search_locations or [])
        if own is None:
            yield f"there is no module {name} beside {package.origin or top}; put it there, or correct its name"
            return
    yield from _attribute_problems(own, attribute)


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # what is loaded in a way of its own
        return True


def _attribute_problems(module: ModuleSpec, attribute: str) -> Iterator[str]:
    if not module.origin or not module.origin.endswith(".py"):
        return
    try:
        tree = ast.parse(Path(module.origin).read_bytes())
    except SyntaxError as error:
        yield f"{module.origin}, line {error.lineno}, is no Python ({error.msg}); correct it"
    except (OSError, ValueError, RecursionError) as error:
        yield f"{module.origin} cannot be read ({told(str(error))}); correct it"
    else:
        names = set(_names(tree))
        if attribute not in names and not names & {*_MAKING_NAMES}:
            near = difflib.get_close_matches(attribute, names, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "write it, or correct its name"
            yield f"{module.origin} has no {attribute}; {advice}"


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module could bind, and those it uses to bind others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
