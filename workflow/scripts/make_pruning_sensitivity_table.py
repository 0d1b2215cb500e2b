"""make_pruning_sensitivity_table: sparsity.json of first rounds -> which layers pruning hurts."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.report.pruning_sensitivity_table import pruning_sensitivity_table
from winnow.results.pruning_sensitivity import collect_curves

snakemake: Snakemake

with job(snakemake):
    tables = snakemake.output
    found = collect_curves(snakemake.input.sparsity, Path(tables.csv).parents[1])
    pruning_sensitivity_table(found).write(tables.csv, tables.markdown)
