"""make_multiplier_table: multipliers.json of the dense networks -> which layer multiplies with which circuit."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.report.assignment_table import assignment_table
from winnow.results.assignment import collect_assignments

snakemake: Snakemake

with job(snakemake):
    tables = snakemake.output
    found = collect_assignments(snakemake.input.multipliers, Path(tables.csv).parents[1])
    assignment_table(found).write(tables.csv, tables.markdown)
