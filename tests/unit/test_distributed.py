"""The global batch of two and three processes gives the loss and the gradient of one process on the whole batch."""

import math
import sys
from contextlib import contextmanager
from pathlib import Path

import arb_core.distributed
import pytest
import torch
from arb_core import ARBLoss, DirectAlignmentLoss
from arb_core.distributed import SharedBatch, WholeBatch, gather_rows, join_shares, sums_move_fewer_bytes
from torch import distributed

WORLDS = (2, 3)
FEATURES, D = 10, 8
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
SETTINGS = {
    "feature, N = 6": (6, {}),
    "feature, N = 12": (12, {}),
    "feature, N = 18": (18, {"ridge": 1e-2}),  # with which float64, too, carries Gram matrices
    "feature, N = 24": (24, {"ridge": 1e-2}),
    "groups": (24, {"groups": 4, "ridge": 1e-2}),
    "shuffle": (24, {"groups": 4, "shuffle": True, "ridge": 1e-2}),
    "ridge 0": (24, {"ridge": 0.0}),
    "eps 0": (24, {"eps": 0.0, "ridge": 1e-2}),
    "eps 0.5": (24, {"eps": 0.5, "ridge": 1e-2}),
    "frobenius, N = 6": (6, {"reading": "frobenius"}),
    "frobenius, N = 24": (24, {"reading": "frobenius", "ridge": 1e-2}),
    "frobenius, N = 30": (30, {"reading": "frobenius", "ridge": 1e-2}),
    "frobenius, N = 36": (36, {"reading": "frobenius", "ridge": 1e-2}),
    "frobenius, shuffle": (24, {"reading": "frobenius", "groups": 4, "shuffle": True, "ridge": 1e-2}),
    "instance": (24, {"level": "instance"}),
    "instance, frobenius": (24, {"level": "instance", "reading": "frobenius"}),
    "instance, groups": (24, {"level": "instance", "groups": 4}),
    "direct, N = 6": (6, None),
    "direct, N = 24": (24, None),
}
CASES = [(name, dtype) for name in SETTINGS for dtype in TOLERANCE]
ROUTED = [case for case in CASES if case[0] not in ("ridge 0", "frobenius, N = 6") and not case[0].startswith("instance")]
MISTAKES = {
    "scaling by the own share": (SharedBatch, "standard_scale", WholeBatch.standard_scale),
    "base of the own share": (SharedBatch, "nearest_orthonormal_basis", WholeBatch.nearest_orthonormal_basis),
    "products of the own share": (SharedBatch, "total", WholeBatch.total),
    "gradient of the own loss": (arb_core.distributed._Sum, "backward", staticmethod(lambda ctx, gradient: gradient)),
}
MESSAGES = {"all_reduce": (0, 1), "all_gather_into_tensor": (0, 0.5), "reduce_scatter_tensor": (1, 0.5)}


