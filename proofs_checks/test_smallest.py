"""The smallest counterexamples: each is one in floating point too, and what shows nothing stops the check."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from arb_core import ARBLoss

from proofs_checks import shared_base, smallest
from proofs_checks.judge import THEORY
from proofs_checks.ledger import ledger_row
from proofs_checks.matrices import OURS
from proofs_checks.mutants import wrong_where
from proofs_checks.smallest import SMALLEST

ONE_BASE_EACH = {"Z_1": [[1, 0], [0, 1], [0, 0]], "Z_2": [[0, 1], [1, 0], [0, 0]]}
HARMLESS = {  # what stands in a place, and shows nothing
    "T1.rank": (smallest, "TWO_SAMPLES", [[1, 0], [0, 1], [0, 0]]),
    "T2.zero.ridge": (smallest, "ALIKE", [[1, 1], [-1, 0], [0, -1]]),
    **dict.fromkeys(("T3", "T3.entropy", "T3.chain", "T3.fullrank.batch"), (shared_base, "FAMILY", ONE_BASE_EACH)),
    "T3.argmax": (smallest, "ENCODERS", (("Z_1", "Z_4", "Z_4"), ("Z_1", "Z_4", "Z_4"))),
    "T5.grad": (smallest, "OPPOSITE", ([[1], [-1]], [[1], [-1]])),
    "T5.orth.collapsed.eq9": (smallest, "COLLAPSED", [[1, 0], [-1, 1], [0, -1]]),
    "X2": (smallest, "TETRAHEDRON", [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [1, 1, -1]]),
    "X3": (smallest, "TURNED", smallest.TURNED | {"left": [[2, 1], [1, 2]]}),
}


def shown_of(claim):
    """Return what is shown of a claim: matrices by name, in float64, and all that is said."""
    shown = SMALLEST[claim]()
    matrices = {name: np.array([[float(Fraction(entry)) for entry in row] for row in rows]) for name, rows in shown.matrices}
    return matrices, "\n".join(shown.says)


@pytest.mark.parametrize("claim", SMALLEST)
def test_what_shows_nothing_stops_the_check(claim, monkeypatch):
    monkeypatch.setattr(*HARMLESS[claim])
    with pytest.raises(AssertionError):
        SMALLEST[claim]()
    with pytest.raises(AssertionError):
        ledger_row(claim)


@pytest.mark.parametrize(
    ("claim", "shape"),
    [
        ("T2.zero.ridge", (2, 2)),
        *((claim, (3, 2)) for claim in SMALLEST if claim.startswith("T3")),
        ("T5.grad", (2, 1)),
        ("T5.orth.collapsed.eq9", (3, 2)),
        ("X3", (2, 2)),
    ],
)
def test_an_implementation_is_compared(claim, shape):
    with pytest.raises(AssertionError):
        THEORY[claim](wrong_where(lambda z, ridge: z.shape == shape))


@pytest.mark.parametrize("change", [{"Z_2": [[2, 1], [1, 2], [0, 1]]}, {"Z_2": [[-1, 0], [0, -1], [0, 0]]}])
def test_a_base_that_is_not_shared_is_refused(monkeypatch, change):
    monkeypatch.setattr(shared_base, "FAMILY", shared_base.FAMILY | change)
    with pytest.raises(AssertionError):
        shared_base.base_of("Z_2")


def test_one_embedding_twice_is_refused(monkeypatch):
    monkeypatch.setitem(shared_base.FAMILY, "Z_2", [[2, 0], [0, 2], [0, 0]])
    with pytest.raises(AssertionError):
        shared_base.twins()


def test_the_family_has_two_bases():
    matrices, _ = shown_of("T3.argmax")
    scaled = {name: OURS.scale(z) for name, z in matrices.items()}
    bases = {name: OURS.base(z, 0.0) for name, z in scaled.items()}
    for name in ("Z_2", "Z_3"):
        np.testing.assert_allclose(bases[name], bases["Z_1"], rtol=0, atol=1e-12)
        assert np.abs(scaled[name] - scaled["Z_1"]).max() > 0.1
    np.testing.assert_allclose(bases["Z_4"], bases["Z_1"][:, ::-1], rtol=0, atol=1e-12)
    assert np.abs(bases["Z_4"] - bases["Z_1"]).max() > 0.1


def test_two_samples_leave_one_rank():
    matrices, said = shown_of("T1.rank")
    ranks = [np.linalg.matrix_rank(matrix) for matrix in (matrices["Z"], OURS.scale(matrices["Z"]))]
    assert ranks == [2, 1]
    np.testing.assert_array_equal(matrices["Z centred"], matrices["Z"] - matrices["Z"].mean(0))
    assert "rank 2; after centring, as in Eq. 7, rank 1" in said


@pytest.mark.parametrize("ridge", [0.0, 1e-4])
def test_the_loss_of_two_samples_is_the_one_said(ridge):
    (z,), said = shown_of("T2.zero.ridge")[0].values(), shown_of("T2.zero.ridge")[1]
    views = torch.from_numpy(3 * z + 1), torch.from_numpy(z)
    assert f"L_ARB = {ARBLoss(eps=0, ridge=ridge)(*views).item():.6f}, above 0 (lambda = {ridge:g})" in said


def test_gradients_are_those_of_autograd():
    matrices, said = shown_of("T5.grad")
    z, b, printed, slope = (matrix / 2**0.5 for matrix in matrices.values())
    leaf = torch.from_numpy(z).requires_grad_()
    loss = (1 - (leaf * torch.from_numpy(b)).sum()) ** 2
    loss.backward()
    np.testing.assert_allclose(leaf.grad.numpy(), slope, rtol=0, atol=1e-12)
    np.testing.assert_allclose(printed, -slope)
    assert f"is {(z * b).sum():.0f}, and L = {loss.item():.0f}" in said


@pytest.mark.parametrize(("ridge", "text"), [(0.25, "1/4"), (1e-4, "0.0001")])
def test_gradients_at_collapse_are_those_of_autograd(ridge, text):
    matrices, said = shown_of("T5.orth.collapsed.eq9")
    z = OURS.scale(matrices["sqrt(2) Z^A = sqrt(2) Z^B"])
    leaf = torch.from_numpy(z).requires_grad_()
    (1 - (leaf * torch.from_numpy(OURS.base(z, ridge))).sum(0)).square().sum().backward()
    gram = (leaf.grad.mT @ leaf.grad).numpy()
    if ridge == 0.25:
        np.testing.assert_allclose(matrices["G^T G at lambda = 1/4"], gram, rtol=0, atol=1e-12)
    value = next(line for line in said.splitlines() if f"(lambda = {text})" in line).split(" is ")[1].split(",")[0]
    assert float(Fraction(value)) == pytest.approx(gram[0, 1], abs=1e-6)


def test_points_are_equidistant_in_few_dimensions():
    matrices, said = shown_of("X2")
    for n, points in zip((2, 4), matrices.values(), strict=True):
        distances = [np.linalg.norm(points[i] - points[j]) for i in range(n) for j in range(i)]
        np.testing.assert_allclose(distances, distances[0])
        assert distances[0] > 0
        assert f"N = {n} in {np.linalg.matrix_rank(points)}, not {n + 1}" in said


def test_both_levels_have_one_base():
    matrices, _ = shown_of("X3")
    z, by_columns, by_rows = matrices.values()
    np.testing.assert_allclose(OURS.base(z, 0.0), by_columns, rtol=0, atol=1e-12)
    np.testing.assert_allclose(OURS.base(z.T, 0.0).T, by_rows, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(by_columns, by_rows)
