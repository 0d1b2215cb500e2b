"""collect: every quality.json and speed.json -> one tidy results.csv."""

from adapter import job
from winnow.study import collect, write_csv

with job(snakemake):
    write_csv(snakemake.output.results, collect(snakemake.input.quality, snakemake.input.speed))
