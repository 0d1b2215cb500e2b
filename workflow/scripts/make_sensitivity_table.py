"""make_sensitivity_table: sensitivity, mixed, layer_times.json of dense networks -> which layers quantization hurts."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.report.sensitivity_table import mixed_table, sensitivity_table
from winnow.results.sensitivity import collect_mixed, collect_sensitivity

snakemake: Snakemake

with job(snakemake):
    files, tables = snakemake.input, snakemake.output
    study = Path(tables.csv).parents[1]
    layers = collect_sensitivity(files.sensitivity, study, files.times)
    sensitivity_table(layers).write(tables.csv, tables.markdown)
    tried = collect_mixed(files.mixed, study, files.times, snakemake.params.unspared)
    mixed_table(tried).write(tables.mixed_csv, tables.mixed)
