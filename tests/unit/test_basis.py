"""The nearest orthonormal basis against oracles, on full-rank, graded, collapsed and rank-deficient matrices."""

import itertools
import math
import warnings

import flint
import numpy as np
import pytest
import scipy.linalg
import torch
from arb_core import basis as basis_module
from arb_core import nearest_orthonormal_basis, standard_scale
from arb_core.basis import _by_gram, solve_basis

# A route that may be off by more than its tolerance is replaced, and the tests below compare with what was to be found.
pytestmark = pytest.mark.filterwarnings("ignore:solver .* may be off by:RuntimeWarning")

DTYPES = (torch.float32, torch.float64)
WITHOUT_RIDGE = ("auto", "gram", "svd")
SOLVERS = (*WITHOUT_RIDGE, "products")
RIDGES = (0.0, 1e-8, 1e-4, 1.0)
SHAPES = ((1, 1), (1, 6), (6, 1), (2, 2), (3, 11), (8, 8), (12, 5), (17, 40), (40, 17))
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

SPECTRA = {
    "well conditioned": lambda k: np.linspace(2.0, 1.0, k),
    "repeated": lambda k: np.full(k, 3.0),
    "two clusters": lambda k: np.where(np.arange(k) < (k + 1) // 2, 2.0, 0.5),
    "graded to 1e-3": lambda k: np.geomspace(1.0, 1e-3, k),
    "graded to 1e-6": lambda k: np.geomspace(1.0, 1e-6, k),
    "nearly collapsed": lambda k: np.where(np.arange(k) < 1, 1.0, 1e-5),
}


def with_spectrum(shape, s, seed=0):
    """U diag(s) V^T with random orthonormal U and V."""
    rng = np.random.default_rng([seed, *shape])
    k = min(shape)
    u = np.linalg.qr(rng.standard_normal((shape[0], k)))[0]
    v = np.linalg.qr(rng.standard_normal((shape[1], k)))[0]
    return (u * s) @ v.T


def of_rank(shape, rank, seed=0):
    """A matrix of small integers, so that its rank is exact in every dtype."""
    rng = np.random.default_rng([seed, *shape])
    return (rng.integers(-3, 4, (shape[0], rank)) @ rng.integers(-3, 4, (rank, shape[1]))).astype(float)


def reference(z, ridge=0.0):
    """The definition by the singular value decomposition in float64; zero means zero to the rounding of z's dtype."""
    z = z.numpy()
    u, s, vt = np.linalg.svd(z.astype(np.float64), full_matrices=False)
    if ridge > 0:
        return (u * (s / np.sqrt(s**2 + ridge))) @ vt
    return (u * (s > max(z.shape) * np.finfo(z.dtype).eps * s.max())) @ vt


def assert_near(actual, expected, dtype):
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=TOLERANCE[dtype])


def has_a_route(solver, ridge):
    return ridge > 0 or solver in WITHOUT_RIDGE


FULL_RANK_CASES = [case for case in itertools.product(DTYPES, SOLVERS, SPECTRA, RIDGES) if has_a_route(case[1], case[3])]


@pytest.mark.parametrize(("dtype", "solver", "spectrum", "ridge"), FULL_RANK_CASES)
def test_matches_the_decomposition_over_spectra_and_shapes(dtype, solver, spectrum, ridge):
    for shape in SHAPES:
        z = torch.from_numpy(with_spectrum(shape, SPECTRA[spectrum](min(shape)))).to(dtype)
        base = nearest_orthonormal_basis(z, ridge, solver)
        assert base.dtype == dtype
        assert base.shape == z.shape
        assert_near(base, reference(z, ridge), dtype)
        if dtype == torch.float32 and ridge >= 1e-4:
            assert solve_basis(z, ridge, solver).replaced == 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(64, 128), (256, 512), (512, 64), (128, 128), (256, 1024)])
