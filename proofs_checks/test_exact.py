"""Certificates in rationals: each assertion is the one that refuses some matrix."""

import pytest

from proofs_checks.exact import certify_base, certify_scaled, rational

EYE = [[1, 0], [0, 1]]


@pytest.mark.parametrize("column", [["3/5", "4/5"], [1, -1]], ids=["not centred", "not of norm 1"])
def test_what_is_not_scaled_is_refused(column):
    certify_scaled(rational([["1/2"], ["-1/2"], ["1/2"], ["-1/2"]]))
    with pytest.raises(AssertionError):
        certify_scaled(rational([[entry] for entry in column]))


@pytest.mark.parametrize(
    ("z", "b"),
    [
        (EYE, [[2, 0], [0, 2]]),
        ([[1], [0]], [["3/5"], ["4/5"]]),
        ([["24/25", 1], ["-7/25", 0]], EYE),
        ([[-1, 0], [0, -1]], EYE),
        ([[0, 1], [1, 0]], EYE),
        ([[1, 0], [0, 0]], EYE),
    ],
    ids=["not orthonormal", "of another range", "P not symmetric", "P negative", "P indefinite", "P singular"],
)
def test_what_is_not_a_base_is_refused(z, b):
    certify_base(rational([[4, 3], [3, 4]]), rational(EYE))
    with pytest.raises(AssertionError):
        certify_base(rational(z), rational(b))
