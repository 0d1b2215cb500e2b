"""make_overview: results.csv and figures -> the report as one page, and the tables only it shows."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.analysis.published import published_table
from winnow.analysis.ranking import ranking_table
from winnow.analysis.recommendation import with_numbers
from winnow.config.recommend import RecommendSettings
from winnow.files import read_json
from winnow.report.page import write_parts, write_report
from winnow.report.start_page import Outcome
from winnow.results.assignment import read_assignments
from winnow.results.csv_files import read_csv
from winnow.results.pruning_sensitivity import read_curves
from winnow.results.sensitivity import read_layers
from winnow.study.check import Check
from winnow.study.recommendation import Recommendations
from winnow.study.status import absent

snakemake: Snakemake

with job(snakemake):
    files, study = snakemake.output, snakemake.params.study
    results = read_csv(snakemake.input.results)
    record = Recommendations.read(snakemake.input.recommendation)
    chosen = with_numbers(record, results, RecommendSettings.of(study["recommend"]))
    lacking = absent(study, Path(files.page).parent)
    checks = [Check.read(path) for path in snakemake.input.checks]
    layers = tuple(map(read_layers, snakemake.input.layers))
    assigned = read_assignments(snakemake.input.assigned) if snakemake.input.assigned else None
    curves = read_curves(snakemake.input.curves) if snakemake.input.curves else None
    undrawn = read_json(snakemake.input.undrawn)
    outcome = Outcome(study, results, chosen, lacking, undrawn, checks, layers, assigned, curves)
    write_report(outcome, Path(snakemake.input.undrawn).parent, Path(files.page))
    write_parts(outcome, Path(files.description), Path(files.tables), Path(files.checklist))
    ranking_table(results).write(files.ranking_csv, files.ranking)
    published_table(results).write(files.published_csv, files.published)
