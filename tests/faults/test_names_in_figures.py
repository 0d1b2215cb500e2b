"""Names that mean something to matplotlib are drawn as they are."""

from __future__ import annotations

import pandas as pd
import pytest

from winnow.figures import style
from winnow.figures.confusion_difference import confusion_difference

NAMES = ("$\\frac{$", "$x$", "\\", "_hidden", "^%&#", "<b>", "\u732b")


def confusion(classes) -> pd.DataFrame:
    rows = [
        {
            "dataset": "d",
            "model": "m",
            "seed": 0,
            "run": "dense",
            "recipe": precision,
            "precision": precision,
            "true_class": true,
        }
        | {"true": classes.index(true), "predicted": classes.index(predicted), "predicted_class": predicted}
        | {"count": 5 + 3 * (precision == "ptq") * (1 if true == predicted else -1)}
        for precision in ("fp32", "ptq")
        for true in classes
        for predicted in classes
    ]
    return pd.DataFrame(rows)


@pytest.mark.filterwarnings("ignore:Glyph")  # the font has no such letter
def test_any_name_of_a_class_is_drawn_as_it_is(tmp_path):
    with style.styled():
        figure = confusion_difference(confusion(NAMES))
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        style.save(figure, tmp_path / "figure")
    assert sorted(labels) == sorted(NAMES)
    assert (tmp_path / "figure.svg").stat().st_size > 10_000
