import types

import pytest
import torch

from arb_suite.compute import compute_on

AUTO = {"device": "auto", "precision": "auto"}


@pytest.mark.parametrize(("generation", "precision"), [(9, torch.bfloat16), (8, torch.bfloat16), (7, torch.float32)])
def test_a_gpu_computes_in_bfloat16_only_where_it_has_it(monkeypatch, generation, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(major=generation))
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)  # as older ones do, by emulation
    compute = compute_on(AUTO)
    assert (compute.device, compute.precision) == (torch.device("cuda"), precision)


def test_without_a_gpu_it_is_the_cpu_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute_on(AUTO).name == "cpu, float32"
