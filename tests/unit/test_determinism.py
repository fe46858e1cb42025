import pytest
import torch

from arb_suite.determinism import compute_deterministically


@pytest.fixture(autouse=True)
def _put_back():
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    reduced = torch.backends.cudnn.allow_tf32
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.backends.cudnn.allow_tf32 = reduced


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_algorithms_are_settled(threads):
    torch.set_num_threads(3)
    torch.use_deterministic_algorithms(False)
    compute_deterministically(threads)
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="deterministic"):  # it has no deterministic form
        torch.zeros(4).put_(torch.tensor([1, 1]), torch.ones(2), accumulate=False)


def test_float32_on_a_gpu_is_float32(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    compute_deterministically(1)
    torch.backends.cudnn.allow_tf32 = True
    compute_deterministically(1, torch.device("cuda"))
    assert not torch.backends.cudnn.allow_tf32
    assert torch.is_deterministic_algorithms_warn_only_enabled()
