import math
import os
import signal
from itertools import count
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from arb_suite import methods, pretrain
from arb_suite.encoders import conv_encoder
from arb_suite.images import ImageSet
from arb_suite.jobs import UserError
from arb_suite.method import BaseMethod, Sizes, build_method, new_method
from arb_suite.optimizers import Lars, build_optimizer
from arb_suite.pretrain import train
from arb_suite.progress import Progress
from arb_suite.variations import with_variations

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
DIGITS: dict = {}
for file in ("digits", "digits_tables"):
    DIGITS |= yaml.safe_load((ROOT / f"workflow/config/{file}.yaml").read_text(encoding="utf-8"))["digits"]
RUNS = with_variations("digits", DIGITS)
# The methods that the configuration runs; a user may have files beside them
NAMES = sorted({run["method"] for run in RUNS.values()})
UNTRAINED = ["random_encoder"]
TRAINED = [name for name in NAMES if name not in UNTRAINED]


def run_of(name):
    """The first run of a method in the configuration."""
    runs = [run for run in RUNS.values() if run["method"] == name]
    assert runs, f"no run of the configuration uses the method {name}"
    return runs[0]


# What the configuration says for 128 images and 32 dimensions or more, in proportion to the small runs here
SMALL = {"w_mse": {"whitening_size": 8}, "moco_v2": {"queue_size": 40}, "ressl": {"queue_size": 40}, "swav": {"queue_size": 24}}


def options_of(name):
    """The options that the configuration gives a method, with sizes that fit the small runs."""
    return run_of(name).get("options", {}) | SMALL.get(name, {})


def settings(method, options=None, **training):
    """Training settings of a small run: 4 steps an epoch, 3 epochs."""
    return {
        "encoder": {"kind": "conv", "widths": [4, 8], "strides": [2, 2]},
        "projector_hidden": 16,
        "proj_dim": 4 if method == "w_mse" else 16,
        "views": [DIGITS["views"][view] for view in run_of(method).get("views", DIGITS["default_views"])],
        "method": method,
        "options": options_of(method) if options is None else options,
        "loss_divisor": 1,
        "snapshots": 0,
        "trace": False,
        "compute": DIGITS["compute"],
        **DIGITS["training"],
        **run_of(method).get("training", {}),
        "batch_size": 16,
        "epochs": 3,
        **training,
    }


@pytest.fixture(scope="module")
def images():
    stream = torch.Generator().manual_seed(0)
    return ImageSet(torch.rand(64, 1, 12, 12, generator=stream), torch.arange(64) % 4, torch.arange(64), 4, "synthetic")


class InterruptedByTestError(Exception):
    pass


class Recorder(Progress):
    """Progress that keeps what it is told, and stops the training once `stop_after` epochs are done."""

    def __init__(self, epochs=3, stop_after=None):
        self.lines = []
        self.finished = []
        self.stop_after = stop_after
        super().__init__("digits/test", epochs, [0], self.lines.append)

    def epoch(self, finished, loss):
        super().epoch(finished, loss)
        self.finished.append(finished)
        if finished == self.stop_after:
            raise InterruptedByTestError


# --- the methods ------------------------------------------------------------------------------------------------------


def batch(name, n=16):
    """Views as the method is configured, labels and a generator."""
    stream = torch.Generator().manual_seed(1)
    sides = [round(12 * view["scale"]) for view in settings(name)["views"]]
    views = [torch.rand(n, 1, side, side, generator=stream) for side in sides]
    return views, torch.arange(n) % 4, torch.Generator().manual_seed(2)


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_has_a_finite_loss_and_trains_its_encoder(name):
    method = new_method(settings(name), 1, 4, seed=0).train()
    loss = method.loss(*batch(name))
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    gradients = {place: p.grad for place, p in method.named_parameters() if p.requires_grad}
    assert [place for place, gradient in gradients.items() if gradient is None] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(gradients[f"encoder.{place}"].any() for place, p in method.encoder.named_parameters() if p.ndim > 1)


