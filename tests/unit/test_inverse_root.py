"""Inverse square roots by eigenvalues and by products of matrices, and what is told of their error."""

import math

import pytest
import torch
from arb_core.inverse_root import by_eigenvalues, by_products, error_of, minimax_polynomials, slope_of

RIDGES = torch.tensor([1e-8, 1e-4, 1.0], dtype=torch.float64)


def gram_matrices(k, count=3):
    """Gram matrices with eigenvalues from 1e-6 to 1."""
    q = torch.linalg.qr(torch.randn(count, k, k, dtype=torch.float64, generator=torch.Generator().manual_seed(k)))[0]
    return (q * torch.logspace(-6, 0, k, dtype=torch.float64)) @ q.mT


@pytest.mark.parametrize("least", [0.9999, 0.5, 1e-2, 1e-5, 1e-8])
def test_polynomials_take_the_whole_interval_to_one(least):
    x = torch.logspace(math.log10(least), 0, 10_001, dtype=torch.float64)
    for a, b, c in minimax_polynomials(least):
        x = a * x + b * x**3 + c * x**5
    assert (x - 1).abs().max() < 1e-13


@pytest.mark.parametrize("least", [0.5, 1e-2, 1e-5])
def test_the_first_polynomial_is_the_nearest_of_its_degree(least):
    """Its distance from 1 is largest at four points, with alternating signs: then no other is nearer (Chebyshev)."""
    a, b, c = minimax_polynomials(least)[0]
    x = torch.linspace(least, 1, 200_001, dtype=torch.float64)
    distance = a * x + b * x**3 + c * x**5 - 1
    largest = distance.abs().max()
    extreme = distance[distance.abs() > (1 - 1e-6) * largest].sign()
    assert (extreme.diff() != 0).sum() == 3


def test_polynomials_are_fewer_the_better_the_condition():
    counts = [len(minimax_polynomials(least)) for least in (0.5, 1e-2, 1e-4, 1e-8)]
    assert counts == sorted(set(counts))
    assert counts[-1] < 18


@pytest.mark.parametrize("k", [1, 2, 16, 65])
def test_products_find_the_root_of_the_eigenvalues_in_a_batch(k):
    gram = gram_matrices(k)
    exact, slope = by_eigenvalues(gram, RIDGES, 0.0)
    found, bound = by_products(gram, RIDGES)
    assert torch.equal(found, found.mT)
    errors = torch.linalg.matrix_norm(found - exact) / torch.linalg.matrix_norm(exact)
    assert (errors < 1e-7).all()
    assert (slope <= bound).all()
    assert (bound <= 0.3 / RIDGES).all()
    assert (error_of(gram, RIDGES, found) < 1e-8).all()


@pytest.mark.parametrize("off", [1e-2, 1e-5])
def test_the_error_of_a_wrong_root_is_seen(off):
    gram, ridge = gram_matrices(20, 1), RIDGES[1:2]
    root = by_eigenvalues(gram, ridge, 0.0)[0]
    told = error_of(gram, ridge, root * (1 + off)).item()
    assert told == pytest.approx(off, rel=0.05)
    noise = torch.randn(20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    skew = torch.linalg.matrix_exp(off * noise.triu(1)) @ root
    exact = torch.linalg.matrix_norm((skew - root) @ gram @ (skew - root).mT) ** 0.5
    whole = torch.linalg.matrix_norm(root @ gram @ root) ** 0.5
    assert 0.1 < error_of(gram, ridge, skew).item() / (exact / whole).item() < 10


@pytest.mark.parametrize("wrong", [0.0, float("nan")])
def test_no_root_at_all_is_no_small_error(wrong):
    gram, ridge = gram_matrices(5, 1), RIDGES[1:2]
    assert not error_of(gram, ridge, torch.full_like(gram, wrong)) < 1


def test_a_zero_matrix_has_no_error():
    gram, ridge = torch.zeros(1, 3, 3, dtype=torch.float64), RIDGES[:1]
    assert error_of(gram, ridge, by_products(gram, ridge)[0]) == 0


def test_a_root_that_is_not_symmetric_is_seen_though_it_satisfies_the_equation():
    """X = I - 2 u w^T with w^T u = 1 has X X = I, and a lower triangle, which alone Cholesky reads, close to I / 3."""
    t = 1e-2
    u = torch.tensor([1, t, t * t], dtype=torch.float64)
    x = torch.eye(3, dtype=torch.float64) - 2 * torch.outer(u, 1 / u) / 3
    one, none = torch.eye(3, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    assert torch.linalg.matrix_norm(x @ x - one) < 1e-11
    assert torch.linalg.cholesky_ex(x).info == 0
    assert error_of(one, none, x) > 0.1


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 1e-2])
def test_the_slope_is_the_largest_of_small_changes_of_the_gram_matrix(ridge):
    """Z (G + r I)^(-1/2) for diagonal Z, against differences in all directions of a symmetric change of G."""
    s = torch.tensor([2.0, 1.0, 0.1, 0.03], dtype=torch.float64)
    f = (s.square() + ridge).rsqrt()
    h, moved = 1e-9, []
    for i in range(4):
        for j in range(i + 1):
            change = torch.zeros(4, 4, dtype=torch.float64)
            change[i, j] = change[j, i] = h
            values, v = torch.linalg.eigh(torch.diag(s.square() + ridge) + change)
            difference = torch.diag(s) @ ((v * values.rsqrt()) @ v.mT - torch.diag(f))
            moved.append(torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(change))
    assert max(moved) <= slope_of(s, f) * (1 + 1e-3)
    assert max(moved) >= slope_of(s, f) / 3
