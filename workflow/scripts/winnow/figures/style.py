"""How figures look, and how they are saved: readable in colour, in grey, on paper and on a phone.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; every series also has a
marker, a line style or a hatch of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from winnow.files import replacing

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (8, 3)))
GREY = "#808080"
SUFFIXES = (".svg", ".png")
_WIDTH = 6.0  # inches; shown 360 pixels wide on a phone, text is still readable
_RESOLUTION = 160
_LINE = 0.135  # inches, of the text below a figure
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "winnow",
}


def new_figure(height: float, width: float = _WIDTH) -> Figure:
    """Return an empty figure, sizes in inches; draw into it inside `styled()`."""
    return Figure(figsize=(width, height), layout="constrained")


def styled():
    """Return the context in which figures are drawn and saved."""
    return mpl.rc_context(_STYLE)


def note(figure: Figure, text: str, lines: Sequence[str] = ()) -> None:
    """Write below a figure, and below its legend, what its numbers are: n, spread, unit; call it last.

    Args:
        lines: further lines, e.g. a key, before the text.
    """
    wrapped = [*lines, *textwrap.wrap(text, int(figure.get_figwidth() * 17))]
    strip = 0.1 + _LINE * len(wrapped)
    rows = sum(-(-len(legend.texts) // legend._ncols) for legend in figure.legends)
    below = strip + 0.19 * rows
    figure.set_figheight(figure.get_figheight() + below)
    height = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, below / height, 1, 1 - below / height))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0.5, strip / height), figure.transFigure)
    figure.text(0.012, 0.06 / height, "\n".join(wrapped), fontsize=7.5, color="#404040", va="bottom")


def spread_note(counts, what: str = "Error bars") -> str:
    """Say over how many seeds a mean was taken.

    Args:
        counts: the number of seeds behind each value.
    """
    least, most = int(min(counts)), int(max(counts))
    if most == 1:
        return "One seed, n = 1: no spread over seeds can be shown."
    seeds = f"n = {most} seeds" if least == most else f"n = {least} to {most} seeds"
    return f"Mean over {seeds}. {what}: ± one standard deviation (none where n = 1)."


def legend_below(axes: Axes) -> None:
    """Put the legend under the axes, where it hides no data; call it before `note`, which makes room."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = max(1, min(len(labels), int(15 * axes.figure.get_figwidth() / (max(map(len, labels)) + 6))))
        legend = axes.figure.legend(handles, labels, loc="lower center", ncols=columns, frameon=False, borderpad=0)
        legend.set_in_layout(False)  # `note` puts it into its place


def log_axis(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers that do not run into each other."""
    low, high = axis.get_view_interval()
    wide = high > 30 * low
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 3000 * low else (1.0, 3.0) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def words(text: str, title: str) -> Figure:
    """Return a figure that says in words why there is nothing to draw."""
    figure = new_figure(1.6)
    figure.text(0.5, 0.72, title, ha="center", weight="bold")
    figure.text(0.5, 0.36, "\n".join(textwrap.wrap(text, 78)), ha="center", va="center", color="#404040")
    return figure


def save(figure: Figure, stem: str | Path) -> None:
    """Write a figure as SVG and PNG, `stem` with either suffix; the same figure gives the same bytes."""
    for suffix in SUFFIXES:
        with replacing(f"{stem}{suffix}") as temporary:
            metadata = {"Date": None} if suffix == ".svg" else {}
            figure.savefig(temporary, format=suffix[1:], dpi=_RESOLUTION, metadata=metadata, facecolor="white")
