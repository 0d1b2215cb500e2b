"""make_pruning_table: results.csv -> the study's pruning table as CSV and Markdown."""

from adapter import Snakemake, job
from winnow.report.pruning_table import pruning_table
from winnow.results.csv_files import read_csv

snakemake: Snakemake

with job(snakemake):
    table = pruning_table(read_csv(snakemake.input.results))
    table.write(snakemake.output.csv, snakemake.output.markdown)