@pytest.mark.parametrize("name", UNTRAINED)
def test_what_is_not_trained_is_an_encoder_alone(name):
    method = new_method(settings(name), 1, 4, seed=0)
    assert method.projector is None
    assert all(place.startswith("encoder.") for place in method.state_dict())
    assert all(run["training"]["epochs"] == 0 for run in RUNS.values() if run["method"] == name)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_maps_images_to_features_of_the_encoders_width(name):
    method = new_method(settings(name), 1, 4, seed=0).eval()
    features = method.encoder(batch(name)[0][0])
    assert features.shape == (16, 8)
    if method.embedder is not None:
        assert method.embedder(features).shape == (16, settings(name)["proj_dim"])
        assert torch.equal(method.embed(batch(name)[0][0]), method.embedder(features))


def layers(head):
    """What a head consists of: width of each linear layer, and what follows it."""
    names = {nn.Linear: "", nn.BatchNorm1d: "BN", nn.ReLU: "ReLU", nn.GELU: "GELU"}
    return [f"{layer.out_features}" if isinstance(layer, nn.Linear) else names[type(layer)] for layer in head.layers]


TWO_PLAIN, TWO_NORMED = "16 ReLU 4", "16 BN ReLU 4"
THREE_NORMED = "16 BN ReLU 16 BN ReLU 4"
PREDICTOR = {"prediction_hidden": 6}


@pytest.mark.parametrize(
    ("name", "options", "projector", "predictor"),
    [
        ("arb", {}, THREE_NORMED, None),
        ("barlow_twins", {}, THREE_NORMED, None),
        ("direct_alignment", {}, THREE_NORMED, None),
        ("vicreg", {}, THREE_NORMED, None),
        ("simclr", {}, "16 BN ReLU 4 BN", None),
        ("w_mse", {}, TWO_NORMED, None),
        ("swav", {}, TWO_NORMED, None),
        ("byol", PREDICTOR, TWO_NORMED, "6 BN ReLU 4"),
        ("simsiam", PREDICTOR, THREE_NORMED + " BN", "6 BN ReLU 4"),
        ("moco_v2", {}, TWO_PLAIN, None),
        ("ressl", {}, TWO_PLAIN, None),
        ("dino", {}, "16 BN GELU 16 BN GELU 4", None),
    ],
)
def test_heads_are_built_as_declared(name, options, projector, predictor):
    run = settings(name, options_of(name) | options) | {"proj_dim": 4}
    method = new_method(run, 1, 4, seed=0)
    assert layers(method.projector) == projector.split()
    assert hasattr(method, "predictor") == (predictor is not None)
    if predictor is not None:
        assert layers(method.predictor) == predictor.split()
    if hasattr(method, "teacher"):
        assert layers(method.teacher[1]) == projector.split()


def test_arb_takes_the_options_of_its_loss():
    options = ({"groups": 1}, {"groups": 4}, {"groups": 4, "shuffle": True}, {"groups": 1, "level": "instance"})
    assert len({new_method(settings("arb", o), 1, 4, seed=0).train().loss(*batch("arb")).item() for o in options}) == 4


def test_unknown_methods_and_options_are_refused():
    encoder, sizes = conv_encoder(1, [4], [1]), Sizes(4, 8, 8, 4)
    with pytest.raises(UserError, match="unknown method 'nonsense'; known are arb, arb_ablation"):
        build_method("nonsense", encoder, sizes, {})
    for name in NAMES:
        with pytest.raises(UserError, match=f"method {name} cannot be built with options .*colour"):
            build_method(name, encoder, sizes, options_of(name) | {"colour": "red"})
    with pytest.raises(UserError, match=r"method simclr .*temperature"):
        build_method("simclr", encoder, sizes, {})
    with pytest.raises(UserError, match=r"method arb .*level must be one of feature, instance"):
        build_method("arb", encoder, sizes, {"level": "image"})


def test_one_seed_gives_every_method_the_same_encoder():
    encoders = [new_method(settings(name), 1, 4, seed=3).encoder.state_dict() for name in NAMES]
    for encoder in encoders[1:]:
        assert encoder.keys() == encoders[0].keys()
        assert all(torch.equal(encoder[key], encoders[0][key]) for key in encoder)
    other = new_method(settings(NAMES[0]), 1, 4, seed=4).encoder.state_dict()
    assert not torch.equal(other["0.weight"], encoders[0]["0.weight"])


