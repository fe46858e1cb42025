"""The search can fail, the corrections stand it, and every stored counterexample is certified by formulas of its own.

What the search computes in torch, by a decomposition of Z^T Z, is computed here once more in NumPy with SciPy's bases, and in
ball arithmetic with FLINT's eigenvectors; nothing but the whole numbers is shared.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from flint import arb, arb_mat
from scipy.linalg import orthogonal_procrustes, polar

from proofs_checks import exact
from proofs_checks.judge import QUICK
from proofs_checks.matrices import OURS
from proofs_checks.search import job as search
from proofs_checks.search.ascent import ascend, pseudo_base, scale
from proofs_checks.search.inequalities import INEQUALITIES, inequalities
from proofs_checks.search.shrink import CLEAR, COUNTEREXAMPLES, counterexamples, to_shrink, whole_numbers

STORED = yaml.safe_load(COUNTEREXAMPLES.read_text(encoding="utf-8"))
ENTRIES = [pytest.param(entry, id=entry["claim"]) for entry in STORED]
FALSE_AS_STATED = [one for one in INEQUALITIES if search.has_correction(one)]
STANDING = [one for one in INEQUALITIES if not search.has_correction(one)]
HARD = search.Budget(200, 150, ((6, 4), (8, 6)))  # for the Frobenius reading, both directions: few starts end in a violation
LOOSE = "L_ARB by L_BT"  # a bound that is nowhere reached


@pytest.fixture(autouse=True)
def one_torch_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Arithmetic:
    """Numbers from decimals, their roots, raw embeddings scaled, and the base at a ridge; matrices are NumPy arrays."""

    number: Callable[[str], Any]
    root: Callable[[Any], Any]
    scaled: Callable[[list[list[int]]], np.ndarray]
    base: Callable[[np.ndarray, Any], np.ndarray]


def base_by_scipy(z, ridge):
    """Stack a multiple of I below Z, which makes the polar factor that of Eq. 9; SciPy's two ways have to agree."""
    stacked = np.vstack([z, ridge**0.5 * np.eye(z.shape[1])])
    q, r = np.linalg.qr(stacked)
    other = q @ orthogonal_procrustes(np.eye(z.shape[1]), r)[0]
    np.testing.assert_allclose(polar(stacked)[0], other, atol=1e-11)
    return other[: len(z)]


def scaled_by_numpy(rows):
    z = np.array(rows, float)
    z -= z.mean(0)
    return z / z.std(0) / len(z) ** 0.5


def base_by_balls(z, ridge):
    z = arb_mat(z.tolist())
    found = exact.base_ball(z, ridge) if z.nrows() > z.ncols() else exact.base_ball(z.transpose(), ridge).transpose()
    return np.array(found.tolist(), dtype=object)


FLOATS = Arithmetic(float, np.sqrt, scaled_by_numpy, base_by_scipy)
BALLS = Arithmetic(
    arb, lambda x: x.sqrt(), lambda rows: np.array(exact.scaled_ball(rows).tolist(), dtype=object), base_by_balls
)


def both_sides(entry, part, arithmetic):
    """Return the left and the right side of what is printed."""
    views = [arithmetic.scaled(rows) for rows in entry["views"]]
    a, b = views[0], views[-1]
    n, d = a.shape
    theorem, reading = entry["claim"].split(".", 1)
    if (theorem, reading) == ("T4", "max"):
        ridge = arithmetic.number("0.0001")
        inside = arithmetic.root(d + n * ridge) if part == "sqrt(d + N lambda)" else arithmetic.root(ridge * 0 + d) + n * ridge
        return (a * arithmetic.base(a, ridge)).sum(), arithmetic.root(inside / (d * n))
    ridges = [arithmetic.number(text) for text in part.removeprefix("lambda = ").split(" and ")]
    if theorem == "T4":
        squares = [((a - arithmetic.base(a, ridge)) ** 2).sum() / d for ridge in ridges]
        return arithmetic.root(squares[0]), arithmetic.root(squares[1])
    if reading == "trace":
        return (a * arithmetic.base(b, ridges[0])).sum(), (a * b).sum()
    loss = 0
    for z, other in ((a, b), (b, a))[: 2 if reading.startswith("sum") else 1]:
        misfit = np.eye(d, dtype=int) - z.T @ arithmetic.base(other, ridges[0])
        loss += (misfit**2).sum() if reading.endswith("fro") else (np.diag(misfit) ** 2).sum()
    return ((1 - (a * b).sum(0)) ** 2).sum(), loss


