"""What a job says where nvidia-smi and torch do not see the same GPUs, and where a GPU has too little memory."""

import os

import pytest
import torch

from arb_suite.compute import held_for
from arb_suite.jobs import UserError

AUTO, CPU, CUDA = ({"device": device, "precision": "float32"} for device in ("auto", "cpu", "cuda"))


@pytest.fixture
def seen(monkeypatch, tmp_path):
    """Let nvidia-smi list so many GPUs, and torch see one or none."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def set_to(listed, by_torch):
        lines = "\n".join(f"GPU {i}: NVIDIA A100 (UUID: GPU-{i})" for i in range(listed))
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n", encoding="utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: by_torch)

    return set_to


@pytest.mark.parametrize(
    ("settings", "by_torch", "listed", "held"),
    [(AUTO, False, 0, None), (AUTO, True, 2, "GPU-0"), (CUDA, True, 1, "GPU-0"), (CPU, True, 1, None)],
)
def test_nothing_is_said_where_both_agree(seen, settings, by_torch, listed, held):
    seen(listed, by_torch)
    with held_for(settings, 1, pytest.fail) as compute:
        assert compute.device == torch.device("cuda" if held else "cpu")
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == held


def test_a_gpu_that_is_not_held_is_told(seen):
    seen(0, True)
    said = []
    with held_for(AUTO, 1, said.append):
        assert said == ["torch sees a GPU that nvidia-smi does not list, so it is not held: other jobs may take the same one"]


def test_a_gpu_that_torch_cannot_use_is_not_passed_over(seen):
    seen(1, False)
    with (
        pytest.raises(UserError, match="nvidia-smi lists a GPU, but torch cannot use it"),
        held_for(AUTO, 1, pytest.fail),
    ):
        pytest.fail("it was passed over")


def test_no_room_in_a_gpu_is_one_sentence():
    raised = "CUDA out of memory. Tried to allocate 9.77 GiB. GPU 0 has a total capacity of 7.9 GiB. See documentation."
    with pytest.raises(UserError, match="what has been trained is kept") as caught, held_for(CPU, 1, pytest.fail):
        raise torch.OutOfMemoryError(raised)
    assert str(caught.value).startswith("the memory of the GPU is full (CUDA out of memory. Tried to allocate 9.77 GiB); ")
