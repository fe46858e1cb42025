"""Every property survives what Hypothesis draws, always the same cases; wrong implementations do not."""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from proofs_checks.ledger import read_ledger
from proofs_checks.matrices import OURS
from proofs_checks.mutants import MUTANTS
from proofs_checks.properties import of_bases, of_losses, of_sizes, strategies  # noqa: F401
from proofs_checks.properties.faults import FAULTS
from proofs_checks.properties.statement import PROPERTIES, at_most, equal, tally

QUICK, FEW = 150, 40
WRONG_BASES = [
    "exponent -1",
    "exponent 1/2",
    "Cholesky",
    "a ridge left in",
    "base := embedding",
    "swapped side",
    "no right vectors",
]
THEOREM_1 = [name for name, found in PROPERTIES.items() if found.claims in ("T1.argmin", "T1.unique", "T1.procrustes")]
properties = pytest.mark.parametrize("name", PROPERTIES)


@properties
def test_no_case_breaks_it(name):
    counted = tally(name, QUICK)
    assert counted["cases"] == QUICK


@properties
def test_the_cases_are_always_the_same(name, monkeypatch):
    seen = []

    def check(implementation, case):
        seen.append(repr(case))

    monkeypatch.setitem(PROPERTIES, name, replace(PROPERTIES[name], check=check))
    for _ in range(2):
        tally(name, FEW)
    assert seen[:FEW] == seen[FEW:]
    assert len(set(seen)) > FEW / 2


def fails(name, mutant):
    try:
        tally(name, FEW, MUTANTS[mutant], shrink=False)
    except (AssertionError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return True
    return False


@pytest.mark.filterwarnings("ignore")  # of what wrong code divides by
@pytest.mark.parametrize("name", [name for name, found in PROPERTIES.items() if found.claims != "X1"])
def test_some_wrong_implementation_breaks_it(name):
    assert any(fails(name, mutant) for mutant in MUTANTS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_implementation_breaks_some_property(mutant):
    assert any(fails(name, mutant) for name in PROPERTIES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", THEOREM_1)
@pytest.mark.parametrize("mutant", WRONG_BASES)
def test_a_wrong_base_breaks_every_reading_of_theorem_1(name, mutant):
    assert fails(name, mutant)


@pytest.mark.parametrize("planted", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_noticed(planted, monkeypatch):
    found = PROPERTIES[planted.name]
    monkeypatch.setitem(PROPERTIES, planted.name, replace(found, cases=st.just(planted.case)))
    tally(planted.name, 1)
    monkeypatch.setitem(PROPERTIES, planted.name, replace(found, cases=st.just(planted.instead)))
    for function, wrong in planted.patches.items():
        monkeypatch.setattr(sys.modules[found.check.__module__], function, wrong)
    with pytest.raises(AssertionError):
        tally(planted.name, 1, planted.implementation, shrink=False)


def test_what_breaks_a_property_is_made_small():
    with pytest.raises(AssertionError) as caught:
        tally("no orthonormal matrix is nearer", QUICK, MUTANTS["exponent -1"])
    (note,) = [note for note in caught.value.__notes__ if "Failing test case" in note]
    assert "u=array([[1.]])" in note  # one by one


def test_every_kind_of_case_is_drawn():
    counted = sum((tally(name, FEW) for name in PROPERTIES), start=Counter())
    assert all(counted[kind] > 20 for kind in (*strategies.SHAPES, *strategies.EXTREMES))


def test_properties_name_claims_of_the_ledger():
    known = {entry["id"] for entry in read_ledger()}
    named = {claim for found in PROPERTIES.values() for claim in found.claims.split(", ")}
    assert named <= known
    missing = {claim.split(".")[0] for claim in known} - {claim.split(".")[0] for claim in named}
    assert missing == {"X2"}  # about points, decided exactly


def test_comparisons_can_fail():
    for left, right in ((1.0, 0.5), (np.nan, 1.0)):
        with pytest.raises(AssertionError):
            at_most(left, right)
    with pytest.raises(AssertionError):
        equal(np.ones(2), np.array([1.0, 1 + 1e-8]))
    OURS.base(np.eye(2), 0.0)
