"""make_sensitivity_table: sensitivity.json and mixed.json of the dense networks -> which layers quantization hurts."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.report.sensitivity_table import mixed_table, sensitivity_table
from winnow.results.sensitivity import collect_mixed, collect_sensitivity

snakemake: Snakemake

with job(snakemake):
    files, tables = snakemake.input, snakemake.output
    study = Path(tables.csv).parents[1]
    sensitivity_table(collect_sensitivity(files.sensitivity, study)).write(tables.csv, tables.markdown)
    mixed_table(collect_mixed(files.mixed, study)).write(tables.mixed_csv, tables.mixed)