@pytest.mark.parametrize("name", NAMES)
def test_a_new_method_neither_uses_nor_moves_global_randomness(name):
    states = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        states.append(new_method(settings(name), 1, 4, seed=0).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


# --- training ---------------------------------------------------------------------------------------------------------


def assert_same(first, second):
    (method, record, kept), (other, other_record, other_kept) = first, second
    state, other_state = method.state_dict(), other.state_dict()
    assert state.keys() == other_state.keys()
    assert [key for key in state if not torch.equal(state[key], other_state[key])] == []
    assert record["losses"] == other_record["losses"]
    assert record.get("trace") == other_record.get("trace")
    assert kept.keys() == other_kept.keys()
    assert all(torch.equal(kept[epoch][key], other_kept[epoch][key]) for epoch in kept for key in kept[epoch])


def save_always(monkeypatch):
    monkeypatch.setattr(pretrain, "SAVE_SECONDS", -1)
    monkeypatch.setattr(pretrain, "SAVE_SHARE", math.inf)


def test_a_new_method_touches_no_gpu(monkeypatch):
    def touched(*_):
        raise AssertionError

    for name in ("device_count", "get_rng_state", "set_rng_state", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, touched)
    new_method(settings(*SIMCLR), 1, 4, 0)


SHUFFLED = ("arb", {"groups": 4, "shuffle": True, "ridge": 1e-4})
SIMCLR = ("simclr", {"temperature": 0.5})


@pytest.mark.parametrize(("name", "options"), [SHUFFLED, *((name, None) for name in TRAINED)])
@pytest.mark.parametrize("stop_after", [1, 2])
def test_resumed_training_ends_as_if_it_had_not_been_interrupted(images, tmp_path, monkeypatch, name, options, stop_after):
    run = settings(name, options)
    undisturbed = train(images, run, 0, tmp_path / "undisturbed.state", Recorder())
    save_always(monkeypatch)
    with pytest.raises(InterruptedByTestError):
        train(images, run, 0, tmp_path / "seed0.state", Recorder(stop_after=stop_after))
    second = Recorder()
    resumed = train(images, run, 0, tmp_path / "seed0.state", second)
    assert second.finished == [1, 2, 3][stop_after:]
    assert len(resumed[1]["losses"]) == 3
    assert_same(resumed, undisturbed)


@pytest.mark.parametrize("name", ["arb", "swav", "moco_v2"])
@pytest.mark.parametrize("step", [1, 2, 3, 6])  # of 4 an epoch
def test_training_stopped_by_sigterm_goes_on_at_the_next_step(images, tmp_path, monkeypatch, name, step):
    undisturbed = train(images, settings(name), 0, tmp_path / "undisturbed.state", Recorder())
    made = count()

    def watched(*arguments):
        if next(made) == (step - 1) * len(settings(name)["views"]):
            os.kill(os.getpid(), signal.SIGTERM)
        return draw_view(*arguments)

    draw_view = pretrain.draw_view
    monkeypatch.setattr(pretrain, "draw_view", watched)
    with pytest.raises(KeyboardInterrupt):
        train(images, settings(name), 0, tmp_path / "seed0.state", Recorder())
    begun_at = next(made)
    again = Recorder()
    assert_same(train(images, settings(name), 0, tmp_path / "seed0.state", again), undisturbed)
    assert begun_at == step * len(settings(name)["views"])
    assert next(made) - begun_at - 1 == (12 - step) * len(settings(name)["views"])  # no step was made twice
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_interrupted_before_the_first_save_training_starts_anew(images, tmp_path):
    undisturbed = train(images, settings(*SHUFFLED), 0, tmp_path / "undisturbed.state", Recorder())
    with pytest.raises(InterruptedByTestError):
        train(images, settings(*SHUFFLED), 0, tmp_path / "seed0.state", Recorder(stop_after=2))
    assert not (tmp_path / "seed0.state").exists()
    again = Recorder()
    assert_same(train(images, settings(*SHUFFLED), 0, tmp_path / "seed0.state", again), undisturbed)
    assert again.finished == [1, 2, 3]


def test_complete_training_is_not_repeated(images, tmp_path):
    first = train(images, settings(*SIMCLR), 0, tmp_path / "seed0.state", Recorder())
    again = Recorder()
    second = train(images, settings(*SIMCLR), 0, tmp_path / "seed0.state", again)
    assert again.finished == []
    assert_same(second, first)
    assert second[1] == first[1]


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: content[:-1] + b"?", lambda content: b""])
def test_a_damaged_checkpoint_is_set_aside_and_said(images, tmp_path, damage):
    checkpoint = tmp_path / "seed0.state"
    undisturbed = train(images, settings(*SHUFFLED), 0, checkpoint, Recorder())
    damaged = damage(checkpoint.read_bytes())
    checkpoint.write_bytes(damaged)
    progress = Recorder()
    assert_same(train(images, settings(*SHUFFLED), 0, checkpoint, progress), undisturbed)
    assert progress.finished == [1, 2, 3]
    assert (tmp_path / "seed0.damaged").read_bytes() == damaged
    for part in ("seed0.state is damaged", "seed0.damaged", "training from the start"):
        assert part in progress.lines[0]


