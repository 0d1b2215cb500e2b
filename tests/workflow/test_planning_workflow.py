"""What a user reads before anything runs, and that profiles say why each key is there."""

import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import snakemake_executor_plugin_slurm
import yaml

from projects import Project, job_counts
from samples import REPOSITORY


def plan_of(project: Project, *arguments: str) -> str:
    command = [sys.executable, "workflow/scripts/plan.py", *arguments, "--configfile", "config/tiny.yaml"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def jobs_of(plan: str) -> dict[str, int]:
    return {rule: int(count) for rule, count in re.findall(r"^  (\w+) +(\d+) +[\d.]+ +[\d.]+$", plan, re.MULTILINE)}


def rule_hours(plan: str, rule: str) -> float:
    return float(re.search(rf"^  {rule} +\d+ +([\d.]+) ", plan, re.MULTILINE).group(1))


def test_a_plan_before_anything_ran_says_what_it_assumes(project):
    plan = plan_of(project, "--slots", "3", "--images-per-second", "90")
    jobs = jobs_of(plan)
    assert jobs.pop("together") == sum(jobs.values())
    assert jobs == project.planned()
    assert "Wall time with 3 jobs at a time: " in plan
    assert "digits/lenet5: 2 (assumed: 180 images at 90 images/s)" in plan
    assert re.search(r"^Disk: \d+\.\d\d GB in results/$", plan, re.MULTILINE)
    assert "  calibrate -> " in plan
    assert not (project.root / "results").exists()


def test_a_plan_for_a_cluster_has_the_same_jobs_and_whole_nodes(project):
    """Jobs in groups count too, with the threads they ask for rather than the one of a dry run."""
    project.configure(pruning={"ratio": [0.5]})
    here = plan_of(project)
    there = plan_of(project, "--profile", "profiles/slurm", "--node-cores", "64")
    jobs = jobs_of(there)
    assert jobs == jobs_of(here)
    assert jobs["retrain"] == 1
    assert f"benchmark takes whole nodes: {jobs['benchmark']} jobs" in there
    assert rule_hours(there, "benchmark") / jobs["benchmark"] > 64 * 10 / 3600
    assert [line for line in there.splitlines() if line.startswith("Disk:")] == [
        line for line in here.splitlines() if line.startswith("Disk:")
    ]


def test_a_plan_counts_what_is_missing_and_uses_what_was_measured(study):
    assert plan_of(study) == "Study tiny: 0 jobs to run\n"
    study.configure(seeds=[0, 1])
    plan = plan_of(study)
    jobs = jobs_of(plan)
    assert (jobs["train"], jobs["train_quantized"], jobs["evaluate"]) == (1, 1, 4)
    assert re.search(r"digits/lenet5: [\d.e-]+ \(median of 8 epochs measured in tiny\)", plan)


def test_a_plan_of_one_target(project):
    assert jobs_of(plan_of(project, "results/data/digits.safetensors")) == {"prepare_dataset": 1, "together": 1}


def test_a_plan_of_a_mistake_says_what_is_wrong(project):
    command = [sys.executable, "workflow/scripts/plan.py", "--configfile", "config/none.yaml"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "config/none.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [("--workflow-profile", "slurm"), ("--profile", "slurm")])
def test_the_slurm_profile_is_found_by_its_name(project, options):
    command = [sys.executable, "-m", "snakemake", "-n", *options, "--configfile", "config/tiny.yaml"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert job_counts(done.stdout + done.stderr) == project.planned()


@pytest.mark.parametrize("path", ["profiles/local/config.yaml", "profiles/slurm/config.yaml"])
def test_every_key_of_a_profile_has_a_comment(path):
    lines = (REPOSITORY / path).read_text().splitlines()
    for key in yaml.safe_load("\n".join(lines)):
        number = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
        nested = itertools.takewhile(lambda line: line.startswith(" "), lines[number + 1 :])
        comments = [line.strip().startswith("#") for line in (lines[number - 1], *nested)]
        assert any(comments), f"{path}: {key} has no comment"


def test_without_the_plugin_the_last_line_says_so_and_nothing_is_left(project, tmp_path):
    """In an environment of everything but the plugin; Snakemake refuses the profile before it reads the Snakefile."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in Path(snakemake_executor_plugin_slurm.__file__).parents[1].iterdir():
        if not path.name.startswith("snakemake_executor_plugin_slurm"):
            (packages / path.name).symlink_to(path)
    command = replace(project, options=("--profile", "slurm")).command()
    environment = os.environ | {"PYTHONPATH": str(packages)}
    done = subprocess.run(
        [command[0], "-S", *command[1:]], cwd=project.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "argument --executor/-e: invalid choice: 'slurm'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (project.root / "results").exists()
    assert not (project.root / ".snakemake").exists()
