"""recommend: results.csv and limits -> which network of each data set and model to ship."""

from adapter import Snakemake, job
from winnow.analysis.recommendation import as_record, recommend
from winnow.config.recommend import RecommendSettings
from winnow.results.csv_files import read_csv

snakemake: Snakemake

with job(snakemake):
    settings = RecommendSettings.of(snakemake.params.recommend)
    recommendations = recommend(read_csv(snakemake.input.results), settings)
    as_record(recommendations, settings).write(snakemake.output.recommendation)
