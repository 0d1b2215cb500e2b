"""Every column of results.csv that is no metric, stated once: nobody compares networks by it."""

from __future__ import annotations

from winnow.results.metric import Fact
from winnow.study.vocabulary import RUNTIMES, SCORED
from winnow.study.words import Words

FACTS = Words(
    "column",
    Fact("strategy", "name of the combination of axes that a network was pruned by; empty for the dense one"),
    Fact("round", "of pruning, from 1; empty for the dense one"),
    Fact("sparsity_unit", "what sparsity counts: `weights`, or `channels`"),
    Fact("requested_sparsity", "share of the prunable weights, or channels, that should be removed by this round"),
    Fact(
        "channels_together",
        "layers that lose the same channels where some were removed, and how many lose theirs alone",
    ),
    Fact("channels_left_alone", "layers that kept their channels where some were removed, by reason"),
    *(
        fact
        for runtime in SCORED
        for fact in (
            Fact(f"{runtime}_agrees", f"1 if {RUNTIMES[runtime].label} computes this network, else 0"),
            Fact(f"{runtime}_failure", f"why {RUNTIMES[runtime].label} does not run it; empty if it does"),
            Fact(f"{runtime}_untimed", f"why it was not timed in {RUNTIMES[runtime].label}; empty if it was"),
            Fact(f"{runtime}_left_in_float", f"what {RUNTIMES[runtime].label} does not compute on integers, and why"),
        )
    ),
    Fact(f"{SCORED[0]}_difference", f"0: {RUNTIMES[SCORED[0]].label} is what the others are compared with"),
    Fact("most_frequent_class", "share of the most frequent class in the test split: what always answering it scores"),
    Fact("learned", "1 if top-1 accuracy exceeds that by more than two standard errors, else 0"),
    Fact("layers", "layers that multiply by weights"),
    Fact("test_samples", "images of the test split"),
    Fact("validation_samples", "images of the validation split"),
    Fact(
        "training_energy_estimated",
        "whether energy of training is an estimate, for there was no counter; empty where not known",
    ),
    Fact("training_device", "what the network was trained on; empty for weights as they were imported"),
    Fact("training_precision", "arithmetic of its training; empty for the same"),
    Fact("inference_energy_estimated", "whether energy of inference is an estimate, for there was no counter"),
    Fact("processor", "that was timed"),
    Fact("logical_cpus", "of the machine that was timed"),
    Fact("other_load", "cores that other programs kept busy while the network was timed, on average"),
    Fact("clock_mhz", "of the CPUs, right after it was timed; empty where the system does not say"),
    Fact("computation", "digest of what the file computes, whatever its weights: equal ones should take the same time"),
    Fact("runtime_versions", "versions of the runtimes"),
)
"""Columns beside keys, axes and metrics."""
