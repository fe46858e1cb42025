import copy
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from torch import nn

from arb_suite.encoders import build_encoder, set_precision
from arb_suite.jobs import UserError

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
CONV = yaml.safe_load((ROOT / "workflow/config/digits.yaml").read_text(encoding="utf-8"))["digits"]["encoder"]
FEATURES = {"resnet18": 512, "resnet50": 2048}
# Parameters as torchvision's documentation states them, classifier included
PUBLISHED = {"resnet18": 11_689_512, "resnet50": 25_557_032}


def resnet(kind="resnet18", stem="small", seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder, features = build_encoder(3, {"kind": kind, "stem": stem, **options})
        return encoder[0], features


def images(n=2, side=32):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def size(module):
    return sum(p.numel() for p in module.parameters())


def shapes(encoder, x):
    """The shape of what each part of a ResNet puts out."""
    seen = {}
    for name, part in encoder.named_children():
        part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])}))
    with torch.no_grad():
        encoder.eval()(x)
    return seen


def test_the_encoder_of_the_digits_starts_as_its_layers_drawn_in_turn():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder, features = build_encoder(1, CONV)
        torch.manual_seed(3)
        drawn = [nn.Conv2d(a, b, 3, bias=False).weight for a, b in ((1, 16), (16, 32), (32, 64), (64, 128))]
    assert features == 128
    assert size(encoder) == sum(weight.numel() for weight in drawn) + 2 * (16 + 32 + 64 + 128) == 97_392
    made = [p for p in encoder.parameters() if p.ndim > 1]
    assert all(torch.equal(weight, other) for weight, other in zip(made, drawn, strict=True))
    assert encoder(torch.rand(2, 1, 24, 24)).shape == (2, 128)


@pytest.mark.parametrize("kind", FEATURES)
def test_a_large_stem_gives_torchvisions_network_without_its_classifier(kind):
    encoder, features = resnet(kind, "large")
    assert features == FEATURES[kind]
    assert size(encoder) == PUBLISHED[kind] - (features + 1) * 1000
    other = getattr(torchvision.models, kind)(weights=None)
    other.load_state_dict(encoder.state_dict(), strict=False)
    other.fc = nn.Identity()
    x = images(side=64)
    assert encoder.train()(x).shape == (2, features)
    assert torch.equal(encoder(x), other.train()(x))


@pytest.mark.parametrize("kind", FEATURES)
def test_a_small_stem_has_the_parameters_of_a_3x3_convolution(kind):
    encoder, features = resnet(kind)
    assert features == FEATURES[kind]
    assert size(encoder) == PUBLISHED[kind] - (features + 1) * 1000 - 64 * 3 * (7 * 7 - 3 * 3)
    assert encoder.conv1.weight.shape == (64, 3, 3, 3)
    assert encoder(images()).shape == (2, features)


def test_a_small_image_is_not_downsampled_before_the_second_layer():
    seen = shapes(resnet()[0], images())
    assert [seen[name] for name in ("conv1", "layer1", "layer2")] == [(64, 32, 32), (64, 32, 32), (128, 16, 16)]
    assert (seen["layer4"], seen["fc"]) == ((512, 4, 4), (512,))


def test_the_padding_of_the_small_stem_is_the_given_one():
    seen = shapes(resnet(padding=2)[0], images())
    assert [seen[name] for name in ("conv1", "layer1", "layer2")] == [(64, 34, 34), (64, 34, 34), (128, 17, 17)]
    assert shapes(resnet(padding=0)[0], images())["conv1"] == (64, 30, 30)


def test_a_large_stem_divides_the_side_by_four():
    seen = shapes(resnet(stem="large")[0], images(side=64))
    assert [seen[name] for name in ("conv1", "layer1", "layer2")] == [(64, 32, 32), (64, 16, 16), (128, 8, 8)]


def test_the_small_stem_starts_as_torchvisions_other_convolutions():
    for weight in (resnet()[0].conv1.weight, resnet(stem="large")[0].layer1[0].conv1.weight):
        assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)  # He, by the number of outputs
    assert abs(resnet()[0].conv1.weight.mean().item()) < 0.005


