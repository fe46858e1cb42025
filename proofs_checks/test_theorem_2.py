"""Theorem 2: each assertion and each bound of its checks is the one that notices some fault."""

from dataclasses import replace

import numpy as np
import pytest
from flint import fmpq

from proofs_checks import theorem_2
from proofs_checks.judge import QUICK, THEORY
from proofs_checks.matrices import OURS, Implementation
from proofs_checks.mutants import wrong_where

LITTLE = replace(QUICK, cases=40, starts=4, steps=20)
TINY = Implementation(OURS.scale, lambda z, ridge: OURS.base(z, ridge) * (1 + 1e-9))


def verdict(claim, implementation=OURS):
    return THEORY[claim](implementation, effort=LITTLE).verdict


@pytest.mark.parametrize("root", [[[4, 3], [3, 5]], [[3, 4], [4, 3]]], ids=["a column not of norm 1", "not positive definite"])
def test_views_by_hand_are_certified(monkeypatch, root):
    theorem_2.counterexample()
    monkeypatch.setitem(theorem_2.FOUR_SAMPLES, "root_a", root)
    with pytest.raises(AssertionError):
        theorem_2.counterexample()


def test_the_base_is_that_of_scipy():
    z = OURS.scale(np.random.default_rng(0).standard_normal((6, 4)))
    theorem_2.agreed_base(OURS, z)
    with pytest.raises(AssertionError):
        theorem_2.agreed_base(TINY, z)


def without_scipy(monkeypatch):
    """Take the base of an implementation as it is, so that something else has to notice a wrong one."""
    monkeypatch.setattr(theorem_2, "agreed_base", lambda implementation, z: implementation.base(z, 0.0))


@pytest.mark.parametrize("reading", theorem_2.READINGS)
def test_the_base_by_hand_is_what_is_computed(monkeypatch, reading):
    without_scipy(monkeypatch)
    with pytest.raises(AssertionError):
        THEORY[f"T2.{reading}"](TINY, effort=LITTLE)


@pytest.mark.parametrize("reading", ["one.diag", "trace"])
def test_views_that_are_their_own_base_are_no_counterexample(reading):
    a, b, base = theorem_2.counterexample()
    theorem_2._four_samples(reading, a, b, base)
    with pytest.raises(AssertionError):
        theorem_2._four_samples(reading, base, base, base)


@pytest.mark.parametrize("reading", ["one.diag", "trace"])
def test_one_view_twice_is_no_counterexample(monkeypatch, reading):
    theorem_2._small(reading)
    entry = theorem_2.stored(f"T2.{reading}")
    monkeypatch.setattr(theorem_2, "stored", lambda claim: {**entry, "views": [entry["views"][1]] * 2})
    with pytest.raises(AssertionError):
        theorem_2._small(reading)


@pytest.mark.parametrize(
    "root",
    [(fmpq(3, 7), fmpq(5, 42)), (fmpq(2, 7), fmpq(-9, 70)), (fmpq(1), fmpq(0))],
    ids=["columns not of norm 1", "not positive definite", "the identity, which violates nothing"],
)
def test_sixty_features_are_certified(monkeypatch, root):
    theorem_2._sixty_features()
    monkeypatch.setattr(theorem_2, "SIXTY", root)
    with pytest.raises(AssertionError):
        theorem_2._sixty_features()


def test_a_corrected_bound_that_is_too_low_is_noticed(monkeypatch):
    correct = theorem_2.inequalities

    def half(claim, statement):
        one = correct(claim, statement)[0]
        return [replace(one, sides=lambda *case: (one.sides(*case)[0], one.sides(*case)[1] / 2))]

    sound = THEORY["T2.one.diag"](effort=LITTLE, other=True).verdict
    monkeypatch.setattr(theorem_2, "inequalities", half)
    assert THEORY["T2.one.diag"](effort=LITTLE, other=True).verdict != sound


@pytest.mark.parametrize("upwards", [True, False])
def test_either_bound_of_both_losses_can_be_violated(monkeypatch, upwards):
    correct, sound = theorem_2.zero_bound, verdict("T2.zero")

    def lowered(*args):
        left, right = correct(*args)
        return (left, right - 1) if args[0] == upwards else (left, right)

    monkeypatch.setattr(theorem_2, "zero_bound", lowered)
    assert verdict("T2.zero") != sound


def test_the_bound_of_the_frobenius_loss_can_be_violated(monkeypatch):
    """By columns that are longer and shorter than 1, of which the other two bounds are true."""
    sound = verdict("T2.zero")
    single = np.array([[1.0], [-1.0]]) / 2**0.5
    monkeypatch.setattr(theorem_2, "pairs", lambda rng, implementation: (4 * single, single / 2))
    assert verdict("T2.zero") != sound


def test_the_least_loss_can_be_undercut():
    by_hand = ((4, 2), (3, 3), (2, 2))
    wrong = wrong_where(lambda z, ridge: z.shape not in by_hand, lambda base: 1.01 * base)
    assert verdict("T2.zero.ridge", wrong) != verdict("T2.zero.ridge")


def test_the_least_loss_is_reached():
    wrong = wrong_where(lambda z, ridge: z.shape == (3, 3), lambda base: 0.999 * base)
    assert verdict("T2.zero.ridge", wrong) != verdict("T2.zero.ridge")
