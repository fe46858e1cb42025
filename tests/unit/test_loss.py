"""The ARB loss against a loop-based reading of Eq. 8, where its gradient flows, and its errors."""

import copy
import itertools
import re

import numpy as np
import pytest
import torch
from arb_core import ARBLoss, DirectAlignmentLoss, standard_scale
from lightly.loss import BarlowTwinsLoss

SHAPES = ((4, 12), (8, 8), (12, 4))  # with two groups, too, fewer rows than columns
SETTINGS = [
    {"level": level, "reading": reading, "groups": groups, "ridge": ridge}
    for level, reading, groups, ridge in itertools.product(
        ("feature", "instance"), ("diagonal", "frobenius"), (1, 2), (0.0, 1e-4)
    )
]


def views(shape=(12, 6), seed=0, dtype=torch.float64):
    """Two correlated views with unequal column means and spreads."""
    generator = torch.Generator().manual_seed(seed)
    common, noise_a, noise_b = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    spread = torch.linspace(0.5, 3.0, shape[1], dtype=torch.float64)
    return ((common + 0.5 * noise_a) * spread + 2).to(dtype), ((common + 0.5 * noise_b) * spread - 1).to(dtype)


def scaled_by_hand(z, eps):
    out = np.empty_like(z)
    for j in range(z.shape[1]):
        centred = z[:, j] - z[:, j].mean()
        out[:, j] = centred / np.sqrt(len(z) * ((centred**2).mean() + eps**2))
    return out


def base_by_hand(z, ridge):
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    nonzero = s > max(z.shape) * np.finfo(np.float64).eps * s[0]
    return (u * (s / np.sqrt(s**2 + ridge) if ridge > 0 else nonzero)) @ vt


def parts_by_hand(z_a, z_b, level="feature", groups=1, ridge=1e-4, eps=1e-6):
    """Yield the scaled columns and the base of each group, for both views, as numpy arrays."""
    a, b = (z.detach().double().numpy() for z in (z_a, z_b))
    if level == "instance":
        a, b = a.T, b.T
    a, b = scaled_by_hand(a, eps), scaled_by_hand(b, eps)
    width = a.shape[1] // groups
    for g in range(groups):
        columns = slice(g * width, (g + 1) * width)
        yield a[:, columns], b[:, columns], base_by_hand(a[:, columns], ridge), base_by_hand(b[:, columns], ridge)


def loss_by_hand(z_a, z_b, reading="diagonal", **settings):
    """Equation 8, one product of two columns at a time."""
    total = 0.0
    for a, b, base_a, base_b in parts_by_hand(z_a, z_b, **settings):
        for z, base in ((a, base_b), (b, base_a)):
            for i in range(z.shape[1]):
                for j in range(z.shape[1]):
                    if i == j:
                        total += (1 - z[:, i] @ base[:, j]) ** 2
                    elif reading == "frobenius":
                        total += (z[:, i] @ base[:, j]) ** 2
    return total


def loss_with_constant_bases(z_a, z_b, bases, level="feature", groups=1, reading="diagonal", ridge=None, eps=1e-6):
    """The same with the bases given, differentiable in z_a and z_b."""
    if level == "instance":
        z_a, z_b = z_a.T, z_b.T
    total = 0.0
    chunks = zip(*(standard_scale(z, eps=eps).chunk(groups, dim=1) for z in (z_a, z_b)), bases, strict=True)
    for a, b, (base_a, base_b) in chunks:
        for z, base in ((a, base_b), (b, base_a)):
            misfit = torch.eye(z.shape[1], dtype=z.dtype) - z.T @ base
            total = total + (misfit.diagonal() if reading == "diagonal" else misfit).square().sum()
    return total


