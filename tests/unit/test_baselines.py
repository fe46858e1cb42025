"""The baselines of Table 1 against literal readings of their papers, and what each one's defining part does."""

import math

import numpy as np
import pytest
import torch
from lightly.loss import swav_loss
from torch import nn

from arb_suite.method import new_method

pytestmark = pytest.mark.usefixtures("one_thread")

N, D, QUEUE, PROTOTYPES = 16, 4, 48, 7
MOMENTUM = {"byol": [0.9, 1.0], "moco_v2": [0.9, 0.99], "dino": [0.8, 0.95], "ressl": [0.7, 1.0]}
OPTIONS = {
    "barlow_twins": {"lambda_param": 0.05},
    "byol": {"prediction_hidden": 6},
    "dino": {
        "prototypes": PROTOTYPES,
        "student_temperature": 0.12,  # none of these is what lightly takes where it is told nothing
        "teacher_temperature": 0.07,
        "first_teacher_temperature": 0.04,
        "temperature_warmup": 0.5,
        "frozen": 0.5,
    },
    "moco_v2": {"temperature": 0.2, "queue_size": QUEUE},
    "ressl": {"student_temperature": 0.1, "teacher_temperature": 0.04, "queue_size": QUEUE},
    "simclr": {"temperature": 0.2},
    "simsiam": {"prediction_hidden": 6},
    "swav": {
        "prototypes": PROTOTYPES,
        "temperature": 0.15,
        "epsilon": 0.06,
        "iterations": 2,
        "frozen": 0.5,
        "queue_size": QUEUE,
        "queue_after": 0.75,
    },
    "vicreg": {"lambda_param": 25.0, "mu_param": 10.0, "nu_param": 3.0},
    "w_mse": {"whitening_size": N // 2},
}


def build(name, noise=0.1, **options):
    """A method in double precision, whose teacher is not its student and whose centre is not zero; queues start at random."""
    momentum = {"momentum": MOMENTUM[name]} if name in MOMENTUM else {}
    encoder = {"kind": "conv", "widths": [4, 8], "strides": [2, 2]}
    run = {"encoder": encoder, "projector_hidden": 16, "proj_dim": D, "method": name}
    method = new_method(run | {"options": OPTIONS[name] | momentum | options}, 1, 4, seed=0).double().train()
    stream = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for place, parameter in method.named_parameters():
            # DINO's weight_g is the length of the prototypes and stays 1.
            if place.startswith("teacher.") and not place.endswith("weight_g"):
                parameter += noise * torch.randn(parameter.shape, generator=stream)
        if name == "dino":
            method.criterion.center += 0.2 * torch.randn(method.criterion.center.shape, generator=stream)
        if name == "swav":
            method.begin_step(2, 4)  # prototypes are unit vectors and train; the queue is not used yet
    return method


def images(small=0, seed=1):
    """Two views of N images that differ in content and contrast, and further small ones."""
    stream = torch.Generator().manual_seed(seed)
    content = torch.randn(N, 1, 12, 12, generator=stream) * torch.rand(N, 1, 1, 1, generator=stream)
    content += torch.randn(N, 1, 1, 1, generator=stream)
    views = [content + 0.3 * torch.randn(content.shape, generator=stream) for _ in range(2 + small)]
    return [view.double() for view in views[:2]] + [view[..., 2:9, 3:10].double() for view in views[2:]]


def loss_of(method, views, seed=2):
    return method.loss(views, torch.arange(N) % 4, torch.Generator().manual_seed(seed))


def gradients(method, loss):
    """The gradient of every parameter; None for those that got none."""
    method.zero_grad(set_to_none=True)
    loss.backward()
    return {place: parameter.grad for place, parameter in method.named_parameters()}


def encoder_gradient(method, views, seed=2):
    found = gradients(method, loss_of(method, views, seed))
    return torch.cat([found[f"encoder.{place}"].flatten() for place, _ in method.encoder.named_parameters()])


def assert_close(actual, expected):
    # Nearly all agree to 1e-14; lightly keeps the temperature of DINO's teacher in single precision.
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-7)


def assert_differs(actual, expected):
    assert (actual - expected).norm() > 1e-2 * expected.norm()


def on_embeddings(name, **options):
    """A method whose views are the embeddings, so that no batch normalisation mixes the images before the loss."""
    method = build(name, **options)
    method.encoder = method.projector = nn.Identity()
    return method


