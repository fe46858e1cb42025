import pytest
import torch
from torch import nn

from arb_suite.jobs import UserError
from arb_suite.memory import out_of_memory


class Limited(nn.Module):
    """A method whose loss needs memory for every image, of which there is enough for some."""

    def __init__(self, images, error=torch.OutOfMemoryError):
        super().__init__()
        self.images, self.error, self.tried = images, error, []
        self.weight = nn.Parameter(torch.ones(()))

    def loss(self, views, labels, generator):
        assert all(len(view) == len(labels) for view in views)
        self.tried.append(len(labels))
        if len(labels) > self.images:
            raise self.error("no more of it")
        return self.weight * len(labels)


def error_of(method, size=100):
    views = [torch.zeros(size, 1, 2, 2)] * 2
    return out_of_memory(method, views, torch.zeros(size, dtype=torch.int64), torch.Generator())


@pytest.mark.parametrize(("images", "tried", "said"), [(60, [50], "50 would fit"), (49, [50, 25], "25 would fit")])
def test_the_largest_half_that_fits_is_named(images, tried, said):
    method = Limited(images)
    error = error_of(method)
    assert isinstance(error, UserError)
    assert method.tried == tried
    for part in ("batch_size 100 does not fit", said, "processes"):
        assert part in str(error)


def test_where_nothing_fits_or_can_be_tried_nothing_is_named():
    for method in (Limited(0), Limited(0, ValueError)):
        assert "would fit" not in str(error_of(method))
