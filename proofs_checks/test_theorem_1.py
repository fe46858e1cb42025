"""Theorem 1: each assertion of its checks is the one that notices some fault."""

from dataclasses import replace

import numpy as np
import pytest

from proofs_checks import theorem_1
from proofs_checks.exact import rational
from proofs_checks.judge import QUICK, THEORY
from proofs_checks.matrices import OURS, Implementation
from proofs_checks.mutants import wrong_where

LITTLE = replace(QUICK, cases=40, starts=4, steps=20)
LARGE = 20  # no matrix of rationals has this norm


def test_a_base_of_rationals_is_certified(monkeypatch):
    theorem_1._certified(np.random.default_rng(0))
    monkeypatch.setattr(theorem_1, "cayley", lambda skew: rational((np.eye(len(skew), dtype=int) - skew).tolist()))
    with pytest.raises(AssertionError):
        theorem_1._certified(np.random.default_rng(0))


@pytest.mark.parametrize("claim", ["T1.argmin", "T1.unique"])
def test_bases_of_rationals_are_compared(claim):
    with pytest.raises(AssertionError):
        THEORY[claim](wrong_where(lambda z, ridge: np.linalg.norm(z, 2) < LARGE), effort=LITTLE)


@pytest.mark.parametrize("claim", ["T1.argmin", "T1.unique"])
def test_a_wrong_base_that_no_matrix_of_rationals_shows_is_noticed(claim):
    wrong = wrong_where(lambda z, ridge: np.linalg.norm(z, 2) > LARGE)
    assert THEORY[claim](wrong, effort=LITTLE).verdict != THEORY[claim](effort=LITTLE).verdict


def test_the_bound_on_what_another_basis_costs_can_be_violated(monkeypatch):
    correct, verdict = theorem_1._excess, THEORY["T1.unique"](effort=LITTLE).verdict
    monkeypatch.setattr(theorem_1, "_excess", lambda *case: 0.9 * correct(*case))
    assert THEORY["T1.unique"](effort=LITTLE).verdict != verdict


def shared(vt):
    """Complete in a direction that is occupied: as far from Z, and not orthonormal."""
    return vt[[0, 0]]


def negative(vt):
    """Take the negative isometry: orthonormal, and farther."""
    return vt * [[-1], [1]]


@pytest.mark.parametrize("wrong", [shared, negative])
def test_completions_are_minimisers(monkeypatch, wrong):
    z = np.array([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    theorem_1.two_completions(z)
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    monkeypatch.setattr(np.linalg, "svd", lambda *args, **options: (u, s, wrong(vt)))
    with pytest.raises(AssertionError):
        theorem_1.two_completions(z)


def test_two_minimisers_are_apart(monkeypatch):
    verdict = THEORY["T1.unique"](other=True, effort=LITTLE).verdict
    monkeypatch.setattr(theorem_1, "two_completions", lambda z: (z, z))
    assert THEORY["T1.unique"](other=True, effort=LITTLE).verdict != verdict


@pytest.mark.parametrize(
    "scale", [lambda z: z / np.linalg.norm(z, axis=0), lambda z: 1.001 * OURS.scale(z)], ids=["not centred", "not of norm 1"]
)
def test_a_rank_is_that_of_scaled_matrices(scale):
    with pytest.raises(AssertionError):
        THEORY["T1.rank"](Implementation(scale, OURS.base), effort=LITTLE)
