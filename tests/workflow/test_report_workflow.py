"""What a reader meets: Snakemake's own report, the pages in a browser, and the live view of real studies."""

import os
import re
import shutil
import signal
import time

import pandas as pd
import pytest

from browser import CHROMIUM, SIZES, opened
from projects import LIVE, RUN, Project
from requirements import lacking

STUDY = "results/tiny"
REPORT = ("--report", f"{STUDY}/report.html", "--report-stylesheet", "workflow/report/report.css")
EVERYTHING_MISSING = "no network has been evaluated yet"


@pytest.fixture
def browser() -> None:
    """Chromium, which a developer's machine may lack."""
    if CHROMIUM is None:
        lacking("no Chromium: install chromium or google-chrome")


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory) -> Project:
    """The finished study with its report. Do not change it."""
    project = finished.copy_to(tmp_path_factory.mktemp("reported") / "reported project")
    project.run(*REPORT)
    return project


def contents(project: Project) -> dict[str, tuple[bytes, int]]:
    """Every file outside live/: what is in it, and when it was changed."""
    paths = (path for path in project.root.rglob("*") if path.is_file() and "live" not in path.parts)
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def live(project: Project) -> str:
    """Make the live view and return its text, without markup and figures."""
    output = LIVE.run("config/tiny.yaml", cwd=project.root)
    assert output.strip().endswith(f"{STUDY}/live/overview.html"), output
    page = (project.root / STUDY / "live/overview.html").read_text()
    page = re.sub(r"<(script|style).*?</\1>|<img.*?>", "", page, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "", page).replace("\u00a0", " ")


def test_snakemakes_report_has_the_start_page_figures_cards_and_tables(reported):
    page = (reported.root / STUDY / "report.html").read_text().replace("\\n", " ")
    for heading in ("What to ship", "What came out", "What was run, and on what", "What is missing"):
        assert heading in page
    for category in ("Trade-offs", "Quantization", "Training", "Networks to ship", "Tables"):
        assert f'"{category}"' in page
    for figure in ("Accuracy against latency", "Where int8 answers differently", "Training curves"):
        assert f'"{figure}"' in page
    for caption in ("A network on the line is beaten by no other in both", "One panel for each metric"):
        assert caption in page
    assert "ship dense, " in page


def test_snakemakes_report_needs_nothing_from_elsewhere(reported):
    page = (reported.root / STUDY / "report.html").read_text()
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', markup)
    assert not re.search(r"@import|url\(['\"]?(?:https?:)?//", markup)


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["overview", "report", "tables/tables", "tables/checklist", "model_card"])
def test_a_page_in_a_browser_fits_and_asks_for_nothing(reported, name, size):
    name = name.replace("model_card", "best/digits/lenet5/model_card")
    with opened(reported.root / STUDY / f"{name}.html", size) as page:
        page.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true; })")
        page.wait()
        assert page.overflow() <= 0
        if name == "overview":
            lines = "document.querySelector('div.plot').data[0].line.color.length"
            assert page.evaluate(lines) == 4
            page.evaluate("document.querySelector('[data-view=\"lowest accuracy\"]').click()")
            assert page.evaluate(lines) == 1
        if name.endswith("model_card"):
            box = "document.querySelector('input.filter')"
            page.evaluate(f"{box}.value = 'latency -percentile'; {box}.dispatchEvent(new Event('input'))")
            shown = "[...document.querySelectorAll('tr')].filter(row => !row.hidden)"
            rows = page.evaluate(f"{shown}.map(row => row.innerText)")
            assert len(rows) > 1
            assert all("latency" in row and "percentile" not in row for row in rows[1:])
        assert page.errors == []
        assert [url[:100] for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("name", ["pareto_size.rst", "parallel_coordinates.js"])
def test_a_changed_caption_or_script_makes_the_page_again_and_nothing_else(study, name):
    path = study.root / "workflow/report" / name
    path.touch()
    assert study.planned() == {}
    path.write_text(path.read_text().replace("pruning", "what was removed").replace("buttons", "keys"))
    assert study.planned() == {"make_overview": 1}


@pytest.mark.parametrize("name", ["page.css", "page.html.j2", "blocks.html.j2"])
def test_a_changed_style_or_template_makes_all_pages_again_and_nothing_else(study, name):
    with (study.root / "workflow/report" / name).open("a") as file:
        file.write("\n")
    assert study.planned() == {"make_overview": 1, "ship": 1}


def test_the_live_view_says_that_a_network_failed_and_why(study):
    study.configure(quantization={"ptq": {"calibration_samples": 32}, "qat": {"epochs": 1, "lr": 1e30}})
    output = study.run(fails=True)
    text = live(study)
    log = (study.root / STUDY / "logs/train_quantized/digits/lenet5/seed0/dense/qat.log").read_text()
    error = log.splitlines()[-1]
    assert error in output
    assert "1 network failed:" in text
    reason = error.rpartition("error: ")[2].replace("`", "")  # these mark code on the page
    assert f"train_quantized of {reason}" in text
    assert "3 of 4 networks. This is a look at a study that is not finished. 1 is missing" in text
    table = pd.read_csv(study.root / STUDY / "live/results.csv")
    assert list(table["precision"]) == ["dynamic", "fp32", "ptq"]


def test_the_live_view_of_a_study_that_has_not_begun_says_so(project):
    assert EVERYTHING_MISSING in LIVE.run("config/tiny.yaml", cwd=project.root)


def test_the_live_view_of_half_a_study_is_of_what_is_there(study):
    for name in ("ptq", "qat"):
        shutil.rmtree(study.root / RUN / name)
    (study.root / RUN / "dynamic/speed.json").unlink()
    shutil.rmtree(study.root / STUDY / "tables")
    text = live(study)
    assert "1 of 4 networks. This is a look at a study that is not finished. 3 are missing" in text
    assert "3 networks not made yet:" in text
    assert f"{RUN.removeprefix(f'{STUDY}/')}/dynamic: no latency yet" in text
    assert f"{RUN.removeprefix(f'{STUDY}/')}/qat: no accuracy and latency yet" in text


def test_the_live_view_changes_nothing(study):
    before = contents(study)
    assert "All are finished." in live(study)
    assert contents(study) == before
    assert "Nothing to be done" in study.run()


def test_the_live_view_needs_no_lock_while_a_study_runs(study):
    """The study is halted meanwhile, so that it cannot end before the view is there."""
    study.configure(seeds=[0, 1], training={"epochs": 8})
    history = study.root / STUDY / "digits/lenet5/seed1/dense/history.csv"
    process = study.start(str(history.with_name("weights.safetensors").relative_to(study.root)))
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if history.exists() and len(history.read_text().splitlines()) > 1:  # an epoch is complete
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGSTOP)
        assert list((study.root / ".snakemake/locks").iterdir())
        before = contents(study)
        text = live(study)
        assert contents(study) == before
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(600) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "4 of 8 networks. This is a look at a study that is not finished. 4 are missing" in text
    assert re.search(r"3 networks training:\s*digits/lenet5/seed1/dense/fp32: epoch \d is complete", text)
    assert "1 network not made yet:" in text  # the aware training has not begun
    table = pd.read_csv(study.root / STUDY / "live/history.csv")
    assert (table["seed"] == 1).any()