def test_a_checkpoint_of_other_data_is_set_aside_and_said(images, tmp_path):
    other = ImageSet(images.images.flip(0), images.labels, images.source, 4, "other")
    undisturbed = train(images, settings(*SIMCLR), 0, tmp_path / "undisturbed.state", Recorder())
    train(other, settings(*SIMCLR), 0, tmp_path / "seed0.state", Recorder())
    progress = Recorder()
    assert_same(train(images, settings(*SIMCLR), 0, tmp_path / "seed0.state", progress), undisturbed)
    assert "trained on other data" in progress.lines[0]
    assert (tmp_path / "seed0.other_data").exists()


@pytest.mark.parametrize("other", [settings(*SHUFFLED), settings(*SIMCLR, learning_rate=0.01)])
def test_a_checkpoint_of_other_settings_is_set_aside_and_said(images, tmp_path, other):
    undisturbed = train(images, settings(*SIMCLR), 0, tmp_path / "undisturbed.state", Recorder())
    train(images, other, 0, tmp_path / "seed0.state", Recorder())
    progress = Recorder()
    assert_same(train(images, settings(*SIMCLR), 0, tmp_path / "seed0.state", progress), undisturbed)
    assert "trained with other settings" in progress.lines[0]
    assert (tmp_path / "seed0.other_settings").exists()


def test_training_is_settled_by_its_seed(images, tmp_path):
    results = []
    for attempt, (seed, global_seed) in enumerate([(0, 0), (0, 1), (1, 1)]):
        torch.manual_seed(global_seed)
        results.append(train(images, settings(*SHUFFLED), seed, tmp_path / f"{attempt}.state", Recorder()))
    assert_same(results[0], results[1])
    assert results[0][1]["losses"] != results[2][1]["losses"]


def test_labels_reach_only_the_methods_that_use_them(images, tmp_path):
    relabelled = ImageSet(images.images, images.labels.flip(0), images.source, 4, "synthetic")
    for name in TRAINED:
        run, places = settings(name, epochs=1), (tmp_path / f"{name}{i}.state" for i in range(2))
        first, second = (train(data, run, 0, next(places), Recorder(1))[1] for data in (images, relabelled))
        assert (first["losses"] == second["losses"]) == (name != "supervised")


