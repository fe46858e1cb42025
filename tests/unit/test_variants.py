"""The variants of ARB in Table 4 and in the release, against literal formulas in NumPy."""

import numpy as np
import pytest
import torch
from arb_core import ARBLoss, DirectAlignmentLoss, nearest_orthonormal_basis

from arb_suite.jobs import UserError
from arb_suite.method import Sizes, build_method
from arb_suite.methods import arb_ablation, arb_release
from arb_suite.methods.arb_ablation import ABLATIONS
from arb_suite.methods.arb_release import FORMULAS
from arb_suite.trace import trace

SIZES = Sizes(features=6, hidden=5, embedding=4, classes=3)
RIDGE = 1e-4


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((16, 4)) @ rng.standard_normal((4, 4)) + 3
    return a, a + 0.3 * rng.standard_normal((16, 4))


def scaled(z):
    z = z - z.mean(0)
    return z / np.linalg.norm(z, axis=0)


def base(z, ridge=RIDGE):
    values, vectors = np.linalg.eigh(z.T @ z + ridge * np.eye(z.shape[1]))
    return z @ (vectors / np.sqrt(values)) @ vectors.T


def loss_of(name, views, **options):
    method = build_method(name, torch.nn.Flatten(), SIZES, options)
    return method.criterion(*map(torch.from_numpy, views)).item()


def both(views, misfit, prepare=scaled):
    a, b = map(prepare, views)
    return misfit(a, b) + misfit(b, a)


def test_off_diagonal_terms_are_those_of_barlow_twins_with_the_base(views):
    def misfit(z, other):
        c = z.T @ base(other)
        off = c - np.diag(np.diag(c))
        return ((1 - np.diag(c)) ** 2).sum() + 0.02 * (off**2).sum()

    measured = loss_of("arb_ablation", views, ablation="off_diagonal", lambda_param=0.02)
    assert measured == pytest.approx(both(views, misfit), abs=1e-9)


def test_without_scaling_the_raw_embeddings_are_aligned(views):
    def misfit(z, other):
        return ((1 - (z * base(other)).sum(0)) ** 2).sum()

    assert loss_of("arb_ablation", views, ablation="no_scaling") == pytest.approx(both(views, misfit, lambda z: z), abs=1e-9)


def test_l2_compares_columns_of_norm_one(views):
    def misfit(z, other):
        b = base(other)
        return ((z / np.linalg.norm(z, axis=0) - b / np.linalg.norm(b, axis=0)) ** 2).sum()

    assert loss_of("arb_ablation", views, ablation="l2") == pytest.approx(both(views, misfit, lambda z: z), abs=1e-9)


@pytest.mark.parametrize(
    ("module", "options"),
    [
        *((arb_ablation, {"ablation": name}) for name in ABLATIONS if name != "no_batch_norm"),  # that is ARBLoss
        *((arb_release, {"formula": name, "shard": 8}) for name in FORMULAS),
    ],
    ids=lambda value: str(next(iter(value.values()))) if isinstance(value, dict) else "",
)
def test_gradient_is_that_of_constant_bases(module, options, views, monkeypatch):
    criterion = build_method(module.__name__.rpartition(".")[2], torch.nn.Flatten(), SIZES, options).criterion
    pair = [torch.from_numpy(z).requires_grad_() for z in views]
    bases = []

    def remembered(z, ridge):
        bases.append(nearest_orthonormal_basis(z, ridge=ridge))
        return bases[-1]

    monkeypatch.setattr(module, "nearest_orthonormal_basis", remembered)
    gradients = torch.autograd.grad(criterion(*pair), pair)
    assert len(bases) == 2

    def with_constant_bases(z_a, z_b):
        given = iter(bases)
        monkeypatch.setattr(module, "nearest_orthonormal_basis", lambda z, ridge: next(given))
        return criterion(z_a, z_b)

    assert torch.autograd.gradcheck(with_constant_bases, pair)
    for actual, expected in zip(gradients, torch.autograd.grad(with_constant_bases(*pair), pair), strict=True):
        torch.testing.assert_close(actual, expected)
        assert expected.abs().max() > 1e-3


