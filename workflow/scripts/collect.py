"""collect: every quality.json, speed.json and history.csv -> tidy tables."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.results.collect import collect, trained_elsewhere
from winnow.results.csv_files import write_csv
from winnow.results.tidy import collect_confusion, collect_histories, collect_layers

snakemake: Snakemake

with job(snakemake):
    files, tables = snakemake.input, snakemake.output
    write_csv(tables.results, collect(files.quality, files.speed, trained_elsewhere(snakemake.params.trained)))
    write_csv(tables.layers, collect_layers(files.quality))
    write_csv(tables.confusion, collect_confusion(files.quality, files.data))
    write_csv(
        tables.history, collect_histories(files.history, Path(tables.results).parent, snakemake.params.precisions)
    )
