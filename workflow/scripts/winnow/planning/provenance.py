"""Which code a stage depends on.

Snakemake's own trigger sees the script but not what it imports; a digest over both, as a parameter of the rule,
reruns exactly the stages that a change can affect. It is taken over the syntax tree: comments, docstrings, annotations
of functions and layout do not count. See docs/decisions/digest.md.
"""

from __future__ import annotations

import ast
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from winnow.study.words import Word, facts

_SCRIPTS = Path(__file__).resolve().parents[2]
# they refuse, say what goes wrong, wait for a turn, clear up, or name things: no result depends on them; of the words
# of the vocabulary each job counts the facts of those that it uses
_WITHOUT_EFFECT = frozenset(
    f"winnow.{name}"
    for name in (
        *(
            "ancestor",
            "check.feasibility",
            "config.catalog",
            "config.extras",
            "errors",
            "machine_turn",
            "models.user_code",
            "refusal",
            "sole_writer",
        ),
        *("study.training_state", "study.recipe_axes", "study.vocabulary", "study.words", "text", "train.gpu_slots"),
    )
)
_UNREAD = frozenset(("ctx", "kind", "type_comment", "type_ignores", "returns"))
_DOCUMENTED = frozenset((ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
_MADE_BY_RUNS = ("results", "logs", ".snakemake")  # where Snakemake was started: no cause of what they are made from
_LOADERS = frozenset(("importlib", "runpy", "exec", "__import__", "cpp_extension"))


@dataclass(frozen=True)
class _Module:
    """A module by its dotted name, below the folder that Python would find it in."""

    root: Path
    name: str
    path: Path

    @property
    def package(self) -> list[str]:
        parts = self.name.split(".")
        return parts if self.path.name == "__init__.py" else parts[:-1]


@cache
def source_digest(script: str, *modules: str, words: tuple[Word, ...] = ()) -> str:
    """Return a digest of a script and, transitively, of what it imports from beside it.

    Args:
        script: name of a file in workflow/scripts, without `.py`.
        modules: dotted names of what it loads by name: the network, source or criterion of this very job.
        words: of the vocabulary, that this job uses: their facts count, not how they are called and look.
    """
    names = [script, *modules]
    if missing := [name for name in names if not _found(name, (_SCRIPTS,))]:
        raise ValueError(f"no module {missing[0]} in {_SCRIPTS}")
    code = _digest(names, (_SCRIPTS,))
    known = repr([(type(word).__name__, facts(word)) for word in words])
    return hashlib.sha256(f"{code} {known}".encode()).hexdigest()[:16] if words else code


@cache
def user_digest(import_path: str) -> str:
    """Return a digest of a user's module, of what it imports, and of the files beside it that it names.

    Looked for where Snakemake was started and in PYTHONPATH; "" where neither has it, as for an installed package,
    whose version belongs to the environment.

    Args:
        import_path: `package.module:attribute`.
    """
    roots = (Path.cwd(), *map(Path, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))))
    name = import_path.partition(":")[0]
    return _digest([name], roots, beside=True) if _found(name, roots) else ""


def _digest(names: list[str], roots: tuple[Path, ...], *, beside: bool = False) -> str:
    found: dict[Path, _Module] = {}
    pending = [module for name in names for module in _found(name, roots)]
    while pending:
        module = pending.pop()
        if module.path not in found and module.name not in _WITHOUT_EFFECT:
            found[module.path] = module
            pending += [other for name in _imports(module) for other in _found(name, roots)]
            pending += _loaded(module, roots) if beside else []
    content = hashlib.sha256()
    for module in sorted(found.values(), key=lambda module: module.name):
        content.update(f"{module.name}\0{_read(module.path)[0]}\0".encode())
        for file in _named_files(module) if beside else ():
            content.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:16]


@cache
def _found(name: str, roots: tuple[Path, ...]) -> tuple[_Module, ...]:
    """Return a module and the packages around it, as far as they are files below the first root that has it."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return ()
    for root in roots:
        path = root.joinpath(*parts)
        module = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
        if module:
            packages = [(depth, root.joinpath(*parts[:depth], "__init__.py")) for depth in range(1, len(parts))]
            around = [_Module(root, ".".join(parts[:depth]), file) for depth, file in packages if file.is_file()]
            return (_Module(root, name, module), *around)
    return ()


@cache
def _imports(module: _Module) -> frozenset[str]:
    """Return the dotted names that a module imports, anywhere in it; some are attributes and lead to no file."""
    names: set[str] = set()
    for node in _read(module.path)[1]:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            above = module.package[: len(module.package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _loaded(module: _Module, roots: tuple[Path, ...]) -> list[_Module]:
    """Return what a user's module may load without an import statement: what it names, or all that lies beside it."""
    tree = _tree(module.path)
    words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    words |= {part for name in _imports(module) for part in name.split(".")}
    if not words & _LOADERS:
        return []
    beside = [".".join([*module.package, file.stem]) for file in sorted(module.path.parent.glob("*.py"))]
    return [other for name in {*_strings(tree), *beside} for other in _found(name, roots)]


def _named_files(module: _Module) -> list[Path]:
    """Return the files whose names a user's module holds, as seen from its folder: a kernel to compile, a table."""
    named = {module.path.parent / text for text in _strings(_tree(module.path)) if text and "\0" not in text}
    found = (path for path in named if os.path.isfile(path))  # noqa: PTH113 - Path raises where a text is too long
    paths = {path.resolve() for path in found} - {module.path.resolve()}
    made = [Path.cwd() / folder for folder in _MADE_BY_RUNS]
    return sorted(path for path in paths if not any(path.is_relative_to(folder) for folder in made))


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file; one that does not parse counts as its text, and importing it will say so."""
    content = path.read_bytes()  # what encoding it has, it says itself
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):  # ValueError: zero bytes
        return ast.Module([ast.Pass(), ast.Expr(ast.Constant(content))], [])


@cache
def _read(path: Path) -> tuple[str, tuple[ast.Import | ast.ImportFrom, ...]]:
    """Return a file as text in which only what can change a result is left, and its import statements.

    The text is the same in every version of Python that parses the file to the same tree.
    """
    words: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []

    def write(node: Any) -> None:
        if isinstance(node, list):
            words.append("[")
            for item in node:
                write(item)
            words.append("]")
        elif isinstance(node, ast.AST):
            kind = type(node)
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports.append(node)
            words.append(kind.__name__)
            for field in _FIELDS[kind]:
                value = getattr(node, field, None)
                if value is not None and value != []:
                    words.append(field)
                    write(value[1:] if field == "body" and kind in _DOCUMENTED and _is_text(value[0]) else value)
        else:
            words.append(repr(node))

    write(_tree(path))
    return " ".join(words), tuple(imports)


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of a kind of node that are read."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        unread = _UNREAD | {"annotation"} if kind is ast.arg else _UNREAD
        self[kind] = tuple(field for field in kind._fields if field not in unread)
        return self[kind]


_FIELDS = _Fields()


def _is_text(node: ast.stmt) -> bool:
    """Whether a first statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
