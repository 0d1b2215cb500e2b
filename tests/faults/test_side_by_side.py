"""Several of everything in one folder: studies, Snakemakes, and a look at what there is."""

import json
import time
from dataclasses import replace

import pandas as pd

from projects import LIVE

DATA = "results/data/digits.safetensors"


def test_two_studies_of_one_data_set_and_a_report_meanwhile(project):
    """Once the data set is there; else the study that comes second is refused as long as the first one makes it."""
    studies = [replace(project, study=name) for name in ("one", "other")]
    for study in studies:
        study.configure(training={"epochs": 30}, quantization={"methods": []})
    project.run(DATA)
    content = (project.root / DATA).read_bytes()
    running = [study.start(f"results/{study.study}/results.csv") for study in studies]
    refusals = looks = 0
    while any(process.poll() is None for process in running):
        if (project.root / "results/one/logs").exists() and running[0].poll() is None and not refusals:
            assert "Directory cannot be locked" in studies[0].run(fails=True)
            refusals += 1
        if refusals and looks < 2:
            assert "Traceback" not in LIVE.run(studies[0].config, cwd=project.root)
            looks += 1
        time.sleep(0.2)
    assert refusals
    assert looks == 2
    for study, process in zip(studies, running, strict=True):
        assert process.returncode == 0, study.output.read_text()[-6000:]
    assert (project.root / DATA).read_bytes() == content
    tables = [pd.read_csv(project.root / f"results/{study.study}/results.csv") for study in studies]
    assert tables[0]["top1"].tolist() == tables[1]["top1"].tolist()
    network = "digits/lenet5/seed0/dense"
    weights, speeds = (
        [(project.root / "results" / study.study / network / name).read_bytes() for study in studies]
        for name in ("weights.safetensors", "fp32/speed.json")
    )
    assert weights[0] == weights[1]
    assert all(json.loads(speed)["other_load"] >= 0 for speed in speeds)
