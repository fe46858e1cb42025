"""What a method of representation learning is to the training loop, and where the methods are found.

Each method is one file of the folder `methods`, with a class ``Method`` that derives from the one below. The loop asks it for a
loss and knows no method by name.
"""

import copy
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from arb_core.distributed import gather_rows
from lightly.models.modules.memory_bank import MemoryBankModule
from lightly.models.utils import update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

from . import methods
from .encoders import build_encoder
from .jobs import UserError
from .seeds import stream_seed

__all__ = ["N_LARGE", "BaseMethod", "JointEmbedding", "MomentumMethod", "Sizes", "build_method", "new_method"]


N_LARGE = 2  # views of full size; they come first


@dataclass(frozen=True)
class Sizes:
    """Widths a method builds its heads from: encoder output, projector hidden and output (None without one), classes."""

    features: int
    hidden: int
    embedding: int | None
    classes: int


class BaseMethod(nn.Module):
    """
    An encoder and whatever a method trains beside it.

    Attributes
    ----------
    encoder : nn.Module
        The part that is evaluated.
    projector : nn.Module or None
        Maps encoder features to the embeddings that the loss sees.

    """

    def __init__(self, encoder: nn.Module, projector: nn.Module | None = None):
        super().__init__()
        self.encoder = encoder
        self.projector = projector

    @property
    def embedder(self) -> nn.Module | None:
        """What maps features to the embeddings: the projector, unless that one goes further."""
        return self.projector

    def embed(self, view: Tensor) -> Tensor:
        """Return the (B, d) embeddings of one view; batch normalisation sees that view alone."""
        assert self.embedder is not None
        embeddings: Tensor = self.embedder(self.encoder(view))
        return embeddings

    def begin_step(self, step: int, steps: int) -> None:
        """Do what comes before the loss of step 0 <= step < steps: follow a schedule, move a teacher. Here nothing."""

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """
        Return the loss of one batch.

        Where several processes hold equal shares of it, it is the loss of the whole
        batch in each of them, see `arb_core.distributed`: gather what the criterion
        sees.

        Parameters
        ----------
        views : sequence of (B, C, H, W) float Tensor
            As the run is configured; the first two (`N_LARGE`) are of full size,
            further ones may be smaller.
        labels : (B,) int64 Tensor
            Classes of the images.
        generator : torch.Generator
            Source of all of the method's own randomness; its state is kept in
            checkpoints, that of torch's global generator is not.

        Returns
        -------
        () float Tensor

        """
        raise NotImplementedError


class JointEmbedding(BaseMethod):
    """
    One encoder and projector for both views, and a criterion on the two (B, d) embeddings.

    Attributes
    ----------
    seen : list of (B, d) Tensor
        The embeddings of the last batch, without their graph.

    """

    criterion: nn.Module
    seen: list[Tensor]

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the criterion of the embeddings of both views, those of all processes."""
        loss: Tensor = self.criterion(*map(gather_rows, self.embed_all(views)))
        return loss

    def embed_all(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Return the embeddings of all views, and remember them."""
        embeddings = [self.embed(view) for view in views]
        self.seen = [z.detach() for z in embeddings]
        return embeddings


class MomentumMethod(BaseMethod):
    """
    A student, which is trained, and a teacher, which follows it as a moving average and gives the targets.

    Parameters
    ----------
    encoder, projector : nn.Module
        The student; the teacher starts as its copy.
    momentum : (float, float)
        Share of the teacher that a step keeps, at the beginning and at the end;
        on a cosine between.

    """

    projector: nn.Module

    def __init__(self, encoder: nn.Module, projector: nn.Module, momentum: Sequence[float]):
        super().__init__(encoder, projector)
        self.momentum = momentum
        self.teacher = copy.deepcopy(nn.Sequential(encoder, projector)).requires_grad_(False)

    def begin_step(self, step: int, steps: int) -> None:
        """Move the teacher towards the student; batch statistics are its own."""
        share = cosine_schedule(step, steps, *self.momentum)
        with torch.no_grad():
            update_momentum(nn.Sequential(self.encoder, self.projector), self.teacher, share)

    @torch.no_grad()
    def target(self, view: Tensor) -> Tensor:
        """Return what the teacher makes of a view, without a gradient."""
        embeddings: Tensor = self.teacher(view)
        return embeddings


def build_method(name: str, encoder: nn.Module, sizes: Sizes, options: dict[str, Any]) -> BaseMethod:
    """
    Build a method by the name of its file.

    Raises
    ------
    UserError
        If there is no such file, or the method does not take one of the options.

    """
    methods.check_known(name)
    module = importlib.import_module(f"{methods.__name__}.{name}")
    if not hasattr(module, "Method"):
        raise UserError(f"{module.__file__} has no class Method; name the class of the method so")
    try:
        method: BaseMethod = module.Method(encoder, sizes, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"method {name} cannot be built with options {options}: {error}") from error
    # lightly leaves the entries of its memory banks out of the state; training that is resumed needs them.
    for part in method.modules():
        if isinstance(part, MemoryBankModule) and part.size[0]:
            for place, buffer in list(part.named_buffers(recurse=False)):
                part.register_buffer(place, buffer)
    return method


def new_method(settings: Mapping[str, Any], in_channels: int, classes: int, seed: int) -> BaseMethod:
    """
    Build a method with freshly initialised parameters.

    Parameters
    ----------
    settings : mapping
        The training settings of a run (`settings.Run.training`).
    in_channels, classes : int
        Of the data set.
    seed : int
        Settles the initial parameters. The encoder is drawn first, so that one
        seed gives every method the same encoder.

    """
    # The layers of torch draw from its global generator, which is put back afterwards. It is that of the CPU alone: a job that
    # computes there is not to touch GPUs, which other jobs hold.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, "parameters"))
        encoder, features = build_encoder(in_channels, settings["encoder"])
        encoder = encoder.to(memory_format=torch.channels_last)  # 1.4 times the speed on CPU
        sizes = Sizes(features, settings["projector_hidden"], settings["proj_dim"], classes)
        return build_method(settings["method"], encoder, sizes, settings["options"])
