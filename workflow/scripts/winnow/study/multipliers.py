"""Multipliers that a network's integers may go through: their families, and what circuits cost at 45 nm.

Power and area are relative to the exact signed 8 x 8 multiplier, 0.425 mW and 729.8 um2, and only where somebody has
published them: a family without a figure has none. Imported by the Snakefile, so it must not import torch.
Source of the figures: EvoApproxLib (Mrazek et al., DATE 2017), whose signed 8 x 8 circuits are broken arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from winnow.errors import WinnowError
from winnow.study.words import Words


@dataclass(frozen=True)
class Parameter:
    """A whole number in the name of a circuit, with the values it may have."""

    name: str
    meaning: str
    low: int
    high: int


@dataclass(frozen=True)
class Family:
    """Circuits of one construction.

    Attributes:
        module: with `circuit`; see `winnow.approximate.circuits`.
        parameters: numbers behind the name: `bam-1-1-0`.
        source: who described it.
        terms: its products are sums of few products, so that a file of ordinary operators computes them.
    """

    name: str
    meaning: str
    module: str
    parameters: tuple[Parameter, ...] = ()
    source: str = ""
    terms: bool = True

    @property
    def form(self) -> str:
        """Return how the names of its circuits are written: `bam-h-r-v`."""
        return "-".join([self.name, *(parameter.name for parameter in self.parameters)])


EXACT, BROKEN_ARRAY, TABLE = "exact", "bam", "table"
_OPERAND = "dropped low bits of the"
FAMILIES = Words(
    "family of multipliers",
    Family(EXACT, "exact products", "winnow.approximate.exact"),
    Family(
        BROKEN_ARRAY,
        "partial products left out of a two's complement array (broken array)",
        "winnow.approximate.broken_array",
        (
            Parameter("h", f"{_OPERAND} activation", 0, 7),
            Parameter("r", f"{_OPERAND} weight", 0, 7),
            Parameter("v", "dropped low columns of the product; 0, or more than h + r", 0, 14),
        ),
        "Mahdiani et al. 2010, Mrazek et al. 2017",
    ),
    Family(
        "drum",
        "operands of k bits from the leading one on, the last of them set (DRUM)",
        "winnow.approximate.drum",
        (Parameter("k", "bits of an operand that are multiplied", 3, 7),),
        "Hashemi et al. 2015",
    ),
    Family(
        "roba",
        "operands rounded to powers of two, the product of both remainders left out (RoBA)",
        "winnow.approximate.roba",
        (),
        "Zendegani et al. 2017",
    ),
    Family("mitchell", "logarithms added (Mitchell)", "winnow.approximate.mitchell", (), "Mitchell 1962", terms=False),
    Family(TABLE, "a table of all products, of the user's own circuit", "winnow.approximate.table", terms=False),
)


@dataclass(frozen=True)
class Cost:
    """Power and area of a multiplier relative to the exact 8 x 8 one, and where the figures are from."""

    power: float
    area: float
    source: str


EVOAPPROX = "EvoApproxLib, 45 nm (Mrazek et al. 2017)"
_PUBLISHED = {  # (h, r, v): power, area
    (0, 0, 2): (0.993, 0.974),
    (0, 0, 3): (0.965, 0.939),
    (0, 0, 4): (0.920, 0.878),
    (1, 0, 0): (0.868, 0.894),
    (1, 0, 3): (0.854, 0.870),
    (1, 0, 4): (0.826, 0.822),
    (1, 1, 0): (0.708, 0.766),
    (2, 0, 5): (0.680, 0.744),
    (3, 0, 0): (0.558, 0.661),
    (2, 2, 0): (0.471, 0.564),
    (3, 3, 0): (0.296, 0.390),
    (6, 0, 0): (0.122, 0.236),
}
PUBLISHED = tuple("bam-" + "-".join(map(str, triple)) for triple in _PUBLISHED)
"""Names of the broken arrays whose cost is published."""


@dataclass(frozen=True)
class Multiplier:
    """One circuit.

    Attributes:
        name: `exact`, `bam-1-1-0`, `drum-4`, ...; of a user's table `table-` and the name of its file.
        family: of `FAMILIES`.
        parameters: numbers in the order of the family.
        cost: None where nobody has published one.
        table: file with all products of a user's circuit; else None.
    """

    name: str
    family: str
    parameters: tuple[int, ...]
    cost: Cost | None
    table: str | None = None


@dataclass(frozen=True)
class OwnMultiplier:
    """A circuit of the user's own, as the configuration describes it.

    Attributes:
        table: .npy file, see `winnow.approximate.table`.
        power, area: relative to the exact 8 x 8 multiplier; None where they are not known.
        source: where these figures are from.
    """

    table: str
    power: float | None = None
    area: float | None = None
    source: str | None = None

    @property
    def name(self) -> str:
        """Return what it is called in tables and in names of files: `table-` and the name of its file."""
        words = "".join(sign if sign.isalnum() and sign.isascii() else " " for sign in Path(self.table).stem.lower())
        return "-".join([TABLE, *words.split()])


def family_of(name: str) -> Family:
    """Return the family of a circuit by the name that tables have.

    Raises:
        WinnowError: there is none.
    """
    return FAMILIES[name.split("-")[0]]


def described(chosen: OwnMultiplier | str) -> Multiplier:
    """Return the circuit that a recipe names or describes.

    Raises:
        WinnowError: there is none of this name, or what is said of it is incomplete.
    """
    if isinstance(chosen, str):
        return multiplier(chosen)
    cost = {key: value for key in ("power", "area", "source") if (value := getattr(chosen, key)) is not None}
    return user_multiplier(chosen.name, chosen.table, cost)


def multiplier(name: str) -> Multiplier:
    """Return a circuit by its name.

    Raises:
        WinnowError: there is no such family, or its parameters are others.
    """
    word, *numbers = name.split("-")
    family = FAMILIES[word]
    if family.name == TABLE:
        raise WinnowError("multiplier 'table': name the file: {table: circuit.npy, power: 0.5, area: 0.6, source: ...}")
    given = tuple(int(number) for number in numbers if number.isdecimal() and number == str(int(number)))
    if len(given) != len(numbers) or len(numbers) != len(family.parameters):
        raise WinnowError(
            f"multiplier {name!r}: write {family.form}" + (" with whole numbers" if family.parameters else "")
        )
    for parameter, number in zip(family.parameters, given, strict=True):
        if not parameter.low <= number <= parameter.high:
            raise WinnowError(
                f"multiplier {name!r}: {parameter.name} ({parameter.meaning}) is {number}; "
                f"it may be {parameter.low} to {parameter.high}"
            )
    if family.name == BROKEN_ARRAY:
        _check_broken_array(name, *given)
    cost = Cost(1.0, 1.0, EVOAPPROX) if family.name == EXACT else None
    if family.name == BROKEN_ARRAY and given in _PUBLISHED:
        cost = Cost(*_PUBLISHED[given], EVOAPPROX)
    return Multiplier(name, family.name, given, cost)


def _check_broken_array(name: str, h: int, r: int, v: int) -> None:
    """Refuse a second name of a circuit: everything made for it would be made twice."""
    if h == r == v == 0:
        raise WinnowError(f"multiplier {name!r} leaves nothing out: write {EXACT}")
    if 0 < v <= h + r:
        raise WinnowError(f"multiplier {name!r}: what h and r leave has no column below {h + r}: write bam-{h}-{r}-0")


def user_multiplier(name: str, table: str, cost: Mapping[str, object] | None = None) -> Multiplier:
    """Return a circuit that the user describes by a table of its products.

    Args:
        table: .npy file, see `winnow.approximate.table`.
        cost: `power`, `area` relative to the exact multiplier, and `source`; None where they are not known.

    Raises:
        WinnowError: the cost is incomplete, or no positive number.
    """
    if not cost:
        return Multiplier(name, TABLE, (), None, table)
    power, area = (_share(cost.get(key)) for key in ("power", "area"))
    if power is None or area is None:
        raise WinnowError(
            f"multiplier {name!r}: power and area are {cost.get('power')!r} and {cost.get('area')!r}; give both, "
            "positive and relative to the exact 8 x 8 multiplier, or neither"
        )
    if not (source := str(cost.get("source") or "").strip()):
        raise WinnowError(f"multiplier {name!r}: say in source where its power and area are from")
    return Multiplier(name, TABLE, (), Cost(power, area, source), table)


def _share(figure: object) -> float | None:
    if isinstance(figure, bool) or not isinstance(figure, (int, float)):
        return None
    return float(figure) if 0 < figure < float("inf") else None