def test_all_methods_see_the_same_views(images, tmp_path, monkeypatch):
    seen = {}

    def watched(*arguments):
        seen[name].append(random_view(*arguments))
        return seen[name][-1]

    random_view = pretrain.draw_view
    monkeypatch.setattr(pretrain, "draw_view", watched)
    for name in TRAINED:
        seen[name] = []
        train(images, settings(name), 0, tmp_path / f"{name}.state", Recorder())
    n_views = {name: len(settings(name)["views"]) for name in TRAINED}
    steps = {name: [views[i : i + n_views[name]] for i in range(0, len(views), n_views[name])] for name, views in seen.items()}
    standard = DIGITS["views"]["standard"]
    for name in TRAINED:
        assert len(steps[name]) == 12
        for i, view in enumerate(settings(name)["views"]):
            if view == standard:  # more views, or other ones beside it, do not change it
                assert all(torch.equal(mine[i], other[i]) for mine, other in zip(steps[name], steps["arb"], strict=True))
    assert {name: n for name, n in n_views.items() if n > 2} == {"dino": 4, "swav": 4}
    assert settings("ressl")["views"] == [DIGITS["views"]["weak"], standard]


class Schedule(BaseMethod):
    """Notes what it is told of the steps."""

    def __init__(self, encoder):
        super().__init__(encoder)
        self.steps = []
        self.losses = 0

    def begin_step(self, step, steps):
        assert torch.is_grad_enabled()
        self.steps.append((step, steps))

    def loss(self, views, labels, generator):
        assert self.training  # batch normalisation sees the batch
        assert len(self.steps) == len(set(self.steps))
        self.losses += 1
        assert len(self.steps) == self.losses  # the step begins before its loss
        return self.encoder(views[0]).sum()


def test_a_method_is_told_every_step_also_when_resumed(images, tmp_path, monkeypatch):
    made = []

    def new_method(*_):
        made.append(Schedule(conv_encoder(1, [4], [2])))
        return made[-1]

    monkeypatch.setattr(pretrain, "new_method", new_method)
    save_always(monkeypatch)
    run = settings("supervised", learning_rate=1e-3)
    with pytest.raises(InterruptedByTestError):
        train(images, run, 0, tmp_path / "seed0.state", Recorder(stop_after=2))
    train(images, run, 0, tmp_path / "seed0.state", Recorder())
    assert made[0].steps == [(step, 12) for step in range(8)]
    assert made[1].steps == [(step, 12) for step in range(8, 12)]


