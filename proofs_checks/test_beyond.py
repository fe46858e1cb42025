"""Beyond the paper: each assertion of the checks is the one that notices some fault."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import polar

from proofs_checks import beyond, exact
from proofs_checks.geometry import certify
from proofs_checks.judge import QUICK, THEORY
from proofs_checks.matrices import OURS, Implementation, rotation
from proofs_checks.mutants import uncertified, wrong_where

LITTLE = replace(QUICK, cases=40, starts=4, steps=20)


@pytest.mark.parametrize("claim", ["O1", "O2", "O3", "O4", "O5"])
def test_a_fault_that_no_drawn_case_has_is_noticed(claim):
    """The ridge is 16 in the certificate alone."""
    with pytest.raises(AssertionError):
        THEORY[claim](wrong_where(lambda z, ridge: ridge == 16), effort=LITTLE)


def completed(z, ridge):
    """Complete the bases of square matrices without full rank, as SciPy does."""
    return polar(z)[0] if uncertified(z, ridge) and z.shape[0] == z.shape[1] else OURS.base(z, ridge)


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("O1", wrong_where(lambda z, ridge: z.shape == (4, 6))),  # no tight frame among the known cases has this shape
        ("O2", wrong_where(lambda z, ridge: uncertified(z, ridge) and z.shape[1] > z.shape[0])),
        ("O3", wrong_where(lambda z, ridge: uncertified(z, ridge) and z.shape[1] < z.shape[0])),
        ("O3", Implementation(OURS.scale, completed)),
        ("O4", wrong_where(lambda z, ridge: uncertified(z, ridge) and z.shape[1] < z.shape[0], lambda base: 10 * base)),
        ("O5", wrong_where(lambda z, ridge: 0 < ridge < 16)),
    ],
    ids=["O1-", "O2-", "O3-tall", "O3-square", "O4-", "O5-"],
)
def test_a_base_that_is_wrong_elsewhere_than_in_the_certificate_is_noticed(claim, wrong):
    certify(wrong)
    assert THEORY[claim](wrong, effort=LITTLE).verdict != THEORY[claim](effort=LITTLE).verdict


def test_the_losses_of_both_levels_differ_in_rationals(monkeypatch):
    eye = exact.rational([[1, 0], [0, 1]])
    monkeypatch.setattr(beyond, "counterexample", lambda: (eye, eye, eye))
    with pytest.raises(AssertionError):
        THEORY["O2"]()


def test_operations_of_groups_are_those_of_the_formula(monkeypatch):
    correct = beyond.smaller_side
    monkeypatch.setattr(beyond, "smaller_side", lambda size: correct(size) + 1)
    with pytest.raises(AssertionError):
        THEORY["O3"](effort=LITTLE)


def test_groups_that_always_save_are_noticed(monkeypatch):
    verdict = THEORY["O3"](effort=LITTLE).verdict
    for name in ("smaller_side", "smaller_side_operations"):
        monkeypatch.setattr(beyond, name, lambda size: 100 - size.p)
    assert THEORY["O3"](effort=LITTLE).verdict != verdict


def well_conditioned(z, ridge):
    return uncertified(z, ridge) and np.linalg.cond(z) < 100 and z.shape[1] <= z.shape[0]


def turned(base):
    """Turn a base by so little that B^T Z has no negative eigenvalue; it is not symmetric."""
    return rotation(np.random.default_rng(0), len(base), 1e-5) @ base


@pytest.mark.parametrize(
    "wrong",
    [
        wrong_where(uncertified, lambda base: 2 * base),
        wrong_where(well_conditioned, turned),
        wrong_where(uncertified, lambda base: -base),
    ],
    ids=["not a partial isometry", "turned", "negative"],
)
def test_a_limit_is_known_by_its_properties(wrong):
    with pytest.raises(AssertionError):
        THEORY["O5"](wrong, effort=LITTLE)
