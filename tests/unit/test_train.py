"""What a training job says where nvidia-smi and torch do not see the same GPUs, and how it opens its images."""

import pytest
import torch

from arb_suite import train
from arb_suite.jobs import UserError

AUTO, CPU, CUDA = ({"compute": {"device": device}} for device in ("auto", "cpu", "cuda"))


@pytest.fixture
def listed(monkeypatch):
    """Let nvidia-smi list so many GPUs."""

    def set_to(count):
        monkeypatch.setattr(train, "visible_gpus", lambda: [f"GPU-{i}" for i in range(count)])

    return set_to


@pytest.mark.parametrize(
    ("settings", "device", "count"), [(AUTO, "cpu", 0), (AUTO, "cuda", 2), (CUDA, "cuda", 1), (CPU, "cpu", 1)]
)
def test_nothing_is_said_where_both_agree(listed, settings, device, count):
    listed(count)
    train._check_held(torch.device(device), train._on_gpu(settings), pytest.fail)


def test_a_gpu_that_is_not_held_is_told(listed):
    listed(0)
    said = []
    train._check_held(torch.device("cuda"), train._on_gpu(AUTO), said.append)
    assert said == ["torch sees a GPU that nvidia-smi does not list, so it is not held: other jobs may take the same one"]


def test_a_gpu_that_torch_cannot_use_is_not_passed_over(listed):
    listed(1)
    with pytest.raises(UserError, match="nvidia-smi lists a GPU, but torch cannot use it"):
        train._check_held(torch.device("cpu"), train._on_gpu(AUTO), pytest.fail)
