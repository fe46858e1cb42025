"""What is measured on a trained encoder: linear probe, kNN and effective rank."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from arb_core import standard_scale
from lightly.utils.benchmarking.knn import knn_predict
from torch import Tensor, nn
from torch.nn import functional

from .file_images import FileSet
from .images import ImageSet
from .method import BaseMethod
from .seeds import stream_seed
from .views import evaluation_view

__all__ = ["effective_rank", "evaluate", "features", "knn_classes", "linear_probe", "outputs", "spectrum"]

OUTPUT_BATCH = 512
LARGEST_PART = 2**28  # similarities that kNN holds at once
TOP = 5  # classes among which the true one must be for linear_top5
CONSTANT = 1e-6  # standard deviation over magnitude below which a feature, computed in float32, is constant


@torch.no_grad()
def outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs (n, k) of a model in evaluation mode for inputs (n, ...), a batch at a time."""
    model.eval()
    return torch.cat([model(batch) for batch in inputs.split(OUTPUT_BATCH)])


@torch.no_grad()
def features(encoder: nn.Module, data: ImageSet | FileSet, view: Mapping[str, Any] | None) -> Tensor:
    """
    Return what an encoder in evaluation mode makes of the images of a data set, (n, k); `view`: see `evaluation_view`.

    Whatever decodes files for training, and whatever they are reduced to for it, here
    Pillow does both, to the length that the view asks for, at once, which leaves nothing
    to resample: the pixels are those of torchvision's ``Resize`` and ``CenterCrop``.
    Reduced to 915 first, natural images of 1500 x 2000 pixels differed from them by 0.5
    of 255 levels in the mean and by up to 4, checkerboards by 2 and 9. Smaller images are
    enlarged on the device, with the same result but for rounding.
    """
    encoder.eval()
    if isinstance(data, FileSet):
        data = replace(data, decoder="pillow", longest=(view or {}).get("resize", data.longest))
    in_order = torch.arange(len(data)).split(OUTPUT_BATCH)
    return torch.cat([encoder(evaluation_view(batch, view)) for batch in data.batches(in_order)])


