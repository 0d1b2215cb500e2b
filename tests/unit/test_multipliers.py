"""Every circuit returns for all 65,536 pairs what its description says, and costs what was published, or nothing."""

import math
from importlib import import_module

import numpy as np
import pytest

from winnow.approximate.circuit import OPERANDS, Circuit
from winnow.approximate.circuit_error import circuit_error
from winnow.approximate.circuits import circuit
from winnow.approximate.factorize import MOST_TERMS, factorized
from winnow.errors import WinnowError
from winnow.study.multiplication import CircuitError
from winnow.study.multiplier_cost import MODEL, exact_cost, modelled_share, network_cost
from winnow.study.multipliers import EVOAPPROX, FAMILIES, PUBLISHED, Cost, multiplier, user_multiplier

EXACT = np.multiply.outer(OPERANDS, OPERANDS)
# EvoApproxLib's own figures for mean relative error, in %
FIGURES = (0.28, 0.90, 2.53, 2.40, 2.73, 3.64, 4.41, 8.93, 15.72, 12.26, 27.44, 135.8)
MEAN_RELATIVE = dict(zip(PUBLISHED, FIGURES, strict=True))
NAMES = ["exact", *PUBLISHED, "bam-0-7-0", "bam-7-7-0", "bam-2-1-14", "bam-3-5-11"]
NAMES += [*(f"drum-{k}" for k in range(3, 8)), "roba", "mitchell"]


def broken_array(a, w, h, r, v):
    """Rows of the array, one for each bit of the activation, without what is cut off."""
    total = 0
    for i in range(h, 8):
        if a >> i & 1:
            row = sum(((w >> j & 1) << j) * (-1 if j == 7 else 1) for j in range(max(r, v - i), 8))
            total += (row << i) * (-1 if i == 7 else 1)
    return total


def drum(a, w, k):
    def cut(x):
        dropped = max(x.bit_length() - k, 0)
        return (x >> dropped | 1) << dropped if dropped else x

    return cut(abs(a)) * cut(abs(w)) * (-1 if (a < 0) != (w < 0) else 1)


def roba(a, w):
    def nearest(x):
        if x in (0, 3):  # both neighbours of 3 are as near; the paper rounds it down, and others up
            return x and 2
        return max((2**i for i in range(9)), key=lambda power: (-abs(power - x), power))

    x, y = abs(a), abs(w)
    return (nearest(x) * y + x * nearest(y) - nearest(x) * nearest(y)) * (-1 if (a < 0) != (w < 0) else 1)


def mitchell(a, w):
    if not a or not w:
        return 0
    logarithm = 0.0
    for x in (abs(a), abs(w)):
        whole = math.floor(math.log2(x))
        logarithm += whole + (x / 2**whole - 1)
    whole = math.floor(logarithm)
    return int(2**whole * (1 + logarithm - whole)) * (-1 if (a < 0) != (w < 0) else 1)


SCALAR = {"exact": lambda a, w: a * w, "bam": broken_array, "drum": drum, "roba": roba, "mitchell": mitchell}


@pytest.mark.parametrize("name", NAMES)
def test_all_products_are_those_of_the_description(name):
    found = multiplier(name)
    scalar = SCALAR[found.family]
    expected = [[scalar(a, w, *found.parameters) for w in range(-128, 128)] for a in range(-128, 128)]
    made = circuit(found)
    assert np.array_equal(made.table, expected)
    assert made.terms is None or np.array_equal(made.terms.table, expected)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_circuits_are_the_published_ones(name):
    """The mean relative error of EvoApproxLib is met to every digit that it gives."""
    found, digits = 100 * circuit_error(circuit(multiplier(name))).mean_relative, 1 if name == "bam-6-0-0" else 2
    assert round(found, digits) == MEAN_RELATIVE[name]


def test_every_family_has_a_module_a_source_and_a_scalar_twin():
    assert FAMILIES.keys() - {"table"} == SCALAR.keys()
    for family in FAMILIES.values():
        assert callable(import_module(family.module).circuit)
        assert family.meaning
        assert family.source or family.name in ("exact", "table")