# --- the papers' losses, read literally -------------------------------------------------------------------------------


def unit(vector):
    return vector / (vector * vector).sum().sqrt()


def softmax(scores):
    powers = [score.exp() for score in scores]
    return [power / sum(powers) for power in powers]


def cross_entropy(target, scores):
    return -sum(share * prediction.log() for share, prediction in zip(target, softmax(scores), strict=True))


def byol(method, views):
    """Eq. 2 in both directions; the suite's loss leaves out the factor 4 and the constant."""
    paper = 0
    for online, target in ((0, 1), (1, 0)):
        predictions = method.predictor(method.projector(method.encoder(views[online])))
        targets = method.teacher(views[target]).detach()
        paper += sum((unit(q) - unit(z)).pow(2).sum() for q, z in zip(predictions, targets, strict=True)) / N
    return (paper - 4) / 4


def simsiam(method, views, stop_gradient=True):
    """Eqs. 1 and 4."""
    z = [method.projector(method.encoder(view)) for view in views]
    p = [method.predictor(embedding) for embedding in z]
    targets = [embedding.detach() if stop_gradient else embedding for embedding in z]
    return sum(-unit(p[a][i]) @ unit(targets[b][i]) / 2 for a, b in ((0, 1), (1, 0)) for i in range(N)) / N


def moco_v2(method, views):
    """Eq. 1 of MoCo, in both directions, each with the queue of its keys; the positive key comes first."""
    loss = 0
    for direction in (0, 1):
        queries = method.projector(method.encoder(views[direction]))
        keys = method.teacher(views[1 - direction])
        queue = method.criteria[direction].memory_bank.bank
        for q, k in zip(queries, keys, strict=True):
            logits = [unit(q) @ unit(k) / 0.2] + [unit(q) @ negative / 0.2 for negative in queue]
            loss -= softmax(logits)[0].log() / N / 2
    return loss


def dino(method, views, temperature=0.04):
    """Algorithm 1 with multi-crop: H(teacher of x, student of x') over all large x and all x' but x itself."""

    def scores(encoder, head, view):
        prototypes = [unit(prototype) for prototype in head.last_layer.weight_v]
        return [[unit(z) @ prototype for prototype in prototypes] for z in head.layers(encoder(view))]

    student = [scores(method.encoder, method.projector, view) for view in views]
    with torch.no_grad():
        teacher = [scores(*method.teacher, view) for view in views[:2]]
    centre = method.criterion.center.flatten()
    terms = []
    for t in range(2):
        targets = [softmax([(s - c) / temperature for s, c in zip(row, centre, strict=True)]) for row in teacher[t]]
        for s in range(len(views)):
            if s != t:
                terms += [cross_entropy(targets[i], [score / 0.12 for score in student[s][i]]) for i in range(N)]
    return sum(terms) / len(terms)


def ressl(method, views):
    """Eqs. 3 to 5: the weak view through the teacher, the strong one through the student, related to the queue."""
    weak, strong = views
    teacher, student = method.teacher(weak), method.projector(method.encoder(strong))
    loss = 0
    for t, s in zip(teacher, student, strict=True):
        relations = softmax([unit(t) @ entry / 0.04 for entry in method.queue.bank])
        loss += cross_entropy(relations, [unit(s) @ entry / 0.1 for entry in method.queue.bank]) / N
    return loss


def sinkhorn_knopp(scores):
    """Alternately give all prototypes the same share of the images, and every image the same weight, three times."""
    q = np.exp(scores.detach().numpy() / 0.06)
    for _ in range(2):
        for k in range(q.shape[1]):
            q[:, k] /= q[:, k].sum() * q.shape[1]
        for i in range(q.shape[0]):
            q[i] /= q[i].sum() * q.shape[0]
    return q * len(q)


def swav(method, views, queue=False):
    """Eqs. 2 to 5 with multi-crop (Eq. 6): the assignments of each large view are predicted from all other views."""
    prototypes = method.prototypes.heads[0].weight
    scores = []
    for view in views:
        embeddings = method.projector(method.encoder(view))
        scores.append(torch.stack([torch.stack([unit(z) @ c for c in prototypes]) for z in embeddings]))
    loss = 0
    for large in range(2):
        assigned = torch.cat([scores[large], method.queues[large].bank @ prototypes.T]) if queue else scores[large]
        q = sinkhorn_knopp(assigned)
        for other in range(len(views)):
            if other != large:
                loss += sum(cross_entropy(q[i], scores[other][i] / 0.15) for i in range(N)) / N / (len(views) - 1) / 2
    return loss


