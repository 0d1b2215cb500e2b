"""make_figures: the tidy tables of a study -> figures as SVG and PNG."""

from pathlib import Path

from adapter import job
from winnow.figures import draw_figures, read_tables

with job(snakemake):
    tables = read_tables(snakemake.input.results, *snakemake.input.details)
    parameters = snakemake.params
    draw_figures(tables, parameters.networks, parameters.pruned, Path(parameters.folder))