def test_ordinary_embeddings_keep_the_base_of_their_route(shape, solver, recwarn):
    """What training has, also with a ridge far below the paper's, and without: no warning, and nothing replaced."""
    scaled = standard_scale(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    for ridge in (1e-2, 1e-4, 1e-8, 0.0):
        if (ridge or solver in WITHOUT_RIDGE) and not (solver == "products" and ridge < 1e-4):
            found = solve_basis(scaled, ridge, solver)
            assert (found.route, found.replaced) == ("gram" if solver == "auto" else solver, 0)
            assert 5.9e-8 < found.error < (1e-6 if ridge else 5e-6)
    assert not recwarn.list


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spectrum", ["graded to 1e-6", "nearly collapsed"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 11), (8, 8), (12, 5), (17, 40)])
def test_gram_errs_by_no_more_than_its_squared_condition_number_says(shape, spectrum, dtype):
    s = SPECTRA[spectrum](min(shape))
    z = torch.from_numpy(with_spectrum(shape, s)).to(dtype)
    rank_tolerance = max(shape) * torch.finfo(dtype).eps
    base = _by_gram(z.double(), torch.zeros((), dtype=torch.float64), rank_tolerance, "gram")[0]  # and not what replaces it
    if dtype == torch.float64 and base.isnan().all():
        return  # a direction was lost, and that is told
    error = np.abs(base.to(dtype).numpy() - reference(z)).max()
    assert error < torch.finfo(dtype).eps + 4 * torch.finfo(torch.float64).eps / s.min() ** 2


DEFICIENT_CASES = [case for case in itertools.product(DTYPES, SOLVERS, RIDGES) if has_a_route(*case[1:])]


@pytest.mark.parametrize(("dtype", "solver", "ridge"), DEFICIENT_CASES)
@pytest.mark.parametrize(("shape", "rank"), [((9, 6), 3), ((6, 9), 3), ((7, 7), 6), ((5, 8), 1), ((30, 20), 11)])
def test_exactly_rank_deficient_input_matches_the_decomposition(dtype, solver, ridge, shape, rank):
    z = torch.from_numpy(of_rank(shape, rank)).to(dtype)
    assert np.linalg.matrix_rank(z.numpy()) == rank
    assert_near(nearest_orthonormal_basis(z, ridge, solver), reference(z, ridge), dtype)


ALL_ROUTES = [route for route in itertools.product(SOLVERS, RIDGES) if has_a_route(*route)]
ROUTES = [(solver, ridge) for solver, ridge in ALL_ROUTES if ridge in (0.0, 1e-4)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("solver", "ridge"), ALL_ROUTES)
def test_zero_matrix_has_the_base_zero(dtype, solver, ridge):
    z = torch.zeros(2, 4, 3, dtype=dtype)
    assert torch.equal(nearest_orthonormal_basis(z, ridge, solver), z)


@pytest.mark.parametrize("solver", WITHOUT_RIDGE)
@pytest.mark.parametrize("shape", [(1, 1), (6, 1), (8, 8), (12, 5), (40, 17)])
def test_equals_the_polar_factor_of_scipy_for_full_column_rank(shape, solver):
    z = with_spectrum(shape, np.linspace(4.0, 0.3, min(shape)))
    assert_near(nearest_orthonormal_basis(torch.from_numpy(z), solver=solver), scipy.linalg.polar(z)[0], torch.float64)


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (12, 5), (40, 17)])
def test_equals_the_orthogonal_procrustes_solution_of_scipy(shape):
    n, d = shape
    z = with_spectrum(shape, np.linspace(4.0, 0.3, d))
    base = nearest_orthonormal_basis(torch.from_numpy(z))
    q, r = np.linalg.qr(z)
    by_qr = q @ scipy.linalg.orthogonal_procrustes(np.eye(d), r)[0]
    padded = np.hstack([z, np.zeros((n, n - d))])
    by_padding = scipy.linalg.orthogonal_procrustes(np.eye(n), padded)[0][:, :d]
    assert_near(base, by_qr, torch.float64)
    assert_near(base, by_padding, torch.float64)