def embeddings(method, views):
    return [method.projector(method.encoder(view)) for view in views]


def covariance(z):
    """Unbiased, as the sum of what the images contribute."""
    mean = sum(z) / len(z)
    return sum(torch.outer(row - mean, row - mean) for row in z) / (len(z) - 1)


def whitened_together(method, views, seed=2):
    """The rows, of both views, that went through the whitening at once; and what came out."""
    inputs, outputs = [], []

    def record(_, given, result):
        inputs.append(given[0].detach())
        outputs.append(result.detach())

    hook = method.criterion.whitening.register_forward_hook(record)
    loss_of(method, views, seed)
    hook.remove()
    rows = torch.cat(embeddings(method, views)).detach()
    return [[int((rows == row).all(1).nonzero()) for row in group] for group in inputs], outputs


def w_mse(method, views):
    """Eqs. 2, 3 and 5: whiten by the Cholesky factor of the inverse covariance, within the random sub-batches of a view."""
    groups, _ = whitened_together(method, views)
    z = torch.cat(embeddings(method, views))
    whitened = [None] * (2 * N)
    for group in groups:
        part = z[group]
        factor = torch.linalg.inv(torch.linalg.cholesky(covariance(part)))
        for i in group:
            whitened[i] = unit(factor @ (z[i] - sum(part) / len(part)))
    return sum((whitened[i] - whitened[N + i]).pow(2).sum() for i in range(N)) / N


def vicreg(method, views):
    """
    Eqs. 1 to 6 as in the authors' code, which lightly follows.

    The code divides the invariance term by the dimension and the variance term by two, which Eqs. 5 and 6 do not.
    """
    z = embeddings(method, views)
    loss = 25.0 * sum((z[0][i] - z[1][i]).pow(2).sum() for i in range(N)) / N / D
    for c in (covariance(z[0]), covariance(z[1])):
        loss += 10.0 * sum(max(1 - (c[j, j] + 1e-4).sqrt(), torch.zeros(())) for j in range(D)) / D / 2
        loss += 3.0 * sum(c[i, j] ** 2 for i in range(D) for j in range(D) if i != j) / D
    return loss


def simclr(method, views):
    """Eq. 1 and Algorithm 1: 2N images, each with one positive and 2N - 2 negatives."""
    z = [unit(row) for row in torch.cat(embeddings(method, views))]
    loss = 0
    for i in range(2 * N):
        powers = {k: (z[i] @ z[k] / 0.2).exp() for k in range(2 * N) if k != i}
        loss -= (powers[(i + N) % (2 * N)] / sum(powers.values())).log() / (2 * N)
    return loss


def barlow_twins(method, views):
    """Eqs. 1 and 2; the authors' code normalises by batch normalisation, whose epsilon is 1e-5."""
    a, b = (
        [(z - z.mean()) / ((z - z.mean()).pow(2).mean() + 1e-5).sqrt() for z in embedding.T]
        for embedding in embeddings(method, views)
    )
    c = [[first @ second / N for second in b] for first in a]
    off_diagonal = sum(c[i][j] ** 2 for i in range(D) for j in range(D) if i != j)
    return sum((1 - c[i][i]) ** 2 for i in range(D)) + 0.05 * off_diagonal


PAPERS = (barlow_twins, byol, dino, moco_v2, ressl, simclr, simsiam, swav, vicreg, w_mse)
MULTI_CROP = (dino, swav)


def assert_is(method, views, literal):
    """The loss of the method, and the gradient of every parameter, are those of another method's literal loss."""
    other, expected = literal
    loss = loss_of(method, views)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    actual, wanted = gradients(method, loss), gradients(other, expected)
    assert [place for place in actual if (actual[place] is None) != (wanted[place] is None)] == []
    for place, gradient in wanted.items():
        if gradient is not None:
            assert_close(actual[place], gradient)


