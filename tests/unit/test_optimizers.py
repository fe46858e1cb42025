"""LARS against lightly's, bit for bit, and its clipping against a literal reading in NumPy."""

import io

import numpy as np
import pytest
import torch
from lightly.utils.lars import LARS
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from arb_suite.jobs import UserError
from arb_suite.optimizers import Lars, build_optimizer

pytestmark = pytest.mark.usefixtures("one_thread")

RATES = [0.3, 0.6, 0.45, 0.05, 0.0, 0.2]  # of the steps
SHAPES = {"kernel": (8, 3, 3, 3), "deep": (33, 8, 3, 3), "matrix": (17, 33), "zero": (4, 5), "still": (5, 7), "unused": (2, 3)}
VECTORS = {"bias": (17,), "zero_bias": (33,), "scalar": ()}


def parameters(dtype=torch.float32, seed=0):
    """Of several shapes, two of them in the order of channels_last as in the training loop."""
    stream = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(shape, generator=stream).to(dtype) for name, shape in (SHAPES | VECTORS).items()}
    for name in ("zero", "zero_bias"):
        made[name].zero_()
    for name in ("kernel", "deep"):
        made[name] = made[name].to(memory_format=torch.channels_last)
    return {name: nn.Parameter(p) for name, p in made.items()}


def groups(of):
    """Three: with weight decay; vectors with another rate and none; vectors that are decayed like weights."""
    return [
        {"params": [of[name] for name in SHAPES]},
        {"params": [of["bias"], of["scalar"]], "lr": 0.01, "weight_decay": 0.0},
        {"params": [of["zero_bias"]], "weight_decay": 0.3},
    ]


def set_gradients(of, step):
    """The same for every optimiser: zero for `still`, none for `unused` before step 3 nor for `matrix` in step 2."""
    stream = torch.Generator().manual_seed(100 + step)
    for name, p in of.items():
        p.grad = torch.randn(p.shape, generator=stream).to(p.dtype) * 10.0 ** (step - 2)
        if name in ("kernel", "deep"):
            p.grad = p.grad.to(memory_format=torch.channels_last)
        if name == "still":
            p.grad.zero_()
        if (name == "unused" and step < 3) or (name == "matrix" and step == 2):
            p.grad = None


def steps(optimizer, of, which=range(6)):
    for step in which:
        set_gradients(of, step)
        for group, share in zip(optimizer.param_groups, (1.0, 0.1, 1.0), strict=True):
            group["lr"] = RATES[step] * share
        optimizer.step()


def bits(tensor):
    return tensor.detach().contiguous().numpy().tobytes()


def assert_same_bits(of, other):
    assert [name for name in of if bits(of[name]) != bits(other[name])] == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_without_clipping_it_is_bit_for_bit_lightlys(dtype, momentum):
    own, other = parameters(dtype), parameters(dtype)
    common = {"lr": 0.3, "momentum": momentum, "weight_decay": 1e-2, "trust_coefficient": 0.02}
    optimizer, reference = Lars(groups(own), **common), LARS(groups(other), **common)
    for step in range(len(RATES)):
        steps(optimizer, own, [step])
        steps(reference, other, [step])
        assert_same_bits(own, other)
        buffers = [
            {name: made.state[p]["momentum_buffer"] for name, p in of.items() if made.state[p]}
            for made, of in ((optimizer, own), (reference, other))
        ]
        assert buffers[0].keys() == buffers[1].keys()
        assert_same_bits(*buffers)
    assert bits(own["kernel"]) != bits(parameters(dtype)["kernel"])


def test_an_encoder_trains_bit_for_bit_as_with_lightlys():
    trained = []
    for kind in (Lars, LARS):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 36, 300))
        model = model.to(memory_format=torch.channels_last)
        optimizer = kind(model.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-4, trust_coefficient=0.02)
        stream = torch.Generator().manual_seed(1)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(8, 3, 8, 8, generator=stream)).square().mean().backward()
            optimizer.step()
        trained.append(dict(model.named_parameters()))
    assert_same_bits(*trained)


def test_gradients_too_small_for_a_norm_are_left_as_they_are():
    made = []
    for kind in (Lars, LARS):
        p = nn.Parameter(torch.ones(3, 3))
        p.grad = torch.full((3, 3), 1e-30)  # its square is 0 in single precision
        kind([p], lr=0.5, momentum=0.9, weight_decay=0.1).step()
        made.append({"p": p})
    assert torch.equal(made[0]["p"], torch.ones(3, 3))
    assert_same_bits(*made)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(value):
    for clip in (False, True):
        p = nn.Parameter(torch.ones(3, 3))
        p.grad = torch.full((3, 3), value)
        Lars([p], lr=0.5, weight_decay=0.1, clip=clip).step()
        assert not p.isfinite().any()


@pytest.mark.parametrize("trust", [0.02, 1.0])
def test_clipping_is_as_solo_learn_has_it(trust):
    """Literally, in double precision: the ratio by the rate and at most 1; nothing but the gradient for vectors and zeros."""
    of = {name: p for name, p in parameters(torch.float64).items() if name != "scalar"}
    decay, momentum, eps = 1e-2, 0.9, 1e-8
    optimizer = Lars(of.values(), lr=0.3, momentum=momentum, weight_decay=decay, trust_coefficient=trust, eps=eps, clip=True)
    expected = {name: p.detach().numpy().copy() for name, p in of.items()}
    velocity, clipped = {}, set()
    for step, rate in enumerate(RATES):
        set_gradients(of, step)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        for name, p in of.items():
            if p.grad is None:
                continue
            x, g = expected[name], p.grad.numpy()
            x_norm, g_norm = np.sqrt((x**2).sum()), np.sqrt((g**2).sum())
            if x.ndim != 1 and x_norm > 0 and g_norm > 0:
                ratio = trust * x_norm / (g_norm + decay * x_norm + eps)
                clipped.add(ratio > rate)
                g = (1 if ratio > rate else ratio / rate) * (g + decay * x)
            velocity[name] = momentum * velocity[name] + g if name in velocity else g
            expected[name] = x - rate * velocity[name]
    assert clipped == {False, True}
    for name, p in of.items():
        np.testing.assert_allclose(p.detach().numpy(), expected[name], rtol=1e-12, atol=1e-12)