@pytest.mark.parametrize("ridge", [1e-4, 1.0])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(3, 11), (8, 8), (12, 5)])
def test_both_sides_give_the_same_base(shape, solver, ridge):
    z = with_spectrum(shape, np.linspace(4.0, 0.3, min(shape)))
    base = nearest_orthonormal_basis(torch.from_numpy(z), ridge, solver)

    def inverse_root(gram):
        values, vectors = np.linalg.eigh(gram + ridge * np.eye(len(gram)))
        return (vectors / np.sqrt(values)) @ vectors.T

    assert_near(base, z @ inverse_root(z.T @ z), torch.float64)
    assert_near(base, inverse_root(z @ z.T) @ z, torch.float64)
    assert_near(nearest_orthonormal_basis(torch.from_numpy(z.T.copy()), ridge, solver).T, base.numpy(), torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "rank"), [((6, 9), 6), ((9, 6), 4), ((7, 7), 6)])
def test_rank_deficient_base_is_the_partial_isometry_and_not_orthonormal(dtype, shape, rank):
    z = torch.from_numpy(of_rank(shape, rank)).to(dtype)
    base = nearest_orthonormal_basis(z)
    on_row_space = np.linalg.pinv(z.double().numpy()) @ z.double().numpy()
    assert_near(base.mT @ base, on_row_space, dtype)
    assert abs(np.trace(on_row_space) - rank) < 1e-9 < shape[1] - rank


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_rank_deficient_base_is_the_limit_of_equation_9(shape):
    z = torch.from_numpy(of_rank(shape, 4))
    s_min = torch.linalg.svdvals(z)[3].item()
    limit = nearest_orthonormal_basis(z)
    gaps = [torch.linalg.matrix_norm(nearest_orthonormal_basis(z, r) - limit, 2).item() for r in (1.0, 1e-2, 1e-4, 1e-6)]
    # The gap of one direction is 1 - s / sqrt(s^2 + r), which is r / (2 s^2) for small r.
    np.testing.assert_allclose(gaps, [1 - s_min / math.sqrt(s_min**2 + r) for r in (1.0, 1e-2, 1e-4, 1e-6)], atol=1e-12)
    assert gaps == sorted(gaps, reverse=True)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_gram_matrix_of_a_base_with_ridge_has_shrunk_eigenvalues(shape, solver):
    s, ridge = np.geomspace(3.0, 0.1, 5), 0.05
    base = nearest_orthonormal_basis(torch.from_numpy(with_spectrum(shape, s)), ridge, solver)
    eigenvalues = torch.linalg.eigvalsh(base.mT @ base).flip(0)[:5]
    assert_near(eigenvalues, s**2 / (s**2 + ridge), torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("solver", "ridge"), [*((solver, ridge) for solver in WITHOUT_RIDGE for ridge in (0.0, 1e-2)), ("products", 1e-2)]
)
@pytest.mark.parametrize("lead", [(3,), (2, 3), (2, 1, 2)])
def test_batch_equals_one_by_one_also_where_sizes_differ(dtype, solver, ridge, lead):
    count = math.prod(lead)
    each = [torch.from_numpy(10.0**i * with_spectrum((7, 4), np.linspace(2, 1, 4), seed=i)).to(dtype) for i in range(count)]
    base = nearest_orthonormal_basis(torch.stack(each).unflatten(0, lead), ridge, solver)
    assert base.shape == (*lead, 7, 4)
    # "products" takes the polynomials that serve the whole batch, and so others for each alone
    atol = 1e-6 if dtype == torch.float32 else 1e-12 if solver == "products" else 1e-13
    one_by_one = torch.stack([nearest_orthonormal_basis(z, ridge, solver) for z in each]).unflatten(0, lead)
    torch.testing.assert_close(base, one_by_one, rtol=0, atol=atol)


@pytest.mark.parametrize("solver", WITHOUT_RIDGE)
@pytest.mark.parametrize("factor", [1e15, 1e-15, -3.0])
@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_scale_of_the_input_does_not_matter_without_a_ridge(shape, factor, solver):
    z = torch.from_numpy(with_spectrum(shape, np.geomspace(2.0, 0.05, 5))).float()
    scaled = nearest_orthonormal_basis(z * factor, solver=solver)
    assert_near(scaled, math.copysign(1, factor) * reference(z), torch.float32)


