"""Which code a stage depends on.

Snakemake's own trigger sees the script but not what it imports; a digest over both, as a parameter of the
rule, reruns exactly the stages that a change can affect.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parents[2]


@cache
def source_digest(script: str) -> str:
    """Return a digest of a script and, transitively, of the modules beside it that it imports.

    Args:
        script: name of a file in workflow/scripts, without `.py`.
    """
    content = hashlib.sha256()
    for path in sorted(_closure(_SCRIPTS / f"{script}.py")):
        content.update(path.relative_to(_SCRIPTS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:16]


def _closure(path: Path) -> set[Path]:
    found, pending = set(), {path}
    while pending:
        current = pending.pop()
        found.add(current)
        pending |= set(_imports(current)) - found
    return found


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = (_SCRIPTS.joinpath(*name.split(".")).with_suffix(".py") for name in names)
    return tuple(file for file in files if file.is_file())
