"""make_check_table: what was checked, and what was scored without training -> a short table."""

import pandas as pd

from adapter import Snakemake, job
from winnow.config.recommend import RecommendSettings
from winnow.files import write_text
from winnow.report.check_table import check_table
from winnow.results.collect import collect
from winnow.study.check import Check

snakemake: Snakemake

with job(snakemake):
    files = snakemake.input
    results = collect(files.quality, files.speed) if files.quality else pd.DataFrame()
    settings = RecommendSettings.of(snakemake.params.recommend)
    table = check_table(results, [Check.read(path) for path in files.checks], settings)
    write_text(snakemake.output.markdown, table.markdown())