@pytest.mark.parametrize("solver", WITHOUT_RIDGE)
def test_huge_and_tiny_matrices_share_a_batch(solver):
    z = torch.from_numpy(with_spectrum((6, 4), np.linspace(2, 1, 4)))
    base = nearest_orthonormal_basis(torch.stack([z * 1e150, z, z * 1e-150]), solver=solver)
    assert_near(base, np.stack([reference(z)] * 3), torch.float64)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [1e15, 1e-15])
def test_ridge_is_in_units_of_the_input_squared(factor, solver):
    z = torch.from_numpy(with_spectrum((6, 4), np.geomspace(2.0, 0.05, 4))).float()
    assert_near(nearest_orthonormal_basis(z * factor, 0.1 * factor**2, solver), reference(z, 0.1), torch.float32)


@pytest.mark.parametrize(("solver", "ridge"), ROUTES)
def test_result_is_outside_the_graph_and_the_input_is_not_modified(solver, ridge):
    z = torch.from_numpy(with_spectrum((6, 4), np.linspace(2, 1, 4))).requires_grad_()
    before = z.detach().clone()
    base = nearest_orthonormal_basis(z * 1.0, ridge, solver)
    assert not base.requires_grad
    assert base.grad_fn is None
    assert torch.equal(z.detach(), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_autocast_changes_no_byte(shape, solver, dtype):
    z = torch.from_numpy(with_spectrum(shape, np.linspace(2, 1, 16))).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        assert (z.float() @ z.float().mT).dtype == torch.bfloat16
        under_autocast = nearest_orthonormal_basis(z, 1e-4, solver)
        assert torch.is_autocast_enabled("cpu")
    assert under_autocast.dtype == dtype
    assert torch.equal(under_autocast, nearest_orthonormal_basis(z, 1e-4, solver))


@pytest.mark.parametrize(("solver", "ridge"), ROUTES)
@pytest.mark.parametrize("shape", [(8, 20_000), (20_000, 8)])
def test_no_temporary_is_larger_than_the_input(shape, solver, ridge, largest_tensor):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with largest_tensor() as largest:
        nearest_orthonormal_basis(z, ridge, solver)
    assert largest.elements == z.numel()


def test_the_larger_temporary_of_the_other_side_would_be_seen(largest_tensor):
    z = torch.ones(2, 50)
    with largest_tensor() as largest:
        z.mT @ z
    assert largest.elements == 2500


def test_the_route_is_told():
    z = torch.randn(8, 20, generator=torch.Generator().manual_seed(0))
    for solver, ridge, route in [
        ("auto", 1e-4, "gram"),
        ("auto", 0.0, "gram"),
        ("products", 1e-4, "products"),
        ("svd", 1e-4, "svd"),
    ]:
        solution = solve_basis(z, ridge, solver)
        assert (solution.route, solution.replaced) == (route, 0)
        assert torch.equal(solution.basis, nearest_orthonormal_basis(z, ridge, solver))
        assert 5e-8 < solution.error < 1e-7
    assert solve_basis(z.double(), 1e-4).route == solve_basis(z.double()).route == "svd"


@pytest.mark.parametrize("solver", ["gram", "products"])
def test_the_error_told_is_no_less_than_that_of_the_base(solver):
    """Over condition numbers that the tolerances allow and those that they do not."""
    seen = 0
    for shape, spectrum, ridge in itertools.product([(17, 40), (40, 17), (64, 64)], SPECTRA, [1e-12, 1e-8, 1e-4]):
        z = torch.from_numpy(with_spectrum(shape, SPECTRA[spectrum](min(shape))))
        basis, told = _by_gram(z, torch.tensor(ridge, dtype=torch.float64), 1e-12, solver)
        exact = torch.from_numpy(reference(z, ridge))
        error = (torch.linalg.matrix_norm(basis - exact) / torch.linalg.matrix_norm(exact)).item()
        assert error < told.item() + 1e-14
        seen += bool(1e-9 < told < 1e-6)
    assert seen > 3


@pytest.mark.parametrize("solver", ["gram", "products"])
def test_a_result_that_misses_its_tolerance_is_replaced_and_that_is_told(solver, monkeypatch):
    z = torch.randn(8, 20, generator=torch.Generator().manual_seed(0))
    exact = nearest_orthonormal_basis(z, 1e-4, "svd")
    name = {"gram": "by_eigenvalues", "products": "by_products"}[solver]
    root = getattr(basis_module, name)
    monkeypatch.setattr(basis_module, name, lambda *arguments: (root(*arguments)[0] * (1 + 1e-5), root(*arguments)[1]))
    with pytest.warns(RuntimeWarning, match=f"solver '{solver}' may be off by up to 1.0e-05") as warned:
        nearest_orthonormal_basis(z, 1e-4, solver)
    assert warned[0].filename == __file__
    solution = solve_basis(z, 1e-4, solver)
    assert (solution.route, solution.replaced) == (solver, 1)
    assert solution.error < 1e-7
    assert torch.equal(solution.basis, exact)
    monkeypatch.setattr(basis_module, name, lambda *arguments: (root(*arguments)[0] * math.nan, root(*arguments)[1]))
    with pytest.warns(RuntimeWarning, match="may be off by an unknown part"):
        assert torch.equal(nearest_orthonormal_basis(z, 1e-4, solver), exact)


def test_auto_replaces_without_a_warning(recwarn):
    z = torch.from_numpy(with_spectrum((8, 20), np.geomspace(1.0, 1e-7, 8))).float()
    solution = solve_basis(z, 1e-16)
    assert (solution.route, solution.replaced) == ("gram", 1)
    assert not recwarn.list
    assert_near(solution.basis, reference(z, 1e-16), torch.float32)


def test_what_is_replaced_is_replaced_alone_of_its_batch():
    """Two matrices of six are nearly collapsed; the others keep what they have alone."""
    spectra = [np.geomspace(1.0, 1e-9 if i in (1, 5) else 1e-1, 8) for i in range(6)]
    z = torch.stack([torch.from_numpy(with_spectrum((8, 20), s)) for s in spectra]).unflatten(0, (2, 3))
    with pytest.warns(RuntimeWarning, match="'gram' may be off by .* for 2 matrices of 6; the base returned is that of 'svd'"):
        found = solve_basis(z, 1e-18, "gram")
    assert (found.route, found.replaced) == ("gram", 2)
    for i, (base, matrix) in enumerate(zip(found.basis.flatten(0, 1), z.flatten(0, 1), strict=True)):
        assert torch.equal(base, nearest_orthonormal_basis(matrix, 1e-18, "svd" if i in (1, 5) else "gram"))


@pytest.mark.parametrize("wrong", [lambda x: -x, lambda x: x @ reflection(8)])
def test_another_root_of_the_same_equation_is_replaced(wrong, monkeypatch):
    """X -> -X, or one direction of X turned round, satisfies X (G + r I) X = I as well; only the positive root is meant."""
    z = torch.randn(8, 20, generator=torch.Generator().manual_seed(0))
    exact = nearest_orthonormal_basis(z, 1e-4, "svd")
    root = basis_module.by_eigenvalues
    monkeypatch.setattr(basis_module, "by_eigenvalues", lambda gram, *others: turned(gram, *root(gram, *others), wrong))
    found = solve_basis(z, 1e-4)
    assert found.replaced == 1
    assert torch.equal(found.basis, exact)


def reflection(k):
    """diag(1, ..., 1, -1)."""
    return torch.eye(k, dtype=torch.float64) - 2 * torch.diag(torch.arange(k) == k - 1).double()


def turned(gram, root, slope, how):
    """A root after `how` is applied in the basis of the eigenvectors of G, where it is diagonal."""
    v = torch.linalg.eigh(gram)[1]
    return v @ how(v.mT @ root @ v) @ v.mT, slope


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (40, 5), (5, 40)])
@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1), (1, 2)])
def test_wrong_factors_of_the_singular_value_decomposition_are_an_error(shape, which, monkeypatch):
    """Also two whose product is right, so that only their orthogonality tells."""
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    svd = torch.linalg.svd

    def wrong(matrix, full_matrices):
        factors = list(svd(matrix, full_matrices=full_matrices))
        for i, factor in zip(which, (1 + 1e-9, 1 / (1 + 1e-9)), strict=False):
            factors[i] = factors[i] * factor
        return factors

    monkeypatch.setattr(torch.linalg, "svd", wrong)
    with pytest.raises(torch.linalg.LinAlgError, match=r"of \d+ x 5 \(.*\) is wrong by .*e-(09|10), relative"):
        nearest_orthonormal_basis(z)


