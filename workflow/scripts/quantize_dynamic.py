"""quantize_dynamic: fp32 model.onnx -> model.onnx with int8 weights and scales found while running."""

from adapter import Snakemake, job
from winnow.config.typed import built
from winnow.quantize.dynamic import quantize_dynamic
from winnow.study.recipe import Recipe

snakemake: Snakemake

with job(snakemake):
    quantize_dynamic(snakemake.input.onnx, snakemake.output.onnx, built(Recipe, snakemake.params.recipe))