@pytest.mark.parametrize(
    ("paper", "small"),
    [(paper, 0) for paper in PAPERS] + [(paper, 2) for paper in MULTI_CROP],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_loss_and_gradient_are_those_of_the_paper(paper, small):
    method, twin, views = build(paper.__name__), build(paper.__name__), images(small)
    assert_is(method, views, (twin, paper(twin, views)))


# --- taking the defining part out -------------------------------------------------------------------------------------


def set_to(**values):
    """A change of the method: 'a__b=value' sets its attribute a.b."""

    def change(method):
        for path, value in values.items():
            *parents, last = path.split("__")
            setattr(method.get_submodule(".".join(parents)), last, value)

    return change


def refill(path):
    """A change of the method: a queue gets other unit vectors."""

    def change(method):
        bank = method.get_submodule(path).bank
        bank.copy_(nn.functional.normalize(torch.randn(bank.shape, generator=torch.Generator().manual_seed(8)), dim=1))

    return change


def student_of(method):
    return nn.Sequential(method.encoder, method.projector)


def copy_student(method):
    method.teacher.load_state_dict(student_of(method).state_dict())


PARTS = {
    "barlow_twins: redundancy": ("barlow_twins", set_to(criterion__lambda_param=0.0)),
    "byol: predictor": ("byol", set_to(predictor=nn.Identity())),
    "byol: teacher": ("byol", copy_student),
    "dino: teacher": ("dino", copy_student),
    "dino: centring": ("dino", lambda method: method.criterion.center.zero_()),
    "dino: sharpening": ("dino", set_to(temperature=0.1)),
    "dino: student temperature": ("dino", set_to(criterion__student_temp=1.0)),
    "moco_v2: queue of the first direction": ("moco_v2", refill("criteria.0.memory_bank")),
    "moco_v2: queue of the second direction": ("moco_v2", refill("criteria.1.memory_bank")),
    "moco_v2: teacher": ("moco_v2", copy_student),
    "moco_v2: temperature": ("moco_v2", lambda method: [setattr(c, "temperature", 1.0) for c in method.criteria]),
    "ressl: queue": ("ressl", refill("queue")),
    "ressl: teacher": ("ressl", copy_student),
    "ressl: sharpening": ("ressl", set_to(criterion__teacher_temperature=0.1)),
    "ressl: student temperature": ("ressl", set_to(criterion__student_temperature=1.0)),
    "simclr: temperature": ("simclr", set_to(criterion__temperature=1.0)),
    "simsiam: predictor": ("simsiam", set_to(predictor=nn.Identity())),
    "swav: temperature": ("swav", set_to(criterion__temperature=1.0)),
    "swav: iterations": ("swav", set_to(criterion__sinkhorn_iterations=1)),
    "vicreg: invariance": ("vicreg", set_to(criterion__lambda_param=0.0)),
    "vicreg: variance": ("vicreg", set_to(criterion__mu_param=0.0)),
    "vicreg: covariance": ("vicreg", set_to(criterion__nu_param=0.0)),
    "w_mse: whitening": ("w_mse", set_to(criterion__whitening=nn.Identity())),
}


@pytest.mark.parametrize("part", PARTS)
def test_without_its_part_a_method_has_another_gradient(part):
    name, take_out = PARTS[part]
    whole, without = build(name), build(name)
    take_out(without)
    assert_differs(encoder_gradient(without, images()), encoder_gradient(whole, images()))


@pytest.mark.parametrize("name", ["dino", "swav"])
def test_small_crops_change_the_gradient(name):
    assert_differs(encoder_gradient(build(name), images(small=2)), encoder_gradient(build(name), images()))


@pytest.mark.parametrize(
    ("name", "weights"), [("dino", "projector.last_layer.weight_v"), ("swav", "prototypes.heads.0.weight")]
)
def test_prototypes_are_frozen_for_the_configured_fraction(name, weights):
    method = build(name)
    for step in range(6):
        method.begin_step(step, 6)
        gradient = gradients(method, loss_of(method, images()))[weights]
        assert (gradient is None) == (step < 3)  # half of the steps
        assert step < 3 or gradient.any()


# --- the teacher ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOMENTUM)
def test_the_teacher_follows_the_student_on_a_cosine(name):
    first, last = MOMENTUM[name]
    steps, method = 5, build(name)
    for step in range(steps):
        share = last - (last - first) * (1 + math.cos(math.pi * step / (steps - 1))) / 2
        assert share == pytest.approx({0: first, 4: last}.get(step, share))
        expected = [
            share * t + (1 - share) * s
            for t, s in zip(method.teacher.parameters(), student_of(method).parameters(), strict=True)
        ]
        student = [parameter.clone() for parameter in student_of(method).parameters()]
        method.begin_step(step, steps)
        assert_close(list(method.teacher.parameters()), expected)
        assert all(torch.equal(now, before) for now, before in zip(student_of(method).parameters(), student, strict=True))


@pytest.mark.parametrize("name", MOMENTUM)
def test_with_momentum_one_the_teacher_stays(name):
    method = build(name, momentum=[1.0, 1.0])
    before = [parameter.clone() for parameter in method.teacher.parameters()]
    for step in range(3):
        method.begin_step(step, 3)
    assert all(torch.equal(now, then) for now, then in zip(method.teacher.parameters(), before, strict=True))


@pytest.mark.parametrize("name", MOMENTUM)
def test_the_teacher_starts_as_the_student_and_gets_no_gradient(name):
    method = build(name)
    loss_of(method, images()).backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in method.teacher.parameters())
    untouched = build(name, noise=0)
    for mine, other in zip(untouched.teacher.parameters(), student_of(untouched).parameters(), strict=True):
        assert torch.equal(mine, other)
        assert mine is not other