def exact_base(z, ridge):
    """Z (Z^T Z + r I)^(-1/2) of a float64 matrix in 600 bits, by the coupled Newton iteration."""
    n, d = z.shape
    if n < d:
        return exact_base(z.T, ridge).T
    with flint.ctx.workprec(600):
        matrix, one = flint.arb_mat(z.tolist()), flint.arb_mat(np.eye(d).tolist())
        y, x = matrix.transpose() * matrix + one * flint.arb(ridge), one
        for _ in range(120):
            y, x = ((y + x.inv()) * 0.5).mid(), ((x + y.inv()) * 0.5).mid()
        base = matrix * x
        assert all(
            abs(float(entry)) < 1e-60
            for entry in (x * (matrix.transpose() * matrix + one * flint.arb(ridge)) * x - one).entries()
        )
        return np.array([float(entry) for entry in base.entries()]).reshape(n, d)


@pytest.mark.parametrize("ridge", [0.0, 1e-26, 1e-16, 1e-4])
@pytest.mark.parametrize("shape", [(8, 12), (12, 8), (40, 6), (8, 8)])
def test_the_error_told_of_the_decomposition_is_above_that_of_the_base(shape, ridge):
    """And below what an input that is off by 1000 roundings could do, so that it says something."""
    for smallest in (1e-1, 1e-6, 1e-11):
        s = np.geomspace(1.0, smallest, min(shape))
        z = with_spectrum(shape, s)
        found = solve_basis(torch.from_numpy(z), ridge)
        exact = exact_base(z, ridge)
        assert np.linalg.norm(found.basis.numpy() - exact) <= found.error * np.linalg.norm(exact)
        slope = 1.1e-16 * np.linalg.norm(z) / math.sqrt(s.min() ** 2 + ridge) / np.linalg.norm(exact)
        assert found.error < 1000 * slope + 2e-16