def test_without_dropped_columns_a_broken_array_multiplies_shorter_operands():
    masked = np.multiply.outer(OPERANDS & -4, OPERANDS & -2)
    assert np.array_equal(circuit(multiplier("bam-2-1-0")).table, masked)


@pytest.mark.parametrize(("name", "count"), [("exact", 1), ("bam-2-2-0", 1), ("bam-2-0-5", 4), ("roba", 2)])
def test_bilinear_circuits_have_few_terms(name, count):
    assert len(circuit(multiplier(name)).terms.left) == count


def test_errors_of_a_circuit_by_hand():
    table = EXACT.copy()
    table[128 + 3, 128 + 5] += 6  # 3 x 5 gives 21
    table[128, 128] -= 1  # 0 x 0 gives -1
    found = circuit_error(Circuit(table, None))
    assert found == CircuitError(
        mean=7 / 65536, mean_relative=pytest.approx(6 / 15 / (255 * 255)), worst=6, bias=5 / 65536
    )
    pairs = np.zeros((256, 256))
    pairs[128 + 3, 128 + 5], pairs[128 + 4, 128 + 5] = 1, 3
    assert circuit_error(Circuit(table, None), pairs) == CircuitError(
        mean=1.5, mean_relative=pytest.approx(0.1), worst=6, bias=1.5
    )
    zeros = np.zeros((256, 256))
    zeros[128, 128] = 2
    assert circuit_error(Circuit(table, None), zeros) == CircuitError(1.0, 0.0, 1, -1.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bum-1-1-0", r"'bum' is no family of multipliers \(did you mean 'bam'\?\)"),
        ("bam-1-1", "'bam-1-1': write bam-h-r-v with whole numbers"),
        ("bam-1-1-0-0", "write bam-h-r-v"),
        ("bam-1-x-0", "write bam-h-r-v"),
        ("bam-01-1-0", "write bam-h-r-v"),
        ("bam-8-0-0", r"h \(dropped low bits of the activation\) is 8; it may be 0 to 7"),
        ("bam-0-0-0", "'bam-0-0-0' leaves nothing out: write exact"),
        ("bam-1-1-2", "no column below 2: write bam-1-1-0"),
        ("drum-2", r"k \(.*\) is 2; it may be 3 to 7"),
        ("roba-3", "'roba-3': write roba$"),
        ("table", "name the file"),
    ],
)
def test_names_that_are_none_are_refused_in_a_line(name, message):
    with pytest.raises(WinnowError, match=message) as caught:
        multiplier(name)
    assert "\n" not in str(caught.value)


def test_costs_are_published_or_absent():
    assert multiplier("bam-1-1-0").cost == Cost(0.708, 0.766, EVOAPPROX)
    assert multiplier("exact").cost == Cost(1.0, 1.0, EVOAPPROX)
    assert [multiplier(name).cost for name in ("bam-1-2-0", "drum-4", "roba", "mitchell")] == [None] * 4


def test_exact_multipliers_of_fewer_bits_cost_what_was_measured_or_what_the_model_says():
    assert exact_cost(8, 8) == Cost(1.0, 1.0, EVOAPPROX)
    assert exact_cost(7, 7) == Cost(0.708, 0.766, EVOAPPROX)
    assert exact_cost(8, 7) == exact_cost(7, 8) == Cost(0.868, 0.894, EVOAPPROX)
    assert exact_cost(4, 4).source == exact_cost(7, 6).source == MODEL
    assert (
        exact_cost(4, 4).power
        == exact_cost(4, 4).area
        == pytest.approx((16 * 1.064 + 12 * 4.256) / (64 * 1.064 + 56 * 4.256))
    )
    shares = [exact_cost(bits, bits).power for bits in range(1, 9)]
    assert shares == sorted(shares)


def test_the_model_is_as_near_to_what_was_measured_as_it_says():
    for name in PUBLISHED:
        measured = multiplier(name)
        h, r, v = measured.parameters
        if v == 0:
            model = modelled_share(8 - h, 8 - r)
            assert abs(model - measured.cost.area) < 0.08
            assert -0.01 < model - measured.cost.power < 0.08


