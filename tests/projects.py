"""Real Snakemake runs of a tiny study, in a copy of the project whose path has a space in it."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from dry_runs import dry_run
from samples import REPOSITORY

TINY = {
    "study": "tiny",
    "seeds": [0],
    "datasets": {"digits": {"source": "digits", "max_train_samples": 200, "max_test_samples": 100}},
    "models": {"lenet5": {}},
    "training": {"epochs": 8, "batch_size": 16, "lr": 0.02, "warmup_epochs": 2, "flip": False, "precision": "fp32"},
    "quantization": {"ptq": {"calibration_samples": 32}, "qat": {"epochs": 1, "lr": 0.001}},
    "benchmark": {"batch_sizes": [1], "seconds": 0.05, "warmup_seconds": 0.01},
}
RUN = "results/tiny/digits/lenet5/seed0/dense"
# one thread for each training run: on networks this small, more wait for each other most of the time; and where bits
# are compared, the number of cores must not matter
ONE_THREAD = ("--set-threads", "train=1", "tune=1", "train_quantized=1", "retrain=1")
LOCAL = (*ONE_THREAD, "--profile", "profiles/local")
# what is made again whenever a number changes
REPORT = dict.fromkeys(("collect", "make_quantization_table", "make_figures", "recommend", "ship", "make_overview"), 1)


@dataclass(frozen=True)
class Project:
    """A copy of the project, and how a user runs one study of it."""

    root: Path
    options: tuple[str, ...] = LOCAL
    study: str = "tiny"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> str:
        return f"config/{self.study}.yaml"

    def configure(self, **changes) -> None:
        """Write the study's configuration; a change replaces keys of a section, or all data sets, or all networks."""
        config = copy.deepcopy(TINY) | {"study": self.study}
        for key, value in changes.items():
            merged = isinstance(value, dict) and key not in ("datasets", "models")
            config[key] = config.get(key, {}) | value if merged else value
        (self.root / self.config).write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> list[str]:
        options = [*self.options, "--configfile", self.config]
        return [sys.executable, "-m", "snakemake", *arguments, *options]

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start snakemake; what it prints lands in `output`."""
        with self.output.open("w") as output:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.root,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | self.environment,
            )

    @property
    def output(self) -> Path:
        return self.root / f"output of {self.study}.txt"

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run snakemake and return what it printed."""
        command, environment = self.command(*arguments), os.environ | self.environment
        if "-n" in arguments:
            code, output = dry_run(command[3:], self.root, environment)
        else:
            done = subprocess.run(
                command, cwd=self.root, capture_output=True, text=True, timeout=600, check=False, env=environment
            )
            code, output = done.returncode, done.stdout + done.stderr
        assert (code != 0) == fails, output[-6000:]
        return output

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return the jobs of a dry run by rule, without the targets."""
        return job_counts(self.run("-n", *arguments))

    def copy_to(self, root: Path) -> Project:
        shutil.copytree(self.root, root, symlinks=True)
        return replace(self, root=root)


def job_counts(output: str) -> dict[str, int]:
    counts = dict(re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE))
    return {
        rule: int(count)
        for rule, count in counts.items()
        if rule not in ("total", "all", "check", "quantization", "pruning")
    }


def copy_project(root: Path, options: tuple[str, ...] = LOCAL) -> Project:
    root.mkdir(parents=True)
    for name in ("Snakefile", "config", "profiles", "workflow"):
        source = REPOSITORY / name
        copied = shutil.copytree if source.is_dir() else shutil.copy2
        copied(source, root / name)
    shutil.copy2(REPOSITORY / "slurm", root / "slurm", follow_symlinks=False)
    project = Project(root, options)
    project.configure()
    return project


class LIVE:
    """The command line of the live view."""

    @staticmethod
    def run(*arguments: object, cwd: Path = REPOSITORY) -> str:
        """Return what it prints, errors included."""
        command = [sys.executable, str(REPOSITORY / "workflow/scripts/live.py"), *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
        return done.stdout + done.stderr