# --- queues -----------------------------------------------------------------------------------------------------------


def queues_of(method):
    """Place, memory bank, and the embeddings that shall be in it after the loss of two views."""
    match type(method).__module__.rpartition(".")[2]:
        case "moco_v2":
            return [(f"criteria.{i}.memory_bank", lambda views, i=i: method.teacher(views[1 - i])) for i in (0, 1)]
        case "ressl":
            return [("queue", lambda views: method.teacher(views[0]))]
        case "swav":
            return [(f"queues.{i}", lambda views, i=i: method.projector(method.encoder(views[i]))) for i in (0, 1)]


QUEUED = ["moco_v2", "ressl", "swav"]


@pytest.mark.parametrize("name", QUEUED)
def test_the_embeddings_of_a_batch_join_the_queue_after_its_loss_in_turn(name):
    method = build(name)
    places = queues_of(method)
    contents = [method.get_submodule(place).bank.clone() for place, _ in places]
    for turn, start in enumerate([0, 16, 32, 0, 16]):  # three batches fill the queue
        views = images(seed=20 + turn)
        entries = [torch.stack([unit(z) for z in embed(views)]).detach() for _, embed in places]
        for (place, _), content, new in zip(places, contents, entries, strict=True):
            assert not (torch.cdist(new, content) < 1e-6).any()  # those of this batch are not there yet
            assert int(method.get_submodule(place).bank_ptr) == start
            content[start : start + N] = new
        loss_of(method, views)
        for (place, _), content in zip(places, contents, strict=True):
            assert_close(method.get_submodule(place).bank, content)


@pytest.mark.parametrize("name", QUEUED)
def test_queues_survive_saving_and_loading(name, tmp_path):
    method = build(name)
    for seed in (1, 2):
        loss_of(method, images(seed=seed))
    torch.save(method.state_dict(), tmp_path / "state")
    restored = build(name, **({"momentum": [0.5, 0.5]} if name in MOMENTUM else {}))
    refills = [place for place, _ in queues_of(restored)]
    for place in refills:
        refill(place)(restored)
    restored.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for place in refills:
        bank = method.get_submodule(place)
        assert bank.bank_ptr.item() == 2 * N
        assert torch.equal(restored.get_submodule(place).bank_ptr, bank.bank_ptr)
        assert torch.equal(restored.get_submodule(place).bank, bank.bank)
    assert loss_of(restored, images(seed=3)).item() == loss_of(method, images(seed=3)).item()
    for place in refills:  # also the next entries go to the same places
        assert torch.equal(restored.get_submodule(place).bank, method.get_submodule(place).bank)


# --- SimSiam, DINO, ReSSL ---------------------------------------------------------------------------------------------


def test_simsiam_stops_the_gradient_through_the_targets():
    method, other = build("simsiam"), build("simsiam")
    flowing = simsiam(other, images(), stop_gradient=False)
    assert loss_of(method, images()).item() == pytest.approx(flowing.item())  # the same value ...
    place = "projector.layers.0.weight"
    assert_differs(gradients(method, loss_of(method, images()))[place], gradients(other, flowing)[place])


