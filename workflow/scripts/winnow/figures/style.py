"""How figures look, and how they are saved: readable in colour, in grey, on paper and on a phone.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; every series also has a
marker, a line style or a hatch of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from winnow.files import replacing

GREY = "#808080"
SUFFIXES = (".svg", ".png")
WIDTH = 5.4  # inches; shown 360 pixels wide on a phone, text is still readable
_RESOLUTION = 160
_NOTE = 8  # points, of the text below a figure
_LEADING = 1.22 / 72  # inches a line takes for each point
_LEGEND_LEADING = 1.5 / 72
_CHARACTER = 0.55 / 72  # inches, mean width, for each point
_LAYERS = 30  # names of layers that an axis can show
_STYLE = (
    sns.axes_style("whitegrid")
    | sns.plotting_context("paper")
    | {
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same bytes on every machine
        "axes.edgecolor": "black",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 1.4,
        "lines.markersize": 5.5,
        "hatch.linewidth": 0.6,
        "svg.hashsalt": "winnow",
        "text.parse_math": False,  # names of classes and layers are shown as they are
    }
)


SPREAD_OVER_SEEDS = {"errorbar": "sd", "err_style": "bars", "err_kws": {"capsize": 2, "elinewidth": 0.8}}
"""Of seaborn's lines: a standard deviation in either direction at every point."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure, sizes in inches; draw into it inside `styled()`."""
    return Figure(figsize=(width, height), layout="constrained")


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved."""
    return mpl.rc_context(_STYLE)


def note(figure: Figure, text: str, lines: Sequence[str] = (), legend: Axes | None = None) -> None:
    """Write below a figure what its numbers are: n, spread, unit; the figure becomes higher by as much.

    Args:
        lines: further lines, e.g. a key, before the text.
        legend: the axes whose legend comes first, where it hides no data.
    """
    width = figure.get_figwidth()
    letters = int((width - 0.2) / (_NOTE * _CHARACTER))
    key = [part for line in lines for part in textwrap.wrap(line, letters, subsequent_indent="    ")]
    wrapped = [*key, *textwrap.wrap(text, letters)]
    strip = 0.1 + _NOTE * _LEADING * len(wrapped)
    handles, labels = legend.get_legend_handles_labels() if legend else ([], [])
    columns = legend_columns(labels, width)
    rows = -(-len(labels) // columns)
    below = strip + _STYLE["legend.fontsize"] * _LEGEND_LEADING * rows + (0.12 if rows else 0)
    height = figure.get_figheight() + below
    figure.set_figheight(height)
    figure.set_layout_engine("constrained", rect=(0, below / height, 1, 1 - below / height))
    if rows:
        for axes in figure.axes:
            if own := axes.get_legend():  # which seaborn has put over the data
                own.remove()
        below_axes = figure.legend(handles, labels, ncols=columns, loc="lower center", borderpad=0.2)
        below_axes.set_bbox_to_anchor((0.5, strip / height), figure.transFigure)
        below_axes.set_in_layout(False)  # its place is set aside above
    figure.text(0.012, 0.06 / height, "\n".join(wrapped), fontsize=_NOTE, color="#404040", va="bottom")


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns a legend takes in some width, inches: its rows are few and about equally long."""
    if not labels:
        return 1
    widest = (max(map(len, labels)) + 7) * _STYLE["legend.fontsize"] * _CHARACTER
    rows = -(-len(labels) // max(1, int(width / widest)))
    return -(-len(labels) // rows)


def spread_note(counts: Iterable[int], what: str = "Error bars") -> str:
    """Say over how many seeds a mean was taken.

    Args:
        counts: the number of seeds behind each value.
    """
    least, most = int(min(counts)), int(max(counts))
    if most == 1:
        return "One seed, n = 1: no spread over seeds can be shown."
    seeds = f"n = {most} seeds" if least == most else f"n = {least} to {most} seeds"
    return f"Mean over {seeds}. {what}: ± one standard deviation (none where n = 1)."


def error_bars(axes: Axes, data: pd.DataFrame, x: str, y: str, std: str, color: str = "black") -> None:
    """Draw vertical error bars of means and standard deviations, columns of a table, where there is a spread."""
    axes.errorbar(data[x], data[y], data[std], fmt="none", ecolor=color, elinewidth=0.8, capsize=2)


def layer_axis(axis: Axis, places: Sequence[float], names: Sequence[str]) -> None:
    """Name layers along an axis, from input to output; of very many some, at equal distances."""
    step = -(-len(names) // _LAYERS)
    axis.set_ticks(list(places)[::step], list(names)[::step], rotation=90, fontsize=8 if len(names) < 20 else 7)
    axis.set_label_text("layer, from input to output" + (f" (every {step}th is named)" if step > 1 else ""))


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
    figure.text(0.5, 0.36, "\n".join(textwrap.wrap(text, 62)), ha="center", va="center", color="#404040")
    return figure


def _settle(figure: Figure) -> None:
    """Lay a figure out once and for all, to a millionth: the layout's last digits differ from run to run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        bounds = [round(float(part), 6) for part in axes.get_position(original=True).bounds]
        axes.set_position(Bbox.from_bounds(*bounds))


def save(figure: Figure, stem: str | Path) -> None:
    """Write a figure as SVG and PNG, `stem` with either suffix; the same figure gives the same bytes."""
    _settle(figure)
    for suffix in SUFFIXES:
        with replacing(f"{stem}{suffix}") as temporary:
            metadata = {"Date": None} if suffix == ".svg" else {}
            figure.savefig(temporary, format=suffix[1:], dpi=_RESOLUTION, metadata=metadata, facecolor="white")
