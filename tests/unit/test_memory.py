import weakref

import pytest
import torch
from torch import nn

from arb_suite.images import ImageSet
from arb_suite.jobs import UserError
from arb_suite.memory import out_of_memory
from arb_suite.pretrain import train_epoch


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


class Remembered(torch.autograd.Function):
    """Something that lives as long as the graph of a step."""

    @staticmethod
    def forward(ctx, x):
        ctx.kept = nn.Identity()
        Remembered.last = weakref.ref(ctx.kept)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class NoRoomForGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise torch.OutOfMemoryError


class LimitedSteps(Limited):
    """A method of which a whole batch does not fit, in the loss or in its gradient."""

    def __init__(self, where):
        super().__init__(images=8)
        self.where, self.alive = where, []

    def begin_step(self, step, steps):
        pass

    def loss(self, views, labels, generator):
        if len(labels) < self.images:
            self.alive.append(Remembered.last() is not None)
            return super().loss(views, labels, generator)
        value = Remembered.apply(self.weight * views[0].sum())
        if self.where == "loss":
            raise torch.OutOfMemoryError
        return NoRoomForGradients.apply(value)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_the_failed_step_held_is_free_when_less_is_tried(where):
    images = ImageSet(torch.zeros(8, 3, 4, 4), torch.zeros(8, dtype=torch.int64), torch.arange(8), 2, "synthetic")
    method = LimitedSteps(where)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    view = {"crop_area": [1, 1], "crop_aspect": [1, 1], "rotation_degrees": 0, "contrast": 0, "brightness": 0, "noise": 0}
    settings = {"batch_size": 8, "epochs": 1, "loss_divisor": 1, "method": "limited", "views": [view | {"scale": 1.0}]}
    streams = {name: torch.Generator() for name in ("order0", "method0", "view0")}
    with pytest.raises(UserError, match="4 would fit"):
        train_epoch(method, optimizer, schedule, images, settings, 0, streams)
    assert method.alive == [False]
