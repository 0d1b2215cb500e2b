"""Values of the axes that a pruning strategy is a combination of, but for criteria and structures."""

from __future__ import annotations

from winnow.study.words import NONE, Choice, Words

GLOBAL, LOCAL, SENSITIVITY = "global", "local", "sensitivity"
SCOPES = Words(
    "scope",
    Choice(GLOBAL, "all layers ranked together"),
    Choice(LOCAL, "the same share of each layer"),
    Choice(SENSITIVITY, "of each layer as much as it bears alone"),
)
REWINDS = Words(
    "rewind",
    Choice(NONE, "then fine-tuned"),
    Choice("lr", "then trained again with the whole schedule, weights kept"),
    Choice("init", "then rewound to the initial weights and trained again"),
    Choice("random", "then trained again from fresh weights"),
)
SHUFFLES = Words("shuffle", Choice(NONE, ""), Choice("layerwise", "what each layer loses is drawn at random"))


def rewinding(value: str) -> str:
    """Say what is trained after pruning, from the value of the axis; `epoch2` is a rewind point."""
    epoch = value.removeprefix("epoch")
    if epoch != value and epoch.isdigit():
        return f"then rewound to the weights after epoch {epoch}"
    return REWINDS[value].meaning
