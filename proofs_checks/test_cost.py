"""What is counted and timed; no time is asserted."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from proofs_checks import cost, operations
from proofs_checks.cost import Series
from proofs_checks.operations import Size

SERIES = (
    Series("objective", "d", [Size(8, d) for d in (4, 8, 16)]),
    Series("formula", "n", [Size(n, 4) for n in (4, 8, 16)]),
    Series("smaller side", "p", [Size(4, 16, p) for p in (1, 2, 4)]),
)


@pytest.mark.parametrize(("n", "d", "p"), list(product((2, 5, 8), (4, 8), (1, 2, 4))))
def test_counts_are_the_polynomials(n, d, p):
    size = Size(n, d, p)
    for name in ("objective", "formula", "smaller_side"):
        assert getattr(operations, name)(size) == getattr(operations, f"{name}_operations")(size)


@pytest.mark.parametrize("power", [-2, 0.5, 1, 3])
def test_the_exponent_of_a_power_law_is_found(power):
    x = np.array([16, 32, 48, 64, 256])
    assert cost.exponent(x, 7 * x.astype(float) ** power) == pytest.approx((power,) * 3)
    noise = np.random.default_rng(0).lognormal(0, 0.1, len(x))
    found, low, high = cost.exponent(x, noise * x.astype(float) ** power)
    assert low < power < high
    assert low < found < high


def test_times_have_a_row_per_step_and_size():
    timed = cost.timings(SERIES, [Size(8, 8), Size(8, 8, 2)], repeats=2)
    assert list(timed) == ["step", "n", "d", "p", "threads", "seconds", "low", "high", "operations", "ns_per_operation"]
    assert not timed.duplicated(["step", "n", "d", "p"]).any()
    assert len(timed) == 9 + 6 - 1  # one of the six is in a series already
    quartiles = timed[["low", "seconds", "high"]].astype(float).to_numpy()
    assert (np.diff(quartiles) >= 0).all()
    assert timed.set_index(["step", "n", "d", "p"])["operations"]["objective", 8, 16, 1] == 2 * 8 * 16

    fitted = cost.exponents(timed, SERIES)
    assert list(fitted) == ["step", "parameter", "range", "held", "exponent", "low", "high", "counted"]
    assert fitted[["step", "parameter", "range", "held"]].to_numpy().tolist() == [
        ["objective", "d", "4-16", "N = 8, p = 1"],
        ["formula", "N", "4-16", "d = 4, p = 1"],
        ["smaller side", "p", "1-4", "N = 4, d = 16"],
    ]


def test_exponents_are_those_of_the_times():
    rows = [
        {"step": step, "n": s.n, "d": s.d, "p": s.p, "seconds": f"{getattr(s, parameter) ** 2 / 1e3:.6f}"}
        for step, parameter, sizes in SERIES
        for s in sizes
    ]
    fitted = cost.exponents(pd.DataFrame(rows), SERIES)
    assert (fitted[["exponent", "low", "high"]] == "2.00").all(axis=None)
    of_formula = cost.exponent((4, 8, 16), [4 * n * 4**2 + 11 * 4**3 for n in (4, 8, 16)])[0]
    of_smaller_side = cost.exponent((1, 2, 4), [4 * 4 * 16 * 4 + 11 * p * 4**3 for p in (1, 2, 4)])[0]
    assert fitted["counted"].tolist() == ["1.00", f"{of_formula:.2f}", f"{of_smaller_side:.2f}"]


def test_the_command_writes_both_tables(monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "SERIES", SERIES)
    files = {"out": "times.csv", "exponents": "exponents.csv", "log": "log"}
    monkeypatch.setattr("sys.argv", ["cost", *(f"--{name}={tmp_path}/{file}" for name, file in files.items())])
    small = cost.timings
    monkeypatch.setattr(cost, "timings", lambda repeats: small(SERIES, [], repeats=1))
    fits = cost.exponents
    monkeypatch.setattr(cost, "exponents", lambda timed: fits(timed, SERIES))
    cost.main()
    assert len(pd.read_csv(tmp_path / "times.csv")) == 9
    assert len(pd.read_csv(tmp_path / "exponents.csv")) == 3


def test_an_expression_without_the_cube_is_exceeded(monkeypatch):
    monkeypatch.setitem(cost.PRINTED, "base", lambda s: s.n * s.d**2)
    assert cost.complexity().verdict == "refuted"


@pytest.mark.parametrize("name", ["formula", "smaller_side"])
def test_counts_that_are_not_the_polynomials_leave_the_claim_open(monkeypatch, name):
    counted = getattr(cost, name)
    monkeypatch.setattr(cost, name, lambda size: counted(size) + (size.n == 16))
    assert cost.complexity().verdict == "inconclusive"