def linear_probe(
    features: Tensor, labels: Tensor, classes: int, settings: Mapping[str, Any], generator: torch.Generator
) -> nn.Linear:
    """
    Train a linear classifier on frozen features, as in section 4.1 of the paper.

    Parameters
    ----------
    features : (n, k) float Tensor
        Of the training images.
    labels : (n,) int64 Tensor
        Their classes.
    classes : int
        Number of classes.
    settings : mapping
        ``epochs``, ``batch_size``, ``learning_rate``, ``momentum`` and
        ``weight_decay`` of SGD with cosine decay to 0 over all steps;
        ``standardise``, whether each feature is given mean 0 and standard
        deviation 1 over the training images first. The paper does not say what
        it does; without it, how far the rate of 0.3 gets depends on the scale of
        the features.
    generator : torch.Generator
        Draws the order of the images, on CPU.

    Returns
    -------
    nn.Linear
        Maps (unstandardised) features to class scores. Training starts at zero:
        the problem is convex.

    """
    if settings["standardise"]:
        sigma, mean = torch.std_mean(features, dim=0, correction=0)
        sigma = torch.where(sigma > 0, sigma, 1.0)  # a dead feature is zero everywhere and carries nothing
        features = (features - mean) / sigma
    probe: nn.Linear = nn.utils.skip_init(nn.Linear, features.shape[1], classes, device=features.device)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimizer = torch.optim.SGD(
        probe.parameters(),
        lr=settings["learning_rate"],
        momentum=settings["momentum"],
        weight_decay=settings["weight_decay"],
    )
    steps = settings["epochs"] * -(-len(features) // settings["batch_size"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(settings["epochs"]):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for batch in order.split(settings["batch_size"]):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(probe(features[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    if settings["standardise"]:
        with torch.no_grad():  # fold it into the weights
            probe.weight.div_(sigma)
            probe.bias.sub_(probe.weight @ mean)
    return probe


def knn_classes(bank: Tensor, labels: Tensor, queries: Tensor, classes: int, k: int, temperature: float) -> Tensor:
    """
    Classify by the k nearest neighbours on the unit sphere.

    Parameters
    ----------
    bank, queries : (n, c) and (m, c) float Tensor
        Features of the training images and of the images to classify.
    labels : (n,) int64 Tensor
        Classes of `bank`.
    classes : int
        Number of classes.
    k : int
        Number of neighbours.
    temperature : float
        A neighbour of cosine similarity s votes with the weight
        exp(s / temperature).

    Returns
    -------
    (m, classes) int64 Tensor
        Classes by falling vote; the first column is the prediction.

    """
    bank, queries = functional.normalize(bank), functional.normalize(queries)
    # A part at a time: the similarities of 50,000 images to 1.3 million are 256 GB.
    parts = queries.split(max(1, LARGEST_PART // len(bank)))
    return torch.cat([knn_predict(part, bank.T, labels, classes, k, temperature) for part in parts])


def spectrum(z: Tensor) -> Tensor:
    """
    Singular values of standard-scaled embeddings (Eq. 7).

    Parameters
    ----------
    z : (N, d) float Tensor
        Embeddings of N images.

    Returns
    -------
    (min(N, d),) float64 Tensor
        The largest first. Their squares add up to the number of features that vary:
        those that are constant to rounding do not count, and leave zeros at the end.

    """
    z = z.double()
    varies = z.std(dim=0) > CONSTANT * z.abs().amax(dim=0)
    s = z.new_zeros(min(z.shape))
    if varies.any():
        found = torch.linalg.svdvals(standard_scale(z[:, varies]))
        s[: len(found)] = found
    return s


def effective_rank(z: Tensor) -> float:
    r"""
    Effective rank of standard-scaled embeddings.

    Parameters
    ----------
    z : (N, d) float Tensor
        Embeddings of N images.

    Returns
    -------
    float
        :math:`\exp(-\sum_i p_i \log p_i)` with :math:`p_i = s_i / \sum_j s_j` over
        the singular values s, the `spectrum`: between 1 (all features equal up to
        sign) and min(N - 1, d), and 0 if no feature varies.

    References
    ----------
    .. [1] O. Roy and M. Vetterli, "The effective rank: a measure of effective
       dimensionality", EUSIPCO 2007.

    Examples
    --------
    >>> import torch
    >>> column = torch.linspace(0, 1, 50)
    >>> print(f"{effective_rank(torch.stack([column, 2 - column, 3 * column], dim=1)):.2f}")
    1.00

    """
    return _effective_rank(spectrum(z))


def _effective_rank(s: Tensor) -> float:
    if not s.any():
        return 0.0
    p = s / s.sum()
    return float(torch.special.entr(p).sum().exp())


def evaluate(
    method: BaseMethod, fitted: ImageSet | FileSet, scored: ImageSet | FileSet, evaluation: Mapping[str, Any], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, float], np.ndarray | None]:
    """
    Evaluate a trained method.

    Parameters
    ----------
    method : BaseMethod
        With trained parameters.
    fitted, scored : ImageSet or FileSet
        The images to fit the probe on and to look for neighbours in, and those to
        predict.
    evaluation : mapping
        Settings of the probe, ``linear``, of ``knn`` and of the ``view``; ``top5``,
        whether that is measured too.
    seed : int
        Of the run; settles the order of the images in the probe's training.

    Returns
    -------
    dict of (n,) int16 ndarray
        The predicted classes by metric; for top-5 the true class where it is among
        the first five, and elsewhere the first.
    dict of float
        Accuracies in percent, and effective ranks over the scored images.
    (min(n, d),) float32 ndarray or None
        The `spectrum` of the embeddings of the scored images, where the method has
        any.

    """
    bank, queries = (features(method.encoder, data, evaluation["view"]) for data in (fitted, scored))
    known, true = (data.labels.to(bank.device) for data in (fitted, scored))
    generator = torch.Generator().manual_seed(stream_seed(seed, "probe"))
    probe = linear_probe(bank, known, fitted.classes, evaluation["linear"], generator)
    scores, neighbours = outputs(probe, queries), knn_classes(bank, known, queries, fitted.classes, **evaluation["knn"])
    predicted = {"linear_top1": scores.argmax(dim=1), "knn5_top1": neighbours[:, 0]}
    if evaluation["top5"]:
        for metric, best in (("linear_top5", scores.topk(TOP).indices), ("knn5_top5", neighbours[:, :TOP])):
            predicted[metric] = torch.where((best == true[:, None]).any(dim=1), true, best[:, 0])
    measured = {metric: 100 * (classes == true).double().mean().item() for metric, classes in predicted.items()}
    measured["effective_rank_features"] = effective_rank(queries)
    embedded = None
    if method.embedder is not None:
        s = spectrum(outputs(method.embedder, queries))
        measured["effective_rank_embeddings"] = _effective_rank(s)
        embedded = s.cpu().numpy().astype(np.float32)
    return {metric: classes.cpu().numpy().astype(np.int16) for metric, classes in predicted.items()}, measured, embedded
