"""make_quantization_table: quality.json and speed.json of the dense networks -> the study's quantization table."""

from adapter import Snakemake, job
from winnow.report.quantization_table import quantization_table
from winnow.results.collect import collect

snakemake: Snakemake

with job(snakemake):
    table = quantization_table(collect(snakemake.input.quality, snakemake.input.speed))
    table.write(snakemake.output.csv, snakemake.output.markdown)