@pytest.mark.parametrize(
    ("n", "c", "eps", "ridge"),
    [
        (4096, 0.9996002912521362, 0.002804836827172518, 4.096e-10),
        (4096, 0.9991044998168945, 0.0026532483115107035, 4.096e-10),
        (16384, 0.9934369921684265, 0.007554003309839491, 1.6384e-09),
    ],
)
@pytest.mark.parametrize("solver", ["auto", "products"])
def test_sums_of_equal_products_all_round_the_same_way(n, c, eps, ridge, solver):
    """Two columns of equal entries but for one: the rounding of their Gram matrix grows with N, not with its root."""
    z = torch.tensor([1.0, c]).expand(n, 2).clone()
    z[1, 1] += eps
    exact = exact_base(z.double().numpy(), ridge)
    found = solve_basis(z, ridge, solver)
    assert found.replaced == 1
    assert np.linalg.norm(found.basis.double().numpy() - exact) < 1e-6 * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ridge", [0.0, 1e-4])
def test_long_columns_of_equal_entries_have_a_base(dtype, ridge):
    """Whose decomposition loses a rounding for each of its rows, far more than that of other columns."""
    for z in (
        torch.tensor([[1.0, 0.3], [0.0, 0.8]], dtype=dtype).repeat_interleave(100_000, 0),
        torch.full((100_000, 1), 0.7, dtype=dtype),
        torch.tensor([1.0, 0.7], dtype=dtype)
        .expand(50_000, 2)
        .index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(0.999).to(dtype)),
    ):
        for solver in ("auto", "svd"):
            base = nearest_orthonormal_basis(z, ridge, solver)
            if ridge == 0 and np.linalg.matrix_rank(z) == z.shape[1]:  # the last one is of rank 1 to float32
                assert_near(base.double().mT @ base.double(), np.eye(z.shape[1]), dtype)


