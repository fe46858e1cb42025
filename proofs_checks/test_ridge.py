"""Eq. 9 and Theorem 4: each assertion and each gap of their checks is the one that notices some fault."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.linalg import polar

from proofs_checks import exact, ridge
from proofs_checks.judge import QUICK, THEORY
from proofs_checks.matrices import OURS, Implementation
from proofs_checks.mutants import wrong_where

LITTLE = replace(QUICK, cases=40, starts=4, steps=20)
LAST = float(ridge.STEP.p) / float(ridge.STEP.q)


def verdict(claim, implementation=OURS, other=False):
    return THEORY[claim](implementation, effort=LITTLE, other=other).verdict


other_verdict = partial(verdict, other=True)


def test_bases_have_the_stated_singular_values():
    case = ridge.Ridges(np.diag([2.0, 1.0]), 0.1, 1.0)
    ridge._bases(OURS, case)
    for wrong in (0.1, 1.0):
        with pytest.raises(AssertionError):
            ridge._bases(Implementation(OURS.scale, lambda z, r, wrong=wrong: OURS.base(z, 2 * r if r == wrong else r)), case)


def test_the_views_by_hand_have_the_stated_singular_values(monkeypatch):
    """If not, what is not computed from them may still be as stated."""
    z, *rest = ridge.counterexample()
    known = Implementation(OURS.scale, lambda view, r: OURS.base(exact.floats(z), r))
    ridge._by_hand(known)
    monkeypatch.setattr(ridge, "counterexample", lambda: (2 * z, *rest))
    with pytest.raises(AssertionError):
        ridge._by_hand(known)


@pytest.mark.parametrize("wrong", [0.0, LAST])
def test_the_bases_by_hand_have_the_stated_singular_values(wrong):
    with pytest.raises(AssertionError):
        ridge._by_hand(wrong_where(lambda z, r: r == wrong))


def test_the_distance_has_the_stated_slope_at_zero():
    step = 1e-4 * 0.2**2  # of the views by hand
    with pytest.raises(AssertionError):
        THEORY["T4.distance"](wrong_where(lambda z, r: abs(r - step) < 1e-12), effort=LITTLE)


def test_the_slope_is_that_of_scaled_matrices():
    wrong = Implementation(lambda z: 2 * OURS.scale(z), OURS.base)
    assert other_verdict("T4.distance", wrong) != other_verdict("T4.distance")


def test_a_wrong_polar_factor_is_noticed(monkeypatch):
    sound = other_verdict("T4.distance")
    monkeypatch.setattr(ridge, "polar", lambda z: (z, None))
    assert other_verdict("T4.distance") != sound


@pytest.mark.parametrize(("claim", "other"), [("T4.con", False), ("T4.distance", True)])
def test_ridges_in_the_other_order_are_noticed(monkeypatch, claim, other):
    sound = verdict(claim, other=other)
    monkeypatch.setattr(ridge, "_draw", lambda rng: ridge.Ridges(np.diag([2.0, 1.0]), 1.0, 0.5))
    assert verdict(claim, other=other) != sound


def test_a_consistency_above_the_largest_is_noticed():
    wrong = wrong_where(lambda z, r: z.shape != (3, 5))  # all but the frame by hand
    assert other_verdict("T4.max", wrong) != other_verdict("T4.max")


def test_the_largest_consistency_is_reached():
    wrong = wrong_where(lambda z, r: z.shape == (3, 5))
    with pytest.raises(AssertionError):
        THEORY["T4.max"](wrong, effort=LITTLE)


def test_the_error_of_the_basis_is_the_stated_one():
    wrong = Implementation(OURS.scale, lambda z, r: OURS.base(z, 2 * r if r == ridge.PRINTED_RIDGE else r))
    with pytest.raises(AssertionError):
        THEORY["E9"](wrong, effort=LITTLE)


def test_a_limit_that_is_another_basis_is_noticed():
    wrong = wrong_where(lambda z, r: True, lambda base: base[:, ::-1])
    assert other_verdict("E9", wrong) != other_verdict("E9")


def test_an_isometry_that_is_completed_is_noticed():
    wrong = Implementation(OURS.scale, lambda z, r: polar(z)[0] if np.linalg.matrix_rank(z) < min(z.shape) else OURS.base(z, r))
    with pytest.raises(AssertionError):
        THEORY["E9"](wrong, effort=LITTLE)
