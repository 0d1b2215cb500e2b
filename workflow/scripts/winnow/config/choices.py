"""Words that choose between settings: they appear in a configuration, and in no result."""

from __future__ import annotations

from winnow.study.vocabulary import FP32
from winnow.study.words import NONE, Choice, Words

OBJECTIVES = Words(
    "objective",
    Choice("accuracy", "the smallest loss of accuracy"),
    Choice("size", "the smallest file"),
    Choice("latency", "the lowest latency"),
    Choice("energy", "the lowest energy"),
    Choice("multiplier_power", "the lowest power of the multiplications"),
)
TARGETS = Words(
    "target",
    Choice("processor", "processors of the kind that networks are timed on"),
    Choice("accelerator", "one with the multipliers of the recipes"),
)
ACCELERATOR = "accelerator"
ACCELERATED = ("multiplier_power", "accuracy")
"""Objectives that are known of what runs on an accelerator."""
APPLY_TO = Words(
    "choice of apply_to",
    Choice("dense", "those not pruned"),
    Choice("last", "also the last round of every pruning strategy"),
    Choice("all", "every round"),
)
OPTIMIZERS = Words("optimizer", Choice("sgd", "SGD with Nesterov momentum"), Choice("adamw", "AdamW"))
SCHEDULES = Words(
    "schedule",
    Choice("one_cycle", "up to `lr` and down to nearly 0"),
    Choice("cosine", "down to 0"),
    Choice("multi_step", "drops at `milestones`"),
)
TUNING_SCHEDULES = Words("schedule", Choice("constant", "the same rate"), Choice("cosine", "down to 0"))
ARITHMETIC = Words(
    "precision of training",
    Choice("auto", "bf16 where the device multiplies it natively"),
    Choice(FP32, "32-bit floating point"),
    Choice("bf16", "bf16 autocast; on a CPU, grouped convolutions stay in fp32, in which they train faster"),
)
POLICIES = Words(
    "policy",
    Choice(NONE, "nothing"),
    Choice("randaugment", "two changes at a fixed strength (Cubuk et al. 2020)"),
    Choice("trivialaugment", "one change at a random strength (Müller and Hutter 2021)"),
)
DEVICES = Words(
    "device",
    Choice("auto", "takes a GPU where it finds one"),
    Choice("cpu", "never uses a GPU"),
    Choice("cuda", "asks the scheduler for a GPU"),
)
STEMS = Words(
    "stem",
    Choice("imagenet", "as published"),
    Choice("cifar", "without early downsampling: slower, more accurate on small images"),
)
SHORTCUTS = Words("shortcut", Choice("identity", "option A"), Choice("projection", "option B"))
BACKGROUNDS = Words(
    "background",
    Choice("white", "for drawings in dark ink"),
    Choice("black", "for drawings in light ink"),
    Choice("dropped", 'the colours that transparent pixels store, as by `convert("RGB")` of Pillow'),
)
INTERPOLATIONS = Words(
    "interpolation",
    Choice("nearest", "one pixel"),
    Choice("box", "the mean of those covered"),
    Choice("bilinear", "the default of `resize`, and torchvision's"),
    Choice("hamming", "sharper than bilinear"),
    Choice("bicubic", "the default of `image_size`"),
    Choice("lanczos", "the sharpest"),
)
CHANNEL_ORDERS = Words(
    "order of channels",
    Choice("rgb", "red, green, blue"),
    Choice("bgr", "blue, green, red, as OpenCV reads images"),
)
VALUE_RANGES = {1: "pixels as 0 to 1", 255: "pixels as 0 to 255"}