def test_the_centre_of_dino_is_a_moving_average_of_the_teachers_scores():
    method = build("dino")
    before, views = method.criterion.center.clone(), images(small=2)
    scores = [row for view in views[:2] for row in method.teacher(view)]
    loss_of(method, views)
    assert_close(method.criterion.center.flatten(), 0.9 * before.flatten() + 0.1 * sum(scores) / len(scores))


def test_the_teachers_temperature_rises_linearly_and_then_stays():
    method, views = build("dino"), images()
    assert method.temperature == 0.04
    for step, temperature in enumerate([0.04, 0.0475, 0.055, 0.0625, 0.07, 0.07, 0.07, 0.07]):  # over half of 8 steps
        method.begin_step(step, 8)
        assert method.temperature == pytest.approx(temperature)
        expected = dino(method, views, temperature).item()  # before the centre moves
        assert loss_of(method, views).item() == pytest.approx(expected, rel=1e-6)


def test_the_teacher_of_dino_never_sees_small_crops():
    method, views, seen = build("dino"), images(small=2), []
    method.teacher.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    loss_of(method, views)
    assert len(seen) == 2
    assert torch.equal(seen[0], views[0])
    assert torch.equal(seen[1], views[1])


def test_ressl_tells_the_weak_view_from_the_strong_one():
    weak, strong = images()
    losses = [loss_of(build("ressl"), views).item() for views in ([weak, strong], [strong, weak])]
    assert losses == pytest.approx([ressl(build("ressl"), views).item() for views in ([weak, strong], [strong, weak])])
    assert abs(losses[0] - losses[1]) > 1e-3 * losses[0]


# --- SwAV -------------------------------------------------------------------------------------------------------------


def scores_of(method, view):
    return torch.stack([method.prototypes(unit(z)) for z in method.projector(method.encoder(view))])


def test_assignments_of_swav_give_the_prototypes_equal_shares(monkeypatch):
    scores = scores_of(build("swav"), images()[0])
    shares = swav_loss.sinkhorn(scores, iterations=200, epsilon=0.5).mean(0)
    assert_close(shares, torch.full_like(shares, 1 / PROTOTYPES))
    plain = (scores / 0.05).softmax(1).mean(0)
    three = swav_loss.sinkhorn(scores, iterations=3, epsilon=0.05)
    assert_close(three.sum(1), torch.ones(N, dtype=torch.double))
    assert (three.mean(0) - 1 / PROTOTYPES).abs().max() < 0.5 * (plain - 1 / PROTOTYPES).abs().max()

    whole = encoder_gradient(build("swav"), images())
    monkeypatch.setattr(swav_loss, "sinkhorn", lambda out, epsilon, **_: (out / epsilon).softmax(1))
    assert_differs(encoder_gradient(build("swav"), images()), whole)


def test_prototypes_of_swav_are_unit_vectors_when_a_step_begins():
    method = build("swav")
    with torch.no_grad():
        method.prototypes.heads[0].weight.mul_(torch.arange(1.0, 8.0)[:, None])
    directions = [unit(prototype) for prototype in method.prototypes.heads[0].weight.detach()]
    method.begin_step(0, 4)
    assert_close(list(method.prototypes.heads[0].weight), directions)
    assert [place for place, _ in method.prototypes.named_parameters()] == ["heads.0.weight"]  # no bias


@pytest.mark.parametrize(("step", "queue"), [(0, False), (2, False), (3, True)])
@pytest.mark.parametrize("small", [0, 1])
def test_swav_assigns_with_the_queue_once_it_is_time(step, queue, small):
    method, twin, views = build("swav"), build("swav"), images(small)
    for either in (method, twin):
        either.begin_step(step, 4)
    assert_is(method, views, (twin, swav(twin, views, queue)))
    assert abs(loss_of(build("swav"), views) - swav(twin, views, queue=True)) > 1e-3  # the queue matters


def test_small_crops_are_not_assigned_by_swav(monkeypatch):
    method, views, assigned, sinkhorn = build("swav"), images(small=2), [], swav_loss.sinkhorn
    monkeypatch.setattr(swav_loss, "sinkhorn", lambda out, **options: (assigned.append(out), sinkhorn(out, **options))[1])
    loss_of(method, views)
    assert len(assigned) == 2
    for scores, view in zip(assigned, views[:2], strict=True):
        assert_close(scores, scores_of(method, view).detach())