@pytest.mark.parametrize(("optimizer", "kind"), [("lars", Lars), ("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_the_optimizer_is_the_configured_one(optimizer, kind):
    method = new_method(settings("byol"), 1, 4, seed=0)
    run = settings("byol", optimizer=optimizer, learning_rate=0.5, bias_learning_rate=0.25, weight_decay=0.125)
    made, _ = build_optimizer(method, run, 4)
    weights, biases = made.param_groups
    assert type(made) is kind
    assert (weights["initial_lr"], biases["initial_lr"]) == (0.5, 0.25)
    assert (weights["weight_decay"], biases["weight_decay"]) == (0.125, 0.0)
    # the teacher is not trained
    trained = [*method.encoder.parameters(), *method.projector.parameters(), *method.predictor.parameters()]
    assert {id(p) for p in [*weights["params"], *biases["params"]]} == {id(p) for p in trained}
    assert all(p.ndim > 1 for p in weights["params"])
    assert all(p.ndim == 1 for p in biases["params"])


def test_rates_warm_up_linearly_and_fall_on_a_cosine(images):
    run = settings("simclr")
    method = new_method(run, 1, 4, seed=0)
    optimizer, schedule = build_optimizer(method, run, steps_per_epoch=10)
    weights, biases = optimizer.param_groups
    assert (weights["momentum"], weights["trust_coefficient"], weights["weight_decay"]) == (0.9, 0.02, 1e-4)
    assert biases["weight_decay"] == 0
    assert {p.ndim for p in biases["params"]} == {1}
    rates = []
    for _ in range(30):
        rates.append((weights["lr"], biases["lr"]))
        optimizer.step()
        schedule.step()
    cosine = [0.001 + 0.999 * (1 + math.cos(math.pi * k / 26)) / 2 for k in range(27)]
    for (weight, bias), factor in zip(rates, [1 / 3, 2 / 3, 1, *cosine], strict=True):
        assert weight == pytest.approx(0.6 * factor)
        assert bias == pytest.approx(0.015 * factor)


def test_every_step_takes_the_rate_of_its_place(images, tmp_path, monkeypatch):
    rates = []
    step = Lars.step

    def noted(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(Lars, "step", noted)
    train(images, settings("simclr"), 0, tmp_path / "state", Recorder())
    assert len(rates) == 12
    assert rates[1:] == sorted(rates[1:], reverse=True)  # the warm-up of a tenth is one step
    assert rates[-1] == pytest.approx(0.001 * rates[1])


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(UserError, match="unknown optimizer 'sgdm'; known are lars, sgd, adam"):
        build_optimizer(new_method(settings("simclr"), 1, 4, seed=0), settings("simclr", optimizer="sgdm"), 4)


def test_the_loss_is_divided_as_configured(images, tmp_path):
    once = {"batch_size": 64, "epochs": 1}
    plain = train(images, settings(*SIMCLR, **once), 0, tmp_path / "1.state", Recorder(1))[1]["losses"]
    divided = train(images, settings(*SIMCLR, **once, loss_divisor=4), 0, tmp_path / "4.state", Recorder(1))[1]["losses"]
    assert divided == pytest.approx([plain[0] / 4])


def test_without_epochs_the_encoder_stays_as_initialised(images, tmp_path):
    method, record, kept = train(images, settings("random_encoder", epochs=0), 5, tmp_path / "seed5.state", Recorder(0))
    assert_same((method, record, kept), (new_method(settings("random_encoder"), 1, 4, seed=5), {"losses": []}, kept))
    assert kept.keys() == {0}


def test_all_that_a_method_keeps_is_in_its_state():
    for name in NAMES:
        method = new_method(settings(name), 1, 4, seed=0)
        kept = {place for place, _ in method.named_buffers()} | {place for place, _ in method.named_parameters()}
        if name == "simclr":
            kept -= {"criterion.memory_bank.bank", "criterion.memory_bank.bank_ptr"}  # of size 0
        assert kept == set(method.state_dict())
        assert any("bank" in place for place in kept) == (name in ("moco_v2", "ressl", "swav"))


# --- what cannot be trained -------------------------------------------------------------------------------------------


def test_a_batch_larger_than_the_images_is_refused(images, tmp_path):
    with pytest.raises(UserError, match="batch_size 65 is larger than the 64 training images"):
        train(images, settings("supervised", batch_size=65), 0, tmp_path / "seed0.state", Recorder())


@pytest.mark.parametrize("name", TRAINED)
def test_a_diverging_loss_is_refused(images, tmp_path, name):
    with pytest.raises(UserError, match=r"epoch 1, step \d.*; .*choose a smaller learning_rate"):
        train(images, settings(name, learning_rate=1e30, warmup_fraction=0.0), 0, tmp_path / "seed0.state", Recorder())


@pytest.mark.parametrize("name", TRAINED)
def test_infinite_images_are_refused(images, tmp_path, name):
    infinite = ImageSet(torch.full_like(images.images, torch.inf), images.labels, images.source, 4, "synthetic")
    with pytest.raises(UserError, match="epoch 1, step 1"):
        train(infinite, settings(name), 0, tmp_path / "seed0.state", Recorder())
    assert not (tmp_path / "seed0.state").exists()


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda loss: None, "None"),
        (lambda loss: 1.5, "1.5"),
        (lambda loss: loss.repeat(2), "tensor"),
        (lambda loss: loss.detach(), "tensor"),
    ],
)
def test_what_is_no_scalar_loss_is_refused(images, tmp_path, monkeypatch, returned, said):
    class Wrong(Schedule):
        def loss(self, *batch):
            return returned(super().loss(*batch))

    monkeypatch.setattr(pretrain, "new_method", lambda *_: Wrong(conv_encoder(1, [4], [2])))
    with pytest.raises(UserError, match=f"method supervised: loss must return a scalar tensor with a gradient, not {said}"):
        train(images, settings("supervised"), 0, tmp_path / "seed0.state", Recorder())


def test_a_file_without_a_method_is_refused(tmp_path, monkeypatch):
    (tmp_path / "nothing.py").write_text("x = 1\n")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    with pytest.raises(UserError, match=r"nothing\.py has no class Method"):
        build_method("nothing", conv_encoder(1, [4], [1]), Sizes(4, 8, 8, 4), {})
