"""make_quantization_table: quality.json and speed.json of the dense networks -> the study's quantization table."""

from adapter import job
from winnow.study import collect
from winnow.tables import quantization_table, write_table

with job(snakemake):
    table = quantization_table(collect(snakemake.input.quality, snakemake.input.speed))
    write_table(table, snakemake.output.csv, snakemake.output.markdown)