# --- W-MSE ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [N // 2, N])
def test_whitened_sub_batches_have_identity_covariance(size):
    groups, outputs = whitened_together(build("w_mse", whitening_size=size), images())
    # Each view is divided in the same way, and every image is in one sub-batch.
    assert [len(group) for group in groups] == [size] * (2 * N // size)
    assert sorted(i for group in groups[0::2] for i in group) == list(range(N))
    assert [[i + N for i in group] for group in groups[0::2]] == groups[1::2]
    for whitened in outputs:
        assert_close(whitened.mean(0), torch.zeros(D, dtype=torch.double))
        assert_close(covariance(whitened), torch.eye(D, dtype=torch.double))


def test_the_generator_draws_who_is_whitened_with_whom():
    before = torch.get_rng_state()
    losses = [loss_of(build("w_mse"), images(), seed).item() for seed in (2, 2, 3)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    losses.append(loss_of(build("w_mse"), images(), 2).item())  # the global state is not used either
    assert losses[0] == losses[1] == losses[3]
    assert losses[0] != losses[2]
    method, generator = build("w_mse"), torch.Generator().manual_seed(2)
    assert len({method.loss(images(), None, generator).item() for _ in range(3)}) == 3  # anew in every step
    whole = [loss_of(build("w_mse", whitening_size=N), images(), seed).item() for seed in (2, 3)]
    assert whole[0] == pytest.approx(whole[1])


# --- VICReg, SimCLR, Barlow Twins -------------------------------------------------------------------------------------


def test_the_variance_term_of_vicreg_is_a_hinge_that_forbids_collapse():
    method = on_embeddings("vicreg", lambda_param=0.0, mu_param=10.0, nu_param=0.0)
    z = torch.randn(N, D, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    z = (z - z.mean(0)) / z.std(0)
    collapsed = torch.ones(N, D, dtype=torch.double)
    assert loss_of(method, [collapsed, collapsed]).item() == pytest.approx(10 * (1 - 0.01))  # epsilon is 1e-4
    assert loss_of(method, [2 * z, 3 * z]).item() == 0
    assert loss_of(method, [z / 2, 3 * z]).item() == pytest.approx(10 * (1 - math.sqrt(0.25 + 1e-4)) / 2)


def test_simclr_drives_images_apart():
    method = on_embeddings("simclr")
    z = torch.eye(N, dtype=torch.double)
    merged = z.clone()
    merged[5] = merged[0]
    # Of 2N - 1 others, the positive has cosine 1 and the rest 0; images 0 and 5 then have two more with cosine 1.
    apart = math.log(1 + (2 * N - 2) * math.exp(-5))
    together = math.log(3 + (2 * N - 4) * math.exp(-5))
    assert loss_of(method, [z, z]).item() == pytest.approx(apart)
    assert loss_of(method, [merged, merged]).item() == pytest.approx((apart * (N - 2) + together * 2) / N)

    # Negatives: the gradient of one image's embedding depends on the other images; batch normalisation has no part in it.
    z = torch.randn(N, D, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    found = []
    for sign in (1, -1):
        first, second = z.clone().requires_grad_(), z + 0.1
        with torch.no_grad():
            first[5] *= sign
        loss_of(method, [first, second]).backward()
        found.append(first.grad[0])
    assert_differs(found[1], found[0])


def test_barlow_twins_punishes_redundant_features_by_lambda():
    # Columns of a Hadamard matrix are uncorrelated; the last one is replaced by the first.
    signs = torch.tensor([[(-1.0) ** (i & j).bit_count() for j in (1, 2, 4, 8)] for i in range(N)], dtype=torch.double)
    redundant = signs[:, [0, 1, 2, 0]]
    for weight in (0.0, 0.05, 2.0):
        method = on_embeddings("barlow_twins", lambda_param=weight)
        assert loss_of(method, [signs, signs]).item() == pytest.approx(0, abs=1e-8)
        assert loss_of(method, [redundant, redundant]).item() == pytest.approx(2 * weight, rel=1e-4, abs=1e-8)
        # One view shifted by a feature: nothing on the diagonal, and a one in each row beside it.
        assert loss_of(method, [signs, signs.roll(1, 1)]).item() == pytest.approx(D + D * weight, rel=1e-4)