def test_without_batch_norm_only_the_projector_differs(views):
    tensors = [torch.from_numpy(z) for z in views]
    assert loss_of("arb_ablation", views, ablation="no_batch_norm") == ARBLoss()(*tensors).item()
    for ablation in ABLATIONS:
        method = build_method("arb_ablation", torch.nn.Flatten(), SIZES, {"ablation": ablation})
        has = any(isinstance(part, torch.nn.BatchNorm1d) for part in method.projector.modules())
        assert has == (ablation not in ("no_batch_norm", "no_scaling"))
        widths = [(part.in_features, part.out_features) for part in method.projector.modules() if hasattr(part, "in_features")]
        assert widths == [(6, 5), (5, 5), (5, 4)]


def test_the_release_divides_by_the_dimension(views):
    def misfit(z, other):
        return ((1 - 16 / 4 * (z * base(other)).sum(0)) ** 2).sum()

    assert loss_of("arb_release", views, formula="divisor") == pytest.approx(both(views, misfit), abs=1e-9)


def test_the_release_shrinks_the_covariance(views):
    """Literally: standard deviation and covariance with N - 1, the products over the batch divided by N (R3)."""

    def misfit(z, other):
        covariance = other.T @ other / 15
        values, vectors = np.linalg.eigh((1 - 1e-4) * covariance + 1e-4 * np.eye(4))
        return ((1 - (z * (other @ (vectors / np.sqrt(values + 1e-5)) @ vectors.T)).sum(0) / 16) ** 2).sum()

    def prepare(z):
        return (z - z.mean(0)) / z.std(0, ddof=1)

    assert loss_of("arb_release", views, formula="shrinkage") == pytest.approx(both(views, misfit, prepare), abs=1e-9)


def test_the_release_takes_bases_of_shards(views):
    """Literally: scaling by the batch, base of a shard from its covariance, products over a shard divided by the batch (R5)."""

    def misfit(z, other):
        losses = []
        for rows in np.split(np.arange(16), 4):
            w = other[rows]
            values, vectors = np.linalg.eigh(w.T @ w / 4 + RIDGE * np.eye(4))
            losses.append(((1 - (z[rows] * (w @ (vectors / np.sqrt(values)) @ vectors.T)).sum(0) / 16) ** 2).sum())
        return np.mean(losses)

    def prepare(z):
        return (z - z.mean(0)) / z.std(0)

    measured = loss_of("arb_release", views, formula="shards", shard=4)
    assert measured == pytest.approx(both(views, misfit, prepare), abs=1e-9)


def test_one_shard_is_the_paper_and_no_shard_is_half(views):
    whole = loss_of("arb_release", views, formula="shards", shard=16)
    assert whole == pytest.approx(ARBLoss()(*map(torch.from_numpy, views)).item(), abs=1e-9)
    with pytest.raises(ValueError, match="shard 5 does not divide the batch of 16"):
        loss_of("arb_release", views, formula="shards", shard=5)


def test_no_gradient_goes_through_a_base(views):
    """At a raw column the gradient is that with the other view's base as a constant."""
    variants = [("arb_ablation", {"ablation": name}) for name in ABLATIONS]
    variants += [("arb_release", {"formula": name}) for name in FORMULAS]
    for name, options in variants:
        a, b = (torch.from_numpy(z).requires_grad_() for z in views)
        method = build_method(name, torch.nn.Flatten(), SIZES, options)
        method.criterion(a, b.detach()).backward()
        alone = a.grad.clone()
        a.grad = None
        method.criterion(a, b).backward()
        assert torch.equal(a.grad, alone)


@pytest.mark.parametrize(("name", "options"), [("arb_ablation", {"ablation": "x"}), ("arb_release", {"formula": "x"})])
def test_unknown_variants_are_refused(name, options):
    with pytest.raises(UserError, match=r"must be one of .*, got 'x'"):
        build_method(name, torch.nn.Flatten(), SIZES, options)


def test_a_trace_is_what_figure_3_draws(views):
    traced = trace(*map(torch.from_numpy, views))
    a, b = map(scaled, views)
    assert traced["embedding_distance"] == pytest.approx(((a - b) ** 2).sum(), abs=1e-9)
    assert traced["base_distance"] == pytest.approx(((base(a) - base(b)) ** 2).sum(), abs=1e-9)
    assert traced["embedding_std"] == pytest.approx(np.mean([z.std(0).mean() for z in views]), abs=1e-9)
    loss = DirectAlignmentLoss()(*map(torch.from_numpy, views)).item()
    assert loss == pytest.approx(2 * ((1 - (a * b).sum(0)) ** 2).sum(), abs=1e-9)
