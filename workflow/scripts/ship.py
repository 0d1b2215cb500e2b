"""ship: recommendation.json -> best/: the networks to ship, with model cards."""

from pathlib import Path

from adapter import Snakemake, job
from winnow.analysis.recommendation import with_numbers
from winnow.config.recommend import RecommendSettings
from winnow.report.model_card import write_all
from winnow.results.csv_files import read_csv
from winnow.study.recommendation import Recommendations

snakemake: Snakemake

with job(snakemake):
    best, results = Path(snakemake.output.best), read_csv(snakemake.input.results)
    record = Recommendations.read(snakemake.input.recommendation)
    recommendations = with_numbers(record, results, RecommendSettings.of(snakemake.params.recommend))
    write_all(recommendations, results, best.parent, best)
