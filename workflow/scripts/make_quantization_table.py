"""make_quantization_table: quality.json and speed.json of the dense networks -> the study's quantization table."""

from adapter import Snakemake, job
from winnow.report.quantization_table import quantization_table
from winnow.results.collect import collect, trained_elsewhere

snakemake: Snakemake

with job(snakemake):
    files, trained = snakemake.input, trained_elsewhere(snakemake.params.trained)
    table = quantization_table(collect(files.quality, files.speed, trained))
    table.write(snakemake.output.csv, snakemake.output.markdown)