def test_products_need_a_ridge():
    with pytest.raises(ValueError, match='solver "products" needs a ridge, got ridge=0; take "gram" or "svd"'):
        nearest_orthonormal_basis(torch.eye(3), solver="products")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("solver", WITHOUT_RIDGE)
def test_nan_or_infinity_is_refused_and_counted(bad, solver):
    z = torch.ones(2, 4, 3)
    z[0, 1, 2] = z[1, 0, 0] = bad
    with pytest.raises(ValueError, match=r"2 NaN or infinite value\(s\) of 24"):
        nearest_orthonormal_basis(z, solver=solver)


@pytest.mark.parametrize("ridge", [-1e-9, float("nan"), float("inf"), 10**400, None, "1e-4"])
def test_bad_ridge_is_refused(ridge):
    with pytest.raises(ValueError, match=f"ridge must be a finite number >= 0, got {ridge!r}"):
        nearest_orthonormal_basis(torch.eye(3), ridge)


@pytest.mark.parametrize("solver", ["qr", "", "SVD", None])
def test_unknown_solver_is_refused(solver):
    with pytest.raises(ValueError, match=f"solver must be one of auto, gram, products, svd, got {solver!r}"):
        nearest_orthonormal_basis(torch.eye(3), solver=solver)


@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        ([[1.0]], TypeError, "got list"),
        (np.eye(2), TypeError, "got ndarray"),
        (torch.eye(2, dtype=torch.int64), TypeError, "got torch.int64"),
        (torch.eye(2, dtype=torch.float16), TypeError, "got torch.float16"),
        (torch.eye(2, dtype=torch.complex128), TypeError, "got torch.complex128"),
        (torch.eye(2).to_sparse(), TypeError, "must be a dense tensor, got torch.sparse_coo"),
        (torch.ones(3), ValueError, r"got \(3,\)"),
        (torch.ones(0, 3), ValueError, r"not be empty, got shape \(0, 3\)"),
        (torch.ones(2, 3, 0), ValueError, r"not be empty, got shape \(2, 3, 0\)"),
    ],
)
def test_bad_matrix_is_refused(z, error, message):
    with pytest.raises(error, match=message):
        nearest_orthonormal_basis(z)


