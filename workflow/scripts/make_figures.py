"""make_figures: the tidy tables of a study -> figures as SVG and PNG."""

from dataclasses import replace
from pathlib import Path

from adapter import Snakemake, job
from winnow.config.recommend import RecommendSettings
from winnow.figures.draw import draw_figures, read_tables
from winnow.files import write_json
from winnow.results.assignment import read_assignments
from winnow.results.pruning_sensitivity import read_curves
from winnow.results.sensitivity import read_layers
from winnow.study.recommendation import Recommendations

snakemake: Snakemake

with job(snakemake):
    files, parameters = snakemake.input, snakemake.params
    tables = read_tables(files.results, files.layers, files.confusion, files.history)
    if files.sensitivity:
        tables = replace(tables, sensitivity=read_layers(files.sensitivity))
    if files.assigned:
        tables = replace(tables, assigned=read_assignments(files.assigned))
    if files.curves:
        tables = replace(tables, curves=read_curves(files.curves))
    settings = RecommendSettings.of(parameters.recommend)
    shipped = Recommendations.read(files.recommendation).shipped
    folder = Path(snakemake.output.undrawn).parent
    undrawn = draw_figures(
        tables,
        parameters.figures,
        settings,
        shipped,
        folder,
    )
    write_json(snakemake.output.undrawn, undrawn)