@pytest.mark.parametrize(("kind", "last", "branches"), [("resnet18", "bn2", 8), ("resnet50", "bn3", 16)])
def test_residual_branches_start_at_zero_only_where_asked(kind, last, branches):
    for zero in (False, True):
        encoder, _ = resnet(kind, zero_init_residual=zero)
        weights = [p for name, p in encoder.named_parameters() if name.startswith("layer") and name.endswith(f"{last}.weight")]
        assert len(weights) == branches
        assert all(torch.equal(p, torch.full_like(p, 0.0 if zero else 1.0)) for p in weights)


def test_one_seed_gives_one_encoder_and_another_another():
    first, again, other = (resnet(seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(first["layer4.1.conv2.weight"], other["layer4.1.conv2.weight"])


@pytest.mark.parametrize("stem", ["small", "large"])
def test_what_works_in_place_changes_neither_image_nor_gradient(stem):
    gradients = []
    for in_place in (True, False):
        encoder, _ = resnet(stem=stem)
        for part in encoder.modules():
            if isinstance(part, nn.ReLU):
                part.inplace = in_place
        x = images(4)
        encoder.train()(x).square().sum().backward()
        assert torch.equal(x, images(4))
        gradients.append([p.grad for p in encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(g.isfinite().all() for g in gradients[0])
    assert any(g.any() for g in gradients[0])


@pytest.mark.parametrize(
    ("channels", "settings", "said"),
    [
        (1, {"kind": "resnet18", "stem": "small"}, "resnet18 takes images of 3 channels, these have 1; choose the kind conv"),
        (4, {"kind": "resnet50", "stem": "large"}, "resnet50 takes images of 3 channels, these have 4"),
        (3, {"kind": "resnet34", "stem": "small"}, "kind 'resnet34' is unknown; known are conv, resnet18, resnet50"),
        (3, {"widths": [4], "strides": [1]}, "kind None is unknown; known are conv, resnet18, resnet50"),
        (3, {"kind": "resnet18"}, "resnet18 cannot be built with .*stem"),
        (3, {"kind": "resnet18", "stem": "tiny"}, "stem 'tiny' is unknown; known are small, large"),
        (3, {"kind": "resnet18", "stem": "large", "padding": 2}, "padding 2 is of the small stem"),
        (3, {"kind": "resnet18", "stem": "small", "padding": -1}, "padding must be 0 or more, got -1"),
        (3, {"kind": "resnet18", "stem": "small", "widths": [4]}, "resnet18 cannot be built with .*widths"),
        (3, {"kind": "conv", "widths": [4]}, "conv cannot be built with .*strides"),
        (3, {"kind": "conv", "widths": [4, 8], "strides": [1]}, "conv cannot be built with .*; change the encoder settings"),
    ],
)
def test_settings_that_do_not_fit_are_refused(channels, settings, said):
    with pytest.raises(UserError, match=said) as caught:
        build_encoder(channels, settings)
    assert "\n" not in str(caught.value)


# --- precision --------------------------------------------------------------------------------------------------------


def test_an_encoder_and_its_teacher_compute_in_their_precision_and_give_float32():
    encoder, features = build_encoder(3, {"kind": "resnet18", "stem": "small"})
    model = nn.ModuleList([encoder, nn.Linear(features, 4)])
    model.teacher = copy.deepcopy(encoder)
    images, seen = torch.rand(2, 3, 32, 32), []
    for each in (encoder, model.teacher):
        each[0].layer1.register_forward_hook(lambda *called: seen.append(called[2].dtype))
    exact = [each.eval()(images) for each in (encoder, model.teacher)]
    set_precision(model, torch.bfloat16)
    coarse = [each(images) for each in (encoder, model.teacher)]
    assert seen == [torch.float32] * 2 + [torch.bfloat16] * 2
    for one, other in zip(exact, coarse, strict=True):
        assert other.dtype == torch.float32
        assert 0 < (one - other).abs().max() < 0.05 * one.abs().max()