def constant_bases(z_a, z_b, **settings):
    settings = {key: value for key, value in settings.items() if key != "reading"}
    return [(torch.from_numpy(p[2]), torch.from_numpy(p[3])) for p in parts_by_hand(z_a, z_b, **settings)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_the_literal_reference(shape, settings):
    z_a, z_b = views(shape)
    expected = loss_by_hand(z_a, z_b, **settings)
    assert ARBLoss(**settings)(z_a, z_b).item() == pytest.approx(expected, rel=1e-10)
    in_float32 = ARBLoss(**settings | {"ridge": 1e-4})(z_a.float(), z_b.float())
    assert in_float32.dtype == torch.float32
    assert in_float32.item() == pytest.approx(loss_by_hand(z_a, z_b, **settings | {"ridge": 1e-4}), rel=1e-4)


def test_settings_of_the_reference_are_distinguishable():
    z_a, z_b = views((6, 12))
    assert len({round(loss_by_hand(z_a, z_b, **settings), 6) for settings in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reading", ["diagonal", "frobenius"])
@pytest.mark.parametrize("groups", [1, 2])
def test_instance_level_is_the_feature_level_of_the_transpose(shape, reading, groups):
    z_a, z_b = views(shape)
    instance = ARBLoss(level="instance", reading=reading, groups=groups)(z_a, z_b)
    feature = ARBLoss(level="feature", reading=reading, groups=groups)(z_a.T, z_b.T)
    torch.testing.assert_close(instance, feature)


@pytest.mark.parametrize("reading", ["diagonal", "frobenius"])
def test_groups_add_up(reading):
    z_a, z_b = views((7, 12))
    one = ARBLoss(reading=reading)
    by_blocks = sum(one(z_a[:, start : start + 4], z_b[:, start : start + 4]) for start in (0, 4, 8))
    torch.testing.assert_close(ARBLoss(reading=reading, groups=3)(z_a, z_b), by_blocks)
    assert abs(by_blocks - one(z_a, z_b)) > 0.1


@pytest.mark.parametrize("level", ["feature", "instance"])
def test_shuffle_permutes_both_views_alike_by_the_generator(level):
    z_a, z_b = views((12, 8))
    m = 8 if level == "feature" else 12
    loss = ARBLoss(level=level, groups=4, shuffle=True)
    generator, expected = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for _ in range(3):
        order = torch.randperm(m, generator=expected)
        pair = (z_a[:, order], z_b[:, order]) if level == "feature" else (z_a[order], z_b[order])
        torch.testing.assert_close(loss(z_a, z_b, generator), ARBLoss(level=level, groups=4)(*pair))


def test_shuffle_depends_on_the_seed_alone_and_leaves_the_global_state_alone():
    z_a, z_b = views((12, 8))
    loss = ARBLoss(groups=4, shuffle=True)
    before = torch.get_rng_state()
    values = [loss(z_a, z_b, torch.Generator().manual_seed(seed)).item() for seed in (0, 0, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert loss(z_a, z_b, torch.Generator().manual_seed(0)).item() == values[0] == values[1]
    assert len(set(values)) == 3


def test_shuffle_of_one_group_changes_nothing():
    z_a, z_b = views((6, 8))
    shuffled = ARBLoss(shuffle=True)(z_a, z_b, torch.Generator().manual_seed(1))
    torch.testing.assert_close(shuffled, ARBLoss()(z_a, z_b))
    assert not torch.equal(shuffled, ARBLoss(groups=2, shuffle=True)(z_a, z_b, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradient_is_that_of_constant_bases(shape, settings):
    pair = [z.requires_grad_() for z in views(shape)]
    bases = constant_bases(*pair, **settings)
    expected = torch.autograd.grad(loss_with_constant_bases(*pair, bases, **settings), pair)
    for actual, wanted in zip(torch.autograd.grad(ARBLoss(**settings)(*pair), pair), expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradcheck_of_the_function_with_constant_bases(settings):
    pair = [z.requires_grad_() for z in views((6, 8))]
    bases = constant_bases(*pair, **settings)
    assert torch.autograd.gradcheck(lambda a, b: loss_with_constant_bases(a, b, bases, **settings), pair)


def test_gradient_for_scaled_columns_is_minus_twice_the_misfit_times_the_base():
    z_a, z_b = (z.requires_grad_() for z in views())
    ((_, _, base_a, base_b),) = parts_by_hand(z_a, z_b)
    ARBLoss()(z_a, z_b).backward()
    for z, base in ((z_a, torch.from_numpy(base_b)), (z_b, torch.from_numpy(base_a))):
        scaled = standard_scale(z, eps=1e-6)
        for_scaled = -2 * (1 - (scaled.detach() * base).sum(dim=0)) * base
        (expected,) = torch.autograd.grad(scaled, z, for_scaled)
        torch.testing.assert_close(z.grad, expected)


@pytest.mark.parametrize("level", ["feature", "instance"])
def test_gradient_ignores_that_the_base_moves_with_the_embedding(level):
    z_a, z_b = views()
    z_a.requires_grad_()
    loss = ARBLoss(level=level)
    loss(z_a, z_b).backward()
    bases = constant_bases(z_a, z_b, level=level)
    step = 1e-5 * torch.randn(z_a.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    up, down = z_a.detach() + step, z_a.detach() - step
    along = (z_a.grad * step).sum().item()
    frozen = (loss_with_constant_bases(up, z_b, bases, level) - loss_with_constant_bases(down, z_b, bases, level)).item() / 2
    moving = (loss(up, z_b) - loss(down, z_b)).item() / 2
    assert along == pytest.approx(frozen, rel=1e-6)
    assert abs(moving - frozen) > 0.05 * abs(frozen)


@pytest.mark.parametrize("settings", [{}, {"reading": "frobenius"}, {"groups": 8}, {"ridge": 0.0}], ids=str)
def test_nothing_of_size_d_times_d_is_made_where_there_are_fewer_rows(settings, largest_tensor):
    z_a, z_b = (z.requires_grad_() for z in views((8, 20_000), dtype=torch.float32))
    with largest_tensor() as largest:
        ARBLoss(**settings)(z_a, z_b).backward()
    assert largest.elements == z_a.numel()


@pytest.mark.parametrize("settings", SETTINGS[::5], ids=str)
def test_symmetric_in_the_views(settings):
    z_a, z_b = views()
    torch.testing.assert_close(ARBLoss(**settings)(z_a, z_b), ARBLoss(**settings)(z_b, z_a))


@pytest.mark.parametrize("loss", [ARBLoss(), ARBLoss(groups=3), ARBLoss(reading="frobenius")], ids=repr)
def test_shift_and_scale_of_the_raw_columns_do_not_matter(loss):
    z_a, z_b = views()
    scale, shift = torch.linspace(0.5, 8, 6, dtype=torch.float64), torch.linspace(-9, 9, 6, dtype=torch.float64)
    torch.testing.assert_close(loss(z_a * scale + shift, z_b / scale - shift), loss(z_a, z_b), rtol=1e-9, atol=0)


@pytest.mark.parametrize("loss", [ARBLoss(), ARBLoss(level="instance", reading="frobenius")], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_also_under_autocast(loss, dtype):
    z_a, z_b = (z.requires_grad_() for z in views(dtype=dtype))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(z_a, z_b)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(z_a.float(), z_b.float()))
    assert z_a.grad.dtype == dtype
    assert z_a.grad.isfinite().all()


def test_constant_column_costs_one_per_direction_and_the_gradient_stays_finite():
    z_a, z_b = views((12, 6), dtype=torch.float32)
    rest = ARBLoss()(z_a[:, 1:], z_b[:, 1:])
    z_a[:, 0], z_b[:, 0] = 0.0, 1.0
    z_a.requires_grad_()
    value = ARBLoss()(z_a, z_b)
    value.backward()
    torch.testing.assert_close(value, rest + 2)
    assert z_a.grad.isfinite().all()
    assert ARBLoss()(z_a, views(dtype=torch.float32)[1]).isfinite()


@pytest.mark.parametrize("settings", SETTINGS[1::2], ids=str)
def test_equal_rows_give_a_finite_loss_and_gradient(settings):
    z = torch.linspace(-1.5, 3.5, 6).repeat(8, 1).requires_grad_()
    value = ARBLoss(**settings)(z, z.detach())
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()
    if settings["level"] == "feature":
        assert value.item() == pytest.approx(2 * 6)


@pytest.mark.parametrize("criterion", [BarlowTwinsLoss(), ARBLoss()], ids=lambda c: type(c).__name__)
def test_stands_where_the_loss_of_lightly_would_in_a_training_step(criterion):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    before = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x_a, x_b = views((16, 5), dtype=torch.float32)
    loss = criterion(model(x_a), model(x_b))
    loss.backward()
    optimizer.step()
    assert loss.shape == ()
    assert all((model[i].weight != before[i].weight).any() and model[i].weight.isfinite().all() for i in (0, 3))
    assert not list(criterion.parameters())


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("level", ("Feature", "", None), "level must be one of feature, instance, got "),
        ("reading", ("fro", "", None), "reading must be one of diagonal, frobenius, got "),
        ("groups", (0, -1, 2.0, True, "2"), "groups must be a whole number >= 1, got "),
        ("ridge", (-1e-4, float("nan"), float("inf")), "ridge must be a finite number >= 0, got "),
        ("eps", (-1e-6, float("nan"), float("inf")), "eps must be a finite number >= 0, got "),
    ],
)
def test_bad_settings_are_refused(name, values, message):
    for value in values:
        with pytest.raises(ValueError, match=re.escape(message + repr(value))):
            ARBLoss(**{name: value})


ONES = torch.ones(4, 2)


@pytest.mark.parametrize(
    ("settings", "z_a", "z_b", "error", "message"),
    [
        ({}, ONES, torch.ones(4, 3), ValueError, "one shape (N, d), got (4, 2) and (4, 3)"),
        ({}, torch.ones(4), torch.ones(4), ValueError, "one shape (N, d), got (4,) and (4,)"),
        ({}, torch.ones(2, 4, 2), torch.ones(2, 4, 2), ValueError, "one shape (N, d), got (2, 4, 2)"),
        ({}, ONES, ONES.double(), ValueError, "one dtype, got torch.float32 and torch.float64"),
        ({}, ONES.int(), ONES.int(), TypeError, "float32 or float64, got torch.int32"),
        ({"eps": 0.0}, ONES, ONES, ValueError, "column 0 of z has the standard deviation 0"),
        ({}, ONES[:1], ONES[:1], ValueError, "at least 2 samples"),
        ({}, ONES[:0], ONES[:0], ValueError, "must not be empty"),
        ({}, ONES * float("nan"), ONES, ValueError, "8 NaN or infinite value(s) of 8"),
        ({"groups": 3}, *views((10, 8)), ValueError, "groups=3 does not divide the 8 features (d)"),
        ({"groups": 4, "level": "instance"}, *views((10, 8)), ValueError, "groups=4 does not divide the 10 samples (N)"),
        ({"shuffle": True}, *views(), ValueError, "pass generator=torch.Generator()"),
    ],
)
def test_bad_views_are_refused(settings, z_a, z_b, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ARBLoss(**settings)(z_a, z_b)


def test_equal_rows_cost_one_per_direction():
    z = torch.linspace(-1.5, 2.5, 6).repeat(8, 1)
    assert ARBLoss()(z, z).item() == pytest.approx(2 * 6, rel=1e-3)


@pytest.mark.parametrize("criterion", [ARBLoss(), DirectAlignmentLoss()], ids=repr)
def test_views_that_are_no_tensors_are_a_type_error(criterion):
    with pytest.raises(TypeError):
        criterion([[1.0], [2.0]], [[1.0], [2.0]])