@pytest.mark.parametrize("entry", ENTRIES)
def test_stored_counterexamples_are_certified(entry):
    assert np.shape(entry["views"])[1:] == (entry["n"], entry["d"])
    for rows in entry["views"]:
        s = np.linalg.svd(scaled_by_numpy(rows), compute_uv=False)
        assert s[min(entry["n"] - 1, entry["d"]) - 1] > 1e-3 * s[0]
    for side in entry["sides"]:
        stored = float(side["left"]), float(side["right"])
        floats = both_sides(entry, side["part"], FLOATS)
        np.testing.assert_allclose(floats, stored, atol=6e-7)
        balls = both_sides(entry, side["part"], BALLS)
        assert balls[0] > balls[1]  # every number in the one ball above every number in the other
        assert max(float(ball.rad()) for ball in balls) < 1e-30
        np.testing.assert_allclose([float(ball.mid()) for ball in balls], floats, atol=1e-10)
        assert floats[0] - floats[1] > CLEAR


def test_a_statement_that_no_inequality_is_of_is_refused():
    for claim, statement in (("T2.zero", "printed"), ("X1", None)):
        with pytest.raises(LookupError, match=f"no inequality of {claim} is"):
            inequalities(claim, statement)


def test_what_violates_nothing_is_not_certified():
    entry = next(entry for entry in STORED if entry["claim"] == "T2.sum.diag")
    view = [[3, 1], [1, -2], [-1, 0], [-2, -1]]
    left, right = both_sides({**entry, "views": [view, view]}, "lambda = 0", BALLS)
    assert not left > right


def test_there_is_a_counterexample_for_every_printed_inequality_with_a_correction():
    printed = {one.claim for one in FALSE_AS_STATED if one.statement == "printed"}
    assert {entry["claim"] for entry in STORED} == printed == {claim for claim, _ in to_shrink()}


@cache
def quick_search():
    rows = list(search.search(search.QUICK, [one for one in INEQUALITIES if one.claim != "T2.sum.fro"]))
    hard = list(search.search(HARD, inequalities("T2.sum.fro", "printed")))
    return pd.DataFrame(rows + hard + list(search.search(search.QUICK, inequalities("T2.sum.fro", "corrected"))))


def test_quick_search_finds_every_violation_and_no_other():
    violated = quick_search().groupby(["claim", "statement"])["violated"].sum()
    assert {key for key in violated.index if violated[key]} == {(one.claim, one.statement) for one in FALSE_AS_STATED}


def test_quick_search_covers_every_inequality():
    table = quick_search()
    assert set(zip(table["claim"], table["statement"], table["part"], strict=True)) == {
        (one.claim, one.statement, one.part) for one in INEQUALITIES
    }
    assert (table["largest_gap"].astype(float) > 1e-6).equals(table["violated"] > 0)


def tightened(one, by=0.98):
    return replace(one, sides=lambda base, *case: (lambda left, right: (left, by * right))(*one.sides(base, *case)))


@pytest.mark.parametrize("one", STANDING, ids=lambda one: f"{one.claim} {one.statement} {one.part}")
def test_bounds_lowered_by_two_per_cent_are_found_out(one):
    found = sum(
        row["violated"] for row in search.search(replace(search.QUICK, starts=20), [tightened(one)])
    )  # every one is reached somewhere, but for one that is loose
    assert (found > 0) == (one.part != LOOSE)


def test_a_forgotten_half_is_found_out():
    one = inequalities("T2.sum.diag", "corrected")[0]

    def sides(base, a, b):
        left, right = one.sides(base, a, b)
        distance = sum((base(z, 0.0) - z).square().sum((-2, -1)).sqrt() for z in (a, b)) / 4
        return left, right - distance  # a quarter of both distances instead of a half

    assert sum(row["violated"] for row in search.search(search.QUICK, [replace(one, sides=sides)]))


def test_the_same_search_gives_the_same_rows():
    chosen = inequalities("T4.distance", "printed")
    first, second = (list(search.search(search.QUICK, chosen)) for _ in range(2))
    assert first == second


