"""quantize_dynamic: fp32 model.onnx -> model.onnx with int8 weights and scales found while running."""

from adapter import job
from winnow.quantize.dynamic import quantize_dynamic

with job(snakemake):
    quantize_dynamic(snakemake.input.onnx, snakemake.output.onnx)
