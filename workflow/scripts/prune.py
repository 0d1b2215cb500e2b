"""prune: trained weights -> what is left of them, at the weights to train from; one round."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.config.settings import ModelSettings, PruningSettings, StrategySettings
from winnow.models.narrowing import cut_metadata
from winnow.models.weights import save_weights
from winnow.prune.masks import save_masks
from winnow.prune.step import Ancestors, prune

snakemake: Snakemake

with job(snakemake) as run:
    wildcards, files = snakemake.wildcards, snakemake.input
    strategy = StrategySettings.of(snakemake.params.strategy)
    pruned = prune(
        Ancestors(files.weights, files.masks or None, files.snapshot or None, files.init or None),
        ModelSettings.of(snakemake.params.model),
        open_dataset(snakemake),
        strategy,
        PruningSettings.of(snakemake.params.pruning),
        slug=wildcards.pruning,
        number=int(wildcards.round),
        seed=int(wildcards.seed),
        run=run,
    )
    save_weights(snakemake.output.start, pruned.model, cut_metadata(pruned.cut))
    save_masks(snakemake.output.masks, pruned.masks)
    pruned.sparsity.write(snakemake.output.sparsity)