def batch(n, dtype):
    """The two views of the whole batch, the same in every process."""
    common, noise_a, noise_b = torch.randn(3, n, FEATURES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (common + 0.5 * noise_a).to(dtype), (common + 0.5 * noise_b).to(dtype)


def own(n, rank, world):
    return slice(rank * n // world, (rank + 1) * n // world)


def loss_and_gradient(name, dtype, rank=0, world=1, gather=True):
    """One step of a small linear model on this process's rows of the batch."""
    n, options = SETTINGS[name]
    weight = torch.randn(FEATURES, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    weight.requires_grad_()
    direct = options is None
    criterion = DirectAlignmentLoss(gather_distributed=gather) if direct else ARBLoss(**options, gather_distributed=gather)
    generator = {} if direct else {"generator": torch.Generator().manual_seed(2)}
    loss = criterion(*(x[own(n, rank, world)] @ weight for x in batch(n, dtype)), **generator)
    loss.backward()
    return loss.detach(), weight.grad


@contextmanager
def replaced(owner, name, value):
    """Set an attribute for a while."""
    original = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def bytes_moved(name, dtype, rank, world):
    """Bytes of a loss and its gradient that one process receives on a ring, in units of 2 (W - 1) / W."""
    moved = 0

    def counting(send, position, share):
        def count_and_send(*tensors):
            nonlocal moved
            tensor = tensors[position]
            moved += share * tensor.nbytes if tensor.is_floating_point() else 0
            return send(*tensors)

        return count_and_send

    original = {message: getattr(distributed, message) for message in MESSAGES}
    for message, counted in MESSAGES.items():
        setattr(distributed, message, counting(original[message], *counted))
    loss_and_gradient(name, dtype, rank, world)
    for message in MESSAGES:
        setattr(distributed, message, original[message])
    return moved


def refusals(rank):
    """What every process says of batches that no loss is defined on."""
    ones, z = torch.ones(rank + 1, D), torch.randn(24, D, generator=torch.Generator().manual_seed(rank))
    constant = z.clone()
    constant[:, 3] = 2.0
    hole = z.index_fill(0, torch.tensor([5]), float("nan")) if rank == 1 else z
    attempts = {
        "rows": lambda: ARBLoss(gather_distributed=True)(ones, ones),
        "rows of instances": lambda: ARBLoss(level="instance", gather_distributed=True)(ones, ones),
        "rows, direct": lambda: DirectAlignmentLoss(gather_distributed=True)(ones, ones),
        "gathered rows": lambda: gather_rows(ones),
        "dtypes": lambda: gather_rows(z.double() if rank == 1 else z),
        "constant column": lambda: ARBLoss(gather_distributed=True, eps=0.0)(z, constant),
        "NaN, sums": lambda: ARBLoss(gather_distributed=True)(z, hole),
        "NaN, rows": lambda: ARBLoss(gather_distributed=True, ridge=0.0)(z, hole),
    }
    said = {}
    for what, attempt in attempts.items():
        try:
            attempt()
        except ValueError as error:
            said[what] = str(error)
    return said


def work(rank, world, folder):
    """Run by each process: its share of everything, saved to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/init", rank=rank, world_size=world)
    results = {"refusals": refusals(rank), "gathered": gather_rows(torch.arange(6.0).reshape(3, 2) + 6 * rank)}
    for case in CASES:
        results[case] = loss_and_gradient(*case, rank, world)
        results[case, "alone"] = loss_and_gradient(*case, rank, world, gather=False)
    for case in ROUTED:
        results[case, "bytes"] = bytes_moved(*case, rank, world)
        for route in (True, False):
            with replaced(arb_core.distributed, "sums_move_fewer_bytes", lambda *arguments, route=route: route):
                results[case, route] = bytes_moved(*case, rank, world)
    for mistake, planted in MISTAKES.items():
        with replaced(*planted):
            results[mistake] = loss_and_gradient("groups", torch.float64, rank, world)
    torch.save(results, folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module", params=WORLDS, ids=lambda world: f"{world} processes")
def results(request, run_processes):
    """What each process computed."""
    return run_processes(__file__, request.param)


def mean_gradient(results, key):
    return torch.stack([result[key][1] for result in results]).mean(dim=0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_loss_of_every_process_is_that_of_the_whole_batch(results, case):
    expected, _ = loss_and_gradient(*case)
    for result in results:
        torch.testing.assert_close(result[case][0], expected, rtol=TOLERANCE[case[1]], atol=0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_average_gradient_of_the_processes_is_that_of_the_whole_batch(results, case):
    _, expected = loss_and_gradient(*case)
    tolerance = TOLERANCE[case[1]] * expected.abs().max().item()
    torch.testing.assert_close(mean_gradient(results, case), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", SETTINGS)
def test_without_gathering_each_process_sees_only_its_share(results, name):
    _, expected = loss_and_gradient(name, torch.float64)
    gradient = mean_gradient(results, ((name, torch.float64), "alone"))
    assert (gradient - expected).abs().max() > 0.01 * expected.abs().max()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_share_taken_for_the_whole_is_seen(results, mistake):
    loss, expected = loss_and_gradient("groups", torch.float64)
    gradient = mean_gradient(results, mistake)
    assert (gradient - expected).abs().max() > 0.01 * expected.abs().max()
    assert all(("gradient" in mistake) == (abs(result[mistake][0] - loss) < 1e-10 * loss) for result in results)


@pytest.mark.parametrize("case", ROUTED, ids=str)
def test_the_route_taken_moves_fewer_bytes(results, case):
    n, dtype = SETTINGS[case[0]][0], case[1]
    for result in results:
        assert result[case, False] == 2 * n * D * dtype.itemsize
        assert result[case, "bytes"] == min(result[case, True], result[case, False])


def test_both_routes_are_taken_and_equal_bytes_gather(results):
    taken = {case: results[0][case, "bytes"] == results[0][case, True] for case in ROUTED}
    assert not taken["feature, N = 12", torch.float32]
    assert taken["feature, N = 24", torch.float32]
    assert results[0][("feature, N = 18", torch.float32), True] == results[0][("feature, N = 18", torch.float32), False]
    assert not sums_move_fewer_bytes(18, D, torch.float32, ridge=1e-4)


@pytest.mark.parametrize("what", ["rows", "rows of instances", "rows, direct", "gathered rows"])
def test_unequal_shares_are_refused_by_every_process(results, what):
    for result in results:
        said = result["refusals"][what]
        assert all(f"process {rank} ({rank + 1}, {D})" in said for rank in range(len(results)))


def test_unequal_dtypes_are_refused_by_every_process(results):
    for result in results:
        assert f"process 0 (24, {D}) in 32 bits, process 1 (24, {D}) in 64 bits" in result["refusals"]["dtypes"]


def test_what_one_process_cannot_scale_is_refused_by_every_process(results):
    for result in results:
        assert "column 3 of z" in result["refusals"]["constant column"]
        assert "NaN" in result["refusals"]["NaN, sums"]
        assert "NaN" in result["refusals"]["NaN, rows"]


def test_rows_are_stacked_in_the_order_of_the_ranks(results):
    for result in results:
        assert torch.equal(result["gathered"], torch.arange(6.0 * len(results)).reshape(-1, 2))


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_changes_without_a_process_group(name):
    loss, gradient = loss_and_gradient(name, torch.float64, gather=True)
    plain_loss, plain_gradient = loss_and_gradient(name, torch.float64, gather=False)
    assert torch.equal(loss, plain_loss)
    assert torch.equal(gradient, plain_gradient)


def test_rows_are_returned_as_they_are_without_a_process_group():
    z = torch.ones(3, 2)
    assert gather_rows(z) is z


def test_one_process_in_a_group_changes_nothing(tmp_path):
    distributed.init_process_group("gloo", f"file://{tmp_path}/init", rank=0, world_size=1)
    try:
        z = torch.ones(3, 2)
        assert gather_rows(z) is z
        assert type(join_shares(z, z, width=2)[2]) is WholeBatch
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("n", "width", "ridge", "sums"),
    [(18, 4, 1e-4, True), (64, 4, 1e-4, False), (1000, 600, 1e-4, False), (1000, 8, 1.0, True), (64, 8, 0.0, False)],
)
def test_gram_matrices_are_added_up_only_where_float64_carries_them(n, width, ridge, sums):
    assert sums_move_fewer_bytes(n, width, torch.float64, ridge) == sums
    assert sums_move_fewer_bytes(n, width, torch.float32, ridge) == (ridge > 0)
    assert sums_move_fewer_bytes(10**6, 8, torch.float32, ridge) == (ridge == 1.0)


def test_a_wrong_root_of_added_up_gram_matrices_is_an_error(monkeypatch):
    z = torch.eye(24, D)
    monkeypatch.setattr(SharedBatch, "n_rows", lambda self, z: z.shape[-2])
    exact = SharedBatch().nearest_orthonormal_basis(z, 1e-4)
    torch.testing.assert_close(exact, z / math.sqrt(1 + 1e-4))
    right = arb_core.distributed.by_eigenvalues
    wrong = lambda *gram, **options: (right(*gram, **options)[0] * (1 + 1e-5), right(*gram, **options)[1])  # noqa: E731
    monkeypatch.setattr(arb_core.distributed, "by_eigenvalues", wrong)
    with pytest.raises(torch.linalg.LinAlgError, match=r"off by about 1.0e-05, where 5e-06 is allowed; take a larger ridge"):
        SharedBatch().nearest_orthonormal_basis(z, 1e-4)


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
