"""make_check_table: what was checked, and what was scored without training -> a short table."""

import pandas as pd

from adapter import Snakemake, job
from winnow.config.recommend import RecommendSettings
from winnow.files import write_text
from winnow.report.check_table import check_table
from winnow.results.collect import collect, trained_elsewhere
from winnow.study.check import Check

snakemake: Snakemake

with job(snakemake):
    files, trained = snakemake.input, trained_elsewhere(snakemake.params.trained)
    results = collect(files.quality, files.speed, trained) if files.quality else pd.DataFrame()
    settings = RecommendSettings.of(snakemake.params.recommend)
    table = check_table(results, [Check.read(path) for path in files.checks], settings)
    write_text(snakemake.output.markdown, table.markdown())
