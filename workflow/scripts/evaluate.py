"""evaluate: model.onnx -> quality.json."""

from adapter import identity, job
from winnow.config.settings import BoundsSettings
from winnow.data.dataset import load_dataset
from winnow.files import read_json, write_json
from winnow.measure.quality import evaluate
from winnow.models.weights import state_bytes

with job(snakemake) as run:
    quality = evaluate(
        snakemake.input.onnx,
        snakemake.input.source,
        snakemake.input.counterpart,
        load_dataset(snakemake.input.data),
        run=run,
        precision=snakemake.wildcards.precision,
        bounds=BoundsSettings.of(snakemake.params.bounds),
        threads=snakemake.threads,
    )
    quality["size"]["state_dict_bytes"] = state_bytes(snakemake.input.weights)
    pruning = read_json(snakemake.input.sparsity) if snakemake.input.sparsity else None
    result = identity(snakemake) | quality | {"training": read_json(snakemake.input.record), "pruning": pruning}
    write_json(snakemake.output.quality, result)
