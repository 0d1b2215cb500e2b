"""recommend: results.csv and limits -> the networks to ship, with model cards."""

from pathlib import Path

from adapter import job
from winnow.analysis.recommendation import recommend
from winnow.config.recommend import RecommendSettings
from winnow.report.model_card import write_all
from winnow.results.csv_files import read_csv

with job(snakemake):
    best = Path(snakemake.output.best)
    results = read_csv(snakemake.input.results)
    recommendations = recommend(results, RecommendSettings.of(snakemake.params.recommend))
    write_all(recommendations, results, best.parent, best)
