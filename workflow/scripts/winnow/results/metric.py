"""What a column of results.csv is: a metric, with how it is called, shown and judged, or a fact."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.results.numbers import spread

UP, DOWN = "up", "down"
"""In which direction a metric is better."""


@dataclass(frozen=True)
class Fact:
    """A column that is no metric: nobody compares networks by it."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Metric:
    """A column of numbers that networks are compared by.

    Attributes:
        name: the column of results.csv.
        label: its name in tables and figures.
        unit: of what is shown; empty for a count or a ratio.
        meaning: one line; in model cards and results/README.md.
        better: UP, DOWN, or empty where neither is.
        factor: from the column to what is shown.
        decimals: of what is shown.
        fine: decimals in a model card, which has room for more; as `decimals` if None.
        short: its name where there is little room; the label if empty.
        cost: of the file that ships, so that a card tells the gain over the dense network.
        estimated_by: the column that says whether it is an estimate; empty where it never is.
    """

    name: str
    label: str
    unit: str
    meaning: str
    better: str = ""
    factor: float = 1.0
    decimals: int = 2
    fine: int | None = None
    short: str = ""
    cost: bool = False
    estimated_by: str = ""

    def heading(self, *, short: bool = False, estimated: bool = False) -> str:
        """Return its name with its unit, e.g. `top-1 accuracy (%)` or `energy (mJ, estimate)`."""
        name = self.short or self.label if short else self.label
        remarks = ", ".join(filter(None, (self.unit, "estimate" if estimated else "")))
        return f"{name} ({remarks})" if remarks else name

    def text(self, mean: float, std: float = float("nan")) -> str:
        """Return a value of the column as it is shown, with its standard deviation unless this is missing."""
        return spread(self.factor * mean, self.factor * std, self.decimals)

    def exactly(self, value: float) -> str:
        """Return a value of the column as a model card has it, with its unit."""
        decimals = self.decimals if self.fine is None else self.fine
        return f"{self.factor * value:.{decimals}f} {self.unit}".rstrip()


def share(
    name: str, label: str, meaning: str, better: str = "", short: str = "", decimals: int = 2, fine: int | None = None
) -> Metric:
    """Return a metric whose column holds shares between 0 and 1, shown in %; see `Metric`."""
    return Metric(name, label, "%", meaning, better, factor=100, decimals=decimals, fine=fine, short=short)


@dataclass(frozen=True)
class TimedMetric(Metric):
    """A metric with a column for each timed configuration; `name` is its kind.

    Attributes:
        column: the names of its columns; `{where}` is e.g. `openvino_b64_t1`.
    """

    column: str = ""

    def at(self, where: str, words: str) -> Metric:
        """Return the metric of one timed configuration, which is `words`."""
        values = {name: getattr(self, name) for name in Metric.__dataclass_fields__}
        named = {"name": self.column.format(where=where)}
        named |= {text: f"{values[text]}, {words}" for text in ("label", "short", "meaning") if values[text]}
        return Metric(**(values | named))
