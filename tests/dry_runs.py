"""Dry runs without an interpreter for each: a process that has loaded libraries, and nothing of Winnow, is forked.

Of a dry run's 1.5 seconds, one goes to importing Snakemake; what Snakemake reads is that of the project in the folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def dry_run(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Return the exit code of `python -m snakemake` in a folder, and all that it prints."""
    server = _server()
    with tempfile.NamedTemporaryFile("r") as output:
        request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        server.stdin.write(json.dumps(request | {"output": output.name}) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()), output.read()


@cache
def _server() -> subprocess.Popen[str]:
    """Start the process; it ends with this one, which closes its input."""
    command = [sys.executable, __file__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serve() -> None:
    import numpy  # noqa: F401
    import pydantic  # noqa: F401
    from snakemake.cli import main

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line), main)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(request: dict[str, Any], main: Any) -> None:
    """Be `python -m snakemake`, and end."""
    status = 1
    try:
        for handle, path in enumerate((os.devnull, request["output"], request["output"])):
            os.dup2(os.open(path, os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_APPEND), handle)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.path[0] = request["folder"]
        sys.argv = ["snakemake", *request["arguments"]]
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
