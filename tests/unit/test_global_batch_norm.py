"""Batch normalisation over the batches of two and three processes is that of one process on the whole batch."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from arb_core import ARBLoss
from torch import distributed, nn

from arb_suite.global_batch_norm import GlobalBatchNorm, globalise_batch_norm

WORLDS = (2, 3)
STEPS = 4


def own(n, rank, world):
    return slice(rank * n // world, (rank + 1) * n // world)


class TwoViews(nn.Module):
    """A small network with batch normalisation of images and of vectors."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
            self.projector = nn.Sequential(nn.Linear(36, 6), nn.BatchNorm1d(6, momentum=None), nn.ReLU(), nn.Linear(6, 4))
        self.double()

    def forward(self, x_a, x_b):
        return self.projector(self.encoder(x_a)), self.projector(self.encoder(x_b))


def train(network, rank=0, world=1):
    """A few steps of gradient descent; returns the state dict of the network inside."""
    model = nn.parallel.DistributedDataParallel(network) if world > 1 else network
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images = torch.randn(STEPS, 2, 24, 1, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for x_a, x_b in images:
        optimizer.zero_grad()
        rows = own(24, rank, world)
        ARBLoss(groups=2, gather_distributed=True)(*model(x_a[rows], x_b[rows])).backward()
        optimizer.step()
    return network.state_dict()


def normalise(layer, rank=0, world=1):
    """Output and gradient of images of which the processes hold unequal shares, and the layer's state."""
    x, weight = torch.randn(2, 7, 3, 2, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    rows = own(7, rank, world)
    x = (5 + x[rows]).requires_grad_()
    y = layer(x)
    (weight[rows] * y).sum().backward()
    return {"y": y.detach(), "gradient": x.grad, "state": layer.state_dict(), "evaluated": layer.eval()(x).detach()}


def normalise_in_16_bits(layer, rank=0, world=1):
    """Output of a layer for bfloat16 input, as it has it under autocast, and the running variance."""
    x = 5 + torch.randn(42, 3, 20, 20, generator=torch.Generator().manual_seed(6))
    y = layer(x[own(42, rank, world)].bfloat16())
    return {"y": y.detach(), "variance": layer.running_var}


def refusal(rank):
    """What is said of a batch of one value per channel, which process 0 holds."""
    try:
        GlobalBatchNorm(nn.BatchNorm1d(3))(torch.ones(1 if rank == 0 else 0, 3))
    except ValueError as error:
        return str(error)


def work(rank, world, folder):
    """Run by each process; what it computed is saved to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/init", rank=rank, world_size=world)
    results = {
        "network": train(globalise_batch_norm(TwoViews()), rank, world),
        "network, own statistics": train(TwoViews(), rank, world),
        "layer": normalise(globalise_batch_norm(nn.BatchNorm2d(3, dtype=torch.float64)), rank, world),
        "16 bits": normalise_in_16_bits(globalise_batch_norm(nn.BatchNorm2d(3)), rank, world),
        "refusal": refusal(rank),
    }
    torch.save(results, folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module", params=WORLDS, ids=lambda world: f"{world} processes")
def results(request, run_processes):
    """What each process computed."""
    return run_processes(__file__, request.param)


def assert_same_state(state, expected, tolerance):
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            state[name], value, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_training_a_network_ends_with_the_parameters_of_the_whole_batch(results):
    expected = train(TwoViews())
    for result in results:
        assert_same_state(result["network"], expected, tolerance=1e-8)
        with pytest.raises(AssertionError, match=r"encoder\.0\.weight"):
            assert_same_state(result["network, own statistics"], expected, tolerance=1e-3)


def test_batch_normalisation_of_unequal_shares_is_that_of_the_whole_batch(results):
    expected = normalise(nn.BatchNorm2d(3, dtype=torch.float64))
    for key in ("y", "gradient", "evaluated"):
        shares = torch.cat([result["layer"][key] for result in results])
        torch.testing.assert_close(shares, expected[key], rtol=1e-10, atol=1e-10)
    for result in results:
        assert_same_state(result["layer"]["state"], expected["state"], tolerance=1e-12)


def test_input_of_16_bits_has_statistics_of_32(results):
    expected = normalise_in_16_bits(nn.BatchNorm2d(3))
    y = torch.cat([result["16 bits"]["y"] for result in results])
    assert y.dtype == expected["y"].dtype == torch.bfloat16
    torch.testing.assert_close(y, expected["y"], rtol=1e-2, atol=1e-2)
    for result in results:
        torch.testing.assert_close(result["16 bits"]["variance"], expected["variance"], rtol=1e-5, atol=0)


def test_one_value_per_channel_is_refused_by_every_process(results):
    for result in results:
        assert "more than 1 value per channel, all processes hold 1" in result["refusal"]


def test_batch_normalisation_is_the_plain_one_without_a_process_group_and_in_evaluation():
    plain = TwoViews()
    model = globalise_batch_norm(copy.deepcopy(plain))
    assert [type(layer) for layer in (model.encoder[1], model.projector[1])] == [GlobalBatchNorm] * 2
    x = torch.randn(2, 6, 1, 8, 8, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    for training in (True, False):
        for y, expected in zip(model.train(training)(*x), plain.train(training)(*x), strict=True):
            assert torch.equal(y, expected)
    plain.load_state_dict(model.state_dict())


def test_elsewhere_than_on_cpu_the_layers_are_those_of_torch():
    plain = TwoViews().to("meta")  # a device without memory stands for one that is no CPU
    model = globalise_batch_norm(copy.deepcopy(plain))
    assert [type(layer) for layer in (model.encoder[1], model.projector[1])] == [nn.SyncBatchNorm] * 2
    assert model.state_dict().keys() == plain.state_dict().keys()


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