@pytest.mark.parametrize("solver", ["auto", "gram", "svd"])
@pytest.mark.parametrize("ridge", [0.0, 1e-8, 1e-4, 1.0])
@pytest.mark.parametrize("shape", [(12, 8), (8, 12), (9, 9)])
def test_rank_deficient_up_to_rounding_matches_the_decomposition(shape, ridge, solver):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        k = min(shape)
        u = np.linalg.qr(rng.standard_normal((shape[0], k)))[0]
        v = np.linalg.qr(rng.standard_normal((shape[1], k)))[0]
        z = torch.from_numpy((u * (np.arange(k) < k // 2)) @ v.T).float()
        u, s, vt = np.linalg.svd(z.double().numpy(), full_matrices=False)
        weight = s / np.sqrt(s**2 + ridge) if ridge > 0 else s > max(shape) * np.finfo(np.float32).eps * s[0]
        base = nearest_orthonormal_basis(z, ridge, solver)
        np.testing.assert_allclose(base.numpy(), (u * weight) @ vt, rtol=0, atol=1e-5)


# --- what is told of the error ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(4096, 2), (10_000, 2), (4096, 16)])
def test_rounding_of_long_sums_is_told_and_replaced(n, k):
    """Columns that are nearly one, and a ridge far below what their Gram matrix resolves."""
    for seed in range(5):
        column = torch.randn(n, 1, generator=torch.Generator().manual_seed(seed)).abs() + 3
        noise = torch.randn(n, k, generator=torch.Generator().manual_seed(100 + seed))
        z = column * (1 + 3e-6 * noise)
        ridge = 1e-11 * float(z.double().square().sum())
        found, exact = solve_basis(z, ridge), solve_basis(z, ridge, "svd")
        off = float(torch.linalg.matrix_norm(found.basis - exact.basis) / torch.linalg.matrix_norm(exact.basis))
        assert off <= 1e-5
        assert off <= found.error + 1e-7  # and the rounding of the other


def test_without_a_ridge_the_gram_matrix_is_not_trusted_near_collapse():
    """Whether it loses the direction of the noise or finds a wrong one: the base returned is that of the decomposition."""
    replaced = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        column = torch.randn(3, 1, generator=generator, dtype=torch.float64)
        z = torch.cat([column, column + 1e-7 * torch.randn(3, 1, generator=generator, dtype=torch.float64)], dim=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = solve_basis(z, 0.0, "gram")
        replaced += found.replaced
        assert torch.allclose(found.basis, solve_basis(z, 0.0, "svd").basis, rtol=0, atol=1e-9)
    assert replaced > 190


@pytest.mark.parametrize("scale", [1e-150, 1e-155, 1e-160, 1e-200, 1e-300])
@pytest.mark.parametrize("solver", ["auto", "gram", "products", "svd"])
def test_what_is_far_below_the_ridge_is_divided_by_its_root(scale, solver):
    z = torch.tensor([[1, 0.2], [0.3, 0.9], [0.1, -0.5]], dtype=torch.float64) * scale
    expected = z / 1e-2  # s / sqrt(s^2 + r), for s far below sqrt(r)
    found = solve_basis(z, 1e-4, solver)
    assert torch.allclose(found.basis, expected, rtol=1e-15, atol=0)
    assert found.replaced == 0
    assert 1e-16 < found.error < 1e-15
    near = torch.tensor([[1, 0.2], [0.3, 0.9], [0.1, -0.5]], dtype=torch.float64)
    both = solve_basis(torch.stack([near, z]), 1e-4, solver)
    assert both.route == found.route
    assert torch.equal(both.basis[0], solve_basis(near, 1e-4, solver).basis)


@pytest.mark.parametrize(
    ("size", "ridge"),
    [(1e-155, 1e-320), (7e-155, 2.3e-308), (5e-155, 1e-305), (5e-155, 1e-300), (1e-162, 5e-324), (1e-100, 1.0), (1e-13, 1.0)],
)
@pytest.mark.parametrize("solver", ["auto", "products"])
def test_a_ridge_and_an_input_at_the_ends_of_float64(size, ridge, solver):
    expected = 1 / math.sqrt(1 + (math.sqrt(ridge) / size) ** 2) if math.sqrt(ridge) / size < 1e150 else size / math.sqrt(ridge)
    found = solve_basis(torch.eye(2, dtype=torch.float64) * size, ridge, solver)
    assert found.basis[0, 0].item() == pytest.approx(expected, rel=1e-9)
    assert found.replaced == 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("size", "ridge"), [(1e-30, 1e300), (1e-30, 1e30), (1.0, 1e200), (1e-3, 1e20)])
def test_a_ridge_far_above_float32_input(size, ridge, solver, recwarn):
    z = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)) * size
    found = solve_basis(z, ridge, solver)
    assert torch.allclose(found.basis, (z.double() / math.sqrt(ridge)).float(), rtol=1e-6, atol=0)
    assert not recwarn.list


def test_tiny_input_without_a_ridge_has_the_base_of_its_multiple():
    z = torch.tensor([[1, 0.2], [0.3, 0.9], [0.1, -0.5]], dtype=torch.float64)
    assert torch.allclose(solve_basis(z * 1e-200).basis, solve_basis(z).basis, rtol=0, atol=1e-14)
