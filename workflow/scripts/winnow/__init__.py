"""Winnow: quantize and prune vision networks, and measure what that costs.

The package never sees Snakemake. Modules import only from modules below them:

    errors, files                          no third-party imports
    settings, configuration                the typed configuration (no torch: the Snakefile reads it)
    data, architectures, models            images and networks
    checkpoint, batches, training          one trainer for every network that is trained
    grid, selection, criteria, masks,      which weights go, and how that is stored
    narrowing, channels, rewinding, pruning
    export, int8, quantization             model.onnx in fp32 and int8
    runtimes, graphs, operations           what a file holds, and what executes it
    agreement, repeatable, constants       what every file is held to when it is exported
    coverage, layers, counterpart,         what a file computes on integers, and against its float network
    evaluation
    metrics, energy, latency               what is measured, one definition each
    study                                  one table over all runs
"""