def test_clipping_leaves_vectors_alone_whatever_their_decay():
    vector, matrix = (nn.Parameter(torch.ones(shape)) for shape in ((4,), (2, 2)))
    vector.grad, matrix.grad = torch.full((4,), 0.5), torch.full((2, 2), 0.5)
    Lars([{"params": [vector, matrix]}], lr=0.1, weight_decay=0.1, trust_coefficient=1.0, clip=True).step()
    assert torch.equal(vector, torch.ones(4) - 0.1 * 0.5)
    assert torch.allclose(matrix, torch.ones(2, 2) - 0.1 * 0.6)  # the ratio 2 / 1.2 / 0.1 is cut to 1


class HostReads(TorchDispatchMode):
    """Counts what makes the host wait for a number of the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        names = ("_local_scalar_dense", "is_nonzero", "item", "equal", "nonzero")
        self.count += function.overloadpacket.__name__ in names
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("clip", [False, True])
def test_the_host_reads_nothing(clip):
    reads = {}
    for name, kind, options in (("own", Lars, {"clip": clip}), ("lightly", LARS, {})):
        of = parameters()
        optimizer = kind(groups(of), lr=0.3, momentum=0.9, weight_decay=1e-2, **options)
        with HostReads() as mode:
            for _ in range(2):
                for p in of.values():
                    p.grad = torch.ones_like(p)
                optimizer.step()
        reads[name] = mode.count
    assert reads["own"] == 0
    assert reads["lightly"] > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("clip", [False, True])
def test_on_a_gpu_nothing_waits_and_the_result_is_that_of_the_cpu(clip):
    made = {}
    for device in ("cpu", "cuda"):
        of = {name: nn.Parameter(p.detach().to(device)) for name, p in parameters().items()}
        optimizer = Lars(groups(of), lr=0.3, momentum=0.9, weight_decay=1e-2, trust_coefficient=0.02, clip=clip)
        stream = torch.Generator().manual_seed(5)
        for _ in range(4):
            for p in of.values():
                p.grad = torch.randn(p.shape, generator=stream).to(device)
            try:
                torch.cuda.set_sync_debug_mode("error")
                optimizer.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        made[device] = of
    for name, p in made["cuda"].items():
        torch.testing.assert_close(p.detach().cpu(), made["cpu"][name].detach())


@pytest.mark.parametrize("clip", [False, True])
def test_training_goes_on_bit_for_bit_from_a_saved_state(clip):
    common = {"lr": 0.3, "momentum": 0.9, "weight_decay": 1e-2, "clip": clip}
    whole = parameters()
    steps(Lars(groups(whole), **common), whole)
    first = parameters()
    optimizer = Lars(groups(first), **common)
    steps(optimizer, first, range(2))
    file = io.BytesIO()
    torch.save({"parameters": first, "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    second = {name: nn.Parameter(p) for name, p in state["parameters"].items()}
    optimizer = Lars(groups(second), lr=9.0, clip=not clip)
    optimizer.load_state_dict(state["optimizer"])
    steps(optimizer, second, range(2, 6))
    assert_same_bits(second, whole)


def test_a_parameter_without_gradient_keeps_its_value_and_gets_no_state():
    used, unused = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    used.grad = torch.ones(2, 2)
    optimizer = Lars([used, unused], lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    assert torch.equal(unused, torch.ones(2, 2))
    assert not torch.equal(used, torch.ones(2, 2))
    assert optimizer.state_dict()["state"].keys() == {0}


def test_a_closure_gives_gradients_and_its_value_is_returned():
    p = nn.Parameter(torch.ones(2, 2))
    optimizer = Lars([p], lr=0.1)

    def closure():
        loss = p.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4
    assert torch.equal(p, torch.full((2, 2), 1 - 0.1))


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_negative_settings_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be 0 or more, got -0.5"):
        Lars([nn.Parameter(torch.ones(2))], **{"lr": 0.1, name: -0.5})


SETTINGS = {
    "optimizer": "lars",
    "epochs": 3,
    "learning_rate": 0.5,
    "bias_learning_rate": 0.25,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "trust_coefficient": 0.02,
    "warmup_fraction": 0.1,
    "final_rate_fraction": 0.001,
}


@pytest.mark.parametrize(("asked", "clip"), [({}, False), ({"clip": False}, False), ({"clip": True}, True)])
def test_lars_clips_only_where_it_is_asked_to(asked, clip):
    optimizer, _ = build_optimizer(nn.Linear(3, 2), SETTINGS | asked, 4)
    assert [group["clip"] for group in optimizer.param_groups] == [clip, clip]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_only_lars_clips(optimizer):
    with pytest.raises(UserError, match=f"clip is for lars, but optimizer is '{optimizer}'"):
        build_optimizer(nn.Linear(3, 2), SETTINGS | {"optimizer": optimizer, "clip": True}, 4)
