"""
A short training on views of the fast pipeline ends as one on torchvision's, and one on views with an error does not.

Parameters, operations and moments of the pixels are compared in test_photo_parameters.py and test_photo_operations.py.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch.nn import functional

from arb_suite import pretrain
from arb_suite.evaluate import outputs
from arb_suite.images import ImageSet
from arb_suite.method import new_method
from arb_suite.progress import Progress
from arb_suite.reference_views import reference_pipeline

ROOT = Path(__file__).parents[2]
CIFAR = yaml.safe_load((ROOT / "workflow/config/paper.yaml").read_text(encoding="utf-8"))["cifar10"]
NORMAL = {name: CIFAR["data"][name] for name in ("mean", "std")}
VIEWS = [CIFAR["views"][name] | NORMAL for name in ("view_a", "view_b")]
IMAGES = 256  # and as many held out
SEEDS = range(3)
EPOCHS, LAST = 12, 6  # the loss in training is the mean of the last epochs, of 24 steps
# How far the means over the seeds may be apart, beside a standard error of their difference. Over 12 seeds they differed by 0.2
# with standard deviations of up to 1.0, and the error below that moves the loss least moves it by 4.8. Accuracies are not
# compared: where the coarse blotches told a class, those of a linear probe were, after so few steps, the ones before training.
MARGINS = {"loss": 2.0, "loss of held-out images": 1.5}
# Errors of the pipeline, and in what they must show
PLANTED = {
    "large crops": ({"crop_area": [0.5, 1.0]}, "loss"),
    "no colour jitter": ({"jitter_share": 0.0}, "loss"),
    "never grey": ({"grey": 0.0}, "loss"),
    "not normalised": ({"mean": [0.0] * 3, "std": [1.0] * 3}, "loss of held-out images"),
}


def blotches(stream):
    """
    Draw photographs of a kind: colours in blotches of several sizes under a light of its own.

    Textures of arb_suite.generated look alike in every part, so that the area of a crop would hardly matter.
    """
    layers = [torch.rand(IMAGES, 3, side, side, generator=stream) - 0.5 for side in (2, 4, 16)]
    coarse, middle, fine = (functional.interpolate(layer, (32, 32), mode="bicubic") for layer in layers)
    light = 0.1 + 0.8 * torch.rand(IMAGES, 1, 1, 1, generator=stream)
    pixels = (light + 0.7 * coarse + 0.7 * middle + 0.3 * fine).clamp(0, 1).mul(255).to(torch.uint8)
    return ImageSet(pixels, torch.zeros(IMAGES, dtype=torch.int64), torch.arange(IMAGES), 1, "blotches")


def reference_view(batch, settings, stream):
    """Draw a view of each image by torchvision's pipeline, in the place of `views.draw_view`."""
    pipeline = reference_pipeline(settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=stream)))
        return torch.stack([pipeline(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in batch.images])


def training(change):
    return {
        **CIFAR["training"],
        "encoder": {"kind": "conv", "widths": [16, 32], "strides": [2, 2]},
        "projector_hidden": 64,
        "proj_dim": 32,
        "views": [view | change for view in VIEWS],
        "method": "arb",
        "options": {"groups": 1, "ridge": 1e-4},
        "loss_divisor": 1,
        "snapshots": 0,
        "trace": False,
        "compute": {"device": "cpu", "precision": "float32"},
        "optimizer": "adam",
        "clip": False,
        "learning_rate": 0.003,
        "bias_learning_rate": 0.003,
        "warmup_fraction": 0.1,
        "batch_size": 64,
        "epochs": EPOCHS,
    }


@pytest.fixture(scope="module")
def ends(one_thread, tmp_path_factory):
    """What training ends in, {measure: value of each seed}, by the pipeline that drew the views."""
    stream = torch.Generator().manual_seed(0)
    fitted, held_out = blotches(stream), blotches(stream)
    batch = next(held_out.batches([torch.arange(IMAGES)]))
    held_out_views = [reference_view(batch, view, stream) for view in VIEWS]  # by which all are judged
    folder = tmp_path_factory.mktemp("checkpoints")

    def held_out_loss(method):
        return method.criterion(*(outputs(method.projector, outputs(method.encoder, view)) for view in held_out_views)).item()

    def trained(name, change, seed):
        progress = Progress(name, EPOCHS, [seed], lambda line: None)
        method, record, _ = pretrain.train(fitted, training(change), seed, folder / f"{name}{seed}", progress)
        return np.mean(record["losses"][-LAST:]), held_out_loss(method)

    def all_seeds(name, change):
        return dict(zip(MARGINS, np.array([trained(name, change, seed) for seed in SEEDS]).T, strict=True))

    found = {name: all_seeds(name, change) for name, (change, _) in PLANTED.items()}
    found["fast"] = all_seeds("fast", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "draw_view", reference_view)
        found["reference"] = all_seeds("reference", {})
    untrained = [held_out_loss(new_method(training({}), fitted.channels, fitted.classes, seed)) for seed in SEEDS]
    found["untrained"] = {"loss of held-out images": np.array(untrained)}
    return found


def differing(first, second):
    """Return in which of the measures of the first two kinds of training end differently."""
    found = []
    for name, a in first.items():
        b = second[name]
        error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))
        if abs(a.mean() - b.mean()) > MARGINS[name] + error:
            found.append(name)
    return found


def test_the_fast_pipeline_ends_as_the_reference(ends):
    assert differing(ends["fast"], ends["reference"]) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_pipeline_with_an_error_ends_elsewhere(name, ends):
    _, measure = PLANTED[name]
    assert measure in differing(ends[name], ends["reference"])


def test_what_is_compared_was_learnt(ends):
    assert differing(ends["untrained"], ends["reference"]) == ["loss of held-out images"]
    assert ends["reference"]["loss of held-out images"].max() < ends["untrained"]["loss of held-out images"].min()