def test_the_cost_of_a_network_is_weighted_by_what_its_layers_multiply():
    layers = {"a": multiplier("exact"), "b": multiplier("bam-3-3-0")}
    cost = network_cost({"a": 100, "b": 300}, layers)
    assert cost == Cost(pytest.approx(0.25 + 0.75 * 0.296), pytest.approx(0.25 + 0.75 * 0.390), EVOAPPROX)
    assert network_cost({"a": 100, "b": 300}, layers | {"b": multiplier("drum-4")}) is None
    assert network_cost({}, layers) is None


def test_a_network_may_mix_sources():
    own = user_multiplier("mine", "mine.npy", {"power": 0.5, "area": 1, "source": "our own synthesis"})
    cost = network_cost({"a": 1, "b": 1}, {"a": multiplier("exact"), "b": own})
    assert cost == Cost(0.75, 1.0, f"{EVOAPPROX}; our own synthesis")
    assert user_multiplier("mine", "mine.npy").cost is None


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ({"power": 0.5, "source": "x"}, "power and area are 0.5 and None; give both"),
        ({"power": 0.5, "area": -1, "source": "x"}, "are 0.5 and -1; give both, positive"),
        ({"power": float("nan"), "area": 1, "source": "x"}, "give both, positive"),
        ({"power": True, "area": 1, "source": "x"}, "are True and 1; give both"),
        ({"power": 0.5, "area": 0.6}, "say in source"),
    ],
)
def test_the_cost_of_a_users_circuit_is_whole_or_absent(cost, message):
    with pytest.raises(WinnowError, match=message):
        user_multiplier("mine", "mine.npy", cost)


def of_file(path, table, **options):
    np.save(path, table, **options)
    return circuit(user_multiplier("mine", str(path)))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mitchell"])
def test_a_users_table_of_few_terms_is_found_to_be_one(name, tmp_path):
    known = circuit(multiplier(name))
    found = of_file(tmp_path / "circuit.npy", known.table.astype(np.int16))
    assert np.array_equal(found.terms.table, known.table)
    assert len(found.terms.left) == len(known.terms.left)


def test_a_users_table_of_many_terms_is_looked_up(tmp_path):
    found = of_file(tmp_path / "circuit.npy", circuit(multiplier("mitchell")).table)
    assert found.terms is None
    noise = np.random.default_rng(0).integers(-9, 9, (256, 256))
    assert of_file(tmp_path / "noisy.npy", EXACT + noise).terms is None


def test_tables_at_the_edge():
    assert np.array_equal(factorized(np.zeros((256, 256), int)).table, np.zeros((256, 256)))
    one = np.zeros((256, 256), int)
    one[3, 4] = -7
    assert len(factorized(one).left) == 1
    diagonal = np.diag([1] * MOST_TERMS + [0] * (256 - MOST_TERMS))
    assert len(factorized(diagonal).left) == MOST_TERMS
    assert factorized(np.diag([1] * (MOST_TERMS + 1) + [0] * (255 - MOST_TERMS))) is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (EXACT.astype(float), r"holds float64 \[256, 256\]; a multiplier is a table of whole numbers"),
        (EXACT[:128, :128], r"holds int64 \[128, 128\]"),
        (EXACT * 4, "products from -65024 to 65536; .* 16 bits, -32768 to 32767"),
        (np.roll(EXACT, 128, (0, 1)), r"numpy.roll\(table, 128, \(0, 1\)\)"),
        (np.array([{}]), "not readable as a NumPy array"),
    ],
    ids=["float", "shape", "range", "order", "pickle"],
)
def test_tables_that_are_none_are_refused_in_a_line(table, message, tmp_path):
    with pytest.raises(WinnowError, match=message) as caught:
        of_file(tmp_path / "circuit.npy", table, allow_pickle=True)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WinnowError, match=r"absent\.npy: not readable"):
        circuit(user_multiplier("mine", str(tmp_path / "absent.npy")))
