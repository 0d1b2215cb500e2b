"""evaluate: model.onnx -> quality.json, in the runtimes that ship."""

from adapter import Snakemake, identity, job
from winnow.config.settings import BoundsSettings, NormalizationSettings
from winnow.config.typed import built
from winnow.data.prepared import read_prepared
from winnow.measure.quality import Files, Origin, evaluate
from winnow.study.recipe import Recipe
from winnow.study.sparsity import Sparsity
from winnow.study.state_bytes import state_bytes
from winnow.study.training import Training
from winnow.study.vocabulary import FP32

snakemake: Snakemake

with job(snakemake) as run:
    files, plain = snakemake.input, snakemake.params.recipe
    recipe = built(Recipe, plain) if plain else None
    quality = evaluate(
        Files(files.onnx, files.source, files.counterpart),
        read_prepared(files.data, NormalizationSettings.of(snakemake.params.normalization)),
        identity(snakemake, recipe.method if recipe else FP32),
        Origin(
            state_dict_bytes=state_bytes(files.weights),
            training=Training.read(files.record),
            pruning=Sparsity.read(files.sparsity) if files.sparsity else None,
            recipe=recipe,
        ),
        BoundsSettings.of(snakemake.params.bounds),
        run=run,
        threads=snakemake.threads,
    )
    quality.write(snakemake.output.quality)
