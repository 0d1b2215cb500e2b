"""recommend: results.csv and limits -> the networks to ship, with model cards."""

from pathlib import Path

from adapter import job
from winnow.model_card import write_all
from winnow.recommend_settings import RecommendSettings
from winnow.recommendation import recommend
from winnow.study import read_csv

with job(snakemake):
    best = Path(snakemake.output.best)
    results = read_csv(snakemake.input.results)
    recommendations = recommend(results, RecommendSettings.of(snakemake.params.recommend))
    write_all(recommendations, results, best.parent, best)