def test_derivative_where_singular_values_coincide_and_where_some_are_zero():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 6, 4, dtype=torch.float64, generator=generator)
    equal = torch.linalg.qr(z)[0].requires_grad_()
    ridge = torch.tensor([0.1, 1.0, 1e-2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pseudo_base, (equal,))
    assert torch.autograd.gradcheck(pseudo_base, (equal, ridge))
    wide = z.mT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pseudo_base(scale(x)), (wide,))
    assert torch.autograd.gradcheck(lambda x, r: pseudo_base(scale(x), r), (wide, ridge))


@pytest.mark.parametrize("ridge", [0.0, 1e-4])
@pytest.mark.parametrize(("n", "d"), [(6, 4), (4, 6), (5, 5)])
def test_base_of_the_search_is_that_of_arb_core(n, d, ridge):
    z = OURS.scale(np.random.default_rng(n).standard_normal((n, d)))
    for fast in (False, True):
        np.testing.assert_allclose(pseudo_base(torch.from_numpy(z), ridge, fast), OURS.base(z, ridge), atol=1e-9)


def test_ascent_reaches_a_known_maximum():
    starts = [torch.linspace(-3, 3, 5, dtype=torch.float64)]
    best, (where,) = ascend(lambda x: 1 - (x - 2).square(), starts, 300)
    np.testing.assert_allclose(best, 1, atol=1e-4)
    np.testing.assert_allclose(where, 2, atol=1e-2)
    assert starts[0][0] == -3


def test_cases_climbed_for_the_ledger_are_what_the_inequality_is_about():
    for one in INEQUALITIES:
        for case in one.climbed(replace(QUICK, starts=2, steps=2)):
            n, d = case[0].shape
            assert one.fits(n, d)
            np.testing.assert_allclose(case[0], OURS.scale(case[0]), atol=1e-9)
            assert all(type(number) is float for number in case if np.ndim(number) == 0)


def cosine(z):
    return (scale(z)[..., 0] * scale(z)[..., 1]).sum(-1)


def test_the_shrinker_finds_the_known_smallest_answer():
    """Two columns of three samples with a cosine above 0.9, but not equal: by trying all, entries up to 2 are needed."""
    columns = [np.array(c, float) for c in product([-1, 0, 1], repeat=3) if len(set(c)) > 1]
    columns = [(c - c.mean()) / np.linalg.norm(c - c.mean()) for c in columns]
    assert max(x @ y for x in columns for y in columns if x @ y < 1 - 1e-9) < 0.9
    start = torch.randn(20, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = whole_numbers(lambda z: cosine(z) - 0.9, [start], most=4)
    assert found is not None
    assert found.views[0].abs().max() == 2
    np.testing.assert_allclose(found.gap, cosine(found.views[0].double()) - 0.9)
    assert whole_numbers(lambda z: cosine(z) - 0.9, [start], most=1) is None


def test_shrinking_again_finds_as_small_a_counterexample():
    """The stored one, or one with the same sides: which of several equals comes first depends on the CPU."""
    text = counterexamples(["T4.max"])
    assert COUNTEREXAMPLES.read_text(encoding="utf-8").startswith(text.partition("- claim")[0])
    (again,) = yaml.safe_load(text)
    known = next(entry for entry in STORED if entry["claim"] == "T4.max")
    assert {**again, "views": None} == {**known, "views": None}
    assert np.abs(again["views"]).max() == np.abs(known["views"]).max()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--claim", "T9"], "no inequality of T9; there are those of T1.argmin"),
        (["--sizes", "2,9"], "none of the sizes [(2, 9)] fits"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(options, sentence, monkeypatch, tmp_path, capsys):
    out = tmp_path / "search.csv"
    arguments = ["search", "--out", str(out), "--log", str(tmp_path / "log"), "--claim", "T1.argmin", *options]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        search.main()
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_the_table_is_written(monkeypatch, tmp_path):
    out = tmp_path / "search.csv"
    arguments = ["--claim", "T4.max", "O1", "--sizes", "3,5", "--out", str(out), "--log", str(tmp_path / "log")]
    monkeypatch.setattr("sys.argv", ["search", "--quick", *arguments])
    search.main()
    table = pd.read_csv(out)
    assert list(table["claim"]) == ["T4.max"] * 3 + ["O1"] * 2
    assert list(table.columns) == ["claim", "statement", "part", "n", "d", "starts", "steps", "largest_gap", "violated"]
