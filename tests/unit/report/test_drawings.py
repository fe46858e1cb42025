"""The drawings of the theory: each is made, is legible, says what was computed, and what was computed is right."""

import itertools
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from arb_core import ARBLoss, DirectAlignmentLoss, nearest_orthonormal_basis, standard_scale
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg

from arb_suite.report.bases import PRINTED_RIDGE, between, largest_cosine, of_singular_values, ranks, scaled
from arb_suite.report.canvas import PLANE, turned
from arb_suite.report.collapse import STARTS, descend, embeddings, gradients, misfit, rates
from arb_suite.report.costs import FEATURES, GROUPS
from arb_suite.report.drawings import DRAWINGS, distances, inner_products, svg
from arb_suite.report.information import informations

ROOT = Path(__file__).parents[3]
STORED = {
    entry["claim"]: entry
    for entry in yaml.safe_load((ROOT / "proofs_checks/search/counterexamples.yaml").read_text(encoding="utf-8"))
}
NAMES = ["base", "ridge", "T1.rank", "T2", "T4.distance", "T3", "T5", "X1"]


@pytest.fixture(scope="module")
def drawn():
    """Every drawing, made once."""
    return {name: make() for name, make in DRAWINGS.items()}


def radians(*degrees):
    return torch.tensor(degrees, dtype=torch.float64).deg2rad()


def test_the_drawings_are_those_of_the_theory(drawn):
    assert list(DRAWINGS) == NAMES
    before = plt.get_fignums()  # of other tests
    for make in DRAWINGS.values():
        make()
    assert plt.get_fignums() == before  # none is held


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_svg_without_a_date_and_the_same_each_time(drawn, name):
    text = svg(drawn[name].figure)
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(text.encode()) < 300_000
    assert "dc:date" not in text
    assert "<text" not in text  # letters are paths
    assert svg(drawn[name].figure) == text
    assert svg(DRAWINGS[name]().figure) == text


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_is_said_in_sentences_and_judges_nothing(drawn, name):
    drawing = drawn[name]
    for said in (drawing.caption, drawing.alt):
        assert said.endswith(".")
        assert re.search(r"\d", said)
        assert not re.search(r"nan|inf\b|e[+-]\d\d|-0\b(?!\.)", said.replace("1e-05", ""))
    assert drawing.title
    assert len({drawing.title, drawing.caption, drawing.alt}) == 3
    assert not re.search("holds|conditional|refuted|ill-posed|inconclusive", drawing.title + drawing.caption + drawing.alt)
    assert not re.search(r"[_^\\]", drawing.alt)  # it is read out


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_inside_and_do_not_overlap(drawn, name):
    figure = drawn[name].figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels = list(figure.texts)
    for axis in figure.axes:
        labels += [*axis.texts, axis.title]
        if axis.axison:
            labels += [axis.xaxis.label, axis.yaxis.label]
            for of, (low, high) in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
                labels += [tick.label1 for tick in of.get_major_ticks() if low <= tick.get_loc() <= high]
    for legend in (*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())):
        labels += legend.get_texts()
    boxes = {label: label.get_window_extent(canvas.get_renderer()) for label in labels if label.get_text().strip()}
    assert len(boxes) > 5
    width, height = canvas.get_width_height()
    for label, box in boxes.items():
        assert box.x0 >= 0, label
        assert box.y0 >= 0, label
        assert box.x1 <= width, label
        assert box.y1 <= height, label
        assert label.get_fontsize() >= 8, label
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not first.padded(-0.5).overlaps(second.padded(-0.5)), (one, other)


@pytest.mark.parametrize("degrees", [10, 38, 90, 130])
def test_the_base_turns_two_unit_vectors_apart_by_half_of_what_is_missing(degrees):
    z = embeddings(radians(degrees))
    b = nearest_orthonormal_basis(z)
    (z_1, z_2), (b_1, b_2) = turned([z, b], 20)
    missing = (90 - degrees) / 2
    assert [z_1, z_2] == [pytest.approx((20, 1)), pytest.approx((20 + degrees, 1))]
    assert [b_1, b_2] == [pytest.approx((20 - missing, 1)), pytest.approx((20 + degrees + missing, 1))]
    assert between(z[:, 0], b[:, 0]) == pytest.approx(abs(missing), abs=1e-6)


def test_the_opening_picture_says_these_angles(drawn):
    raw = np.array([[0, 1], [1, 0], [3, 3]]) - [4 / 3, 4 / 3]
    cosine = raw[:, 0] @ raw[:, 1] / np.linalg.norm(raw[:, 0]) / np.linalg.norm(raw[:, 1])
    apart = math.degrees(math.acos(cosine))
    turn = (90 - apart) / 2
    marks = [text.get_text() for text in drawn["base"].figure.axes[0].texts]
    assert marks.count(f"{turn:.0f}°") == 2
    assert marks.count(f"{apart:.0f}°") == 1
    assert f"{apart:.1f} degrees apart" in drawn["base"].caption
    assert f"by {turn:.1f} and {turn:.1f} degrees" in drawn["base"].caption
    assert "those of B are 1.00, 1.00, 1.00" in drawn["base"].caption


@pytest.mark.parametrize("ridge", [0.0, 1e-4, 1e-2, 0.6])
def test_singular_values_are_mapped_as_equation_9_says(drawn, ridge):
    s = torch.logspace(-3, 0.5, 20, dtype=torch.float64)
    torch.testing.assert_close(of_singular_values(s, ridge), s / (s.square() + ridge).sqrt())
    curves = [line.get_data() for line in drawn["ridge"].figure.axes[0].get_lines() if len(line.get_xdata()) > 2]
    x, y = curves[[0.0, 1e-4, 1e-2, 0.6].index(ridge)]
    np.testing.assert_allclose(y, x / np.sqrt(np.square(x) + ridge), rtol=1e-12)


def test_three_features_of_three_samples_are_at_120_degrees_at_best(drawn):
    assert largest_cosine() == pytest.approx(0.5)
    b = nearest_orthonormal_basis(scaled(torch.eye(3).tolist()), PRINTED_RIDGE)
    norm = math.sqrt(2 / 3 * 1.5 / (1.5 + PRINTED_RIDGE))  # two singular values of sqrt(3/2), shared by three columns
    np.testing.assert_allclose(b.norm(dim=0), norm)
    assert f"have the norm {norm:.3f}, not 1" in drawn["T1.rank"].caption
    assert [text.get_text() for text in drawn["T1.rank"].figure.axes[0].texts].count("120°") == 3


def test_centring_costs_one_rank():
    assert ranks(scale=False) == [min(d, 8) for d in range(1, 13)]
    assert ranks(scale=True) == [min(d, 7) for d in range(1, 13)]


def test_the_sides_of_theorem_2_are_those_stored(drawn):
    entry = STORED["T2.one.diag"]
    with_base, with_view = inner_products(entry)
    side = next(side for side in entry["sides"] if side["part"] == "lambda = 0")
    sums = {"left": sum((1 - x) ** 2 for x in with_view), "right": sum((1 - x) ** 2 for x in with_base)}
    assert {key: f"{value:.6f}" for key, value in sums.items()} == {key: side[key] for key in ("left", "right")}
    assert f"The loss is {side['right']}, the invariance term {side['left']}." in drawn["T2"].caption
    titles = [text.get_text() for text in drawn["T2"].figure.texts]
    assert [title.split("= ")[-1] for title in titles] == [f"{float(side[key]):.2f}$" for key in ("right", "left")]


def test_the_sides_of_theorem_4_are_those_stored(drawn):
    entry = STORED["T4.distance"]
    for side in entry["sides"]:
        ridges = [float(text) for text in side["part"].removeprefix("lambda = ").split(" and ")]
        assert [f"{far:.6f}" for far in distances(entry, ridges)] == [side["left"], side["right"]]
        for ridge, text in zip(ridges, (side["left"], side["right"]), strict=True):
            assert f"{float(text):.4f} at lambda = {ridge:g}" in drawn["T4.distance"].caption


def test_the_distance_falls_and_rises(drawn):
    ridges, curve = drawn["T4.distance"].figure.axes[0].get_lines()[0].get_data()
    s = np.linalg.svd(standard_scale(torch.tensor(STORED["T4.distance"]["views"][0]).double()).numpy(), compute_uv=False)
    expected = [np.linalg.norm(s - s / np.sqrt(s**2 + ridge)) / np.linalg.norm(s) for ridge in ridges]
    np.testing.assert_allclose(curve, expected, rtol=1e-9)
    least = int(np.argmin(curve))
    assert 0 < least < len(curve) - 1
    assert f"{ridges[least]:.2g} gives the least, {curve[least]:.4f}" in drawn["T4.distance"].caption


@pytest.mark.parametrize("ridge", [1e-4, 1e-2, 0.6])
def test_at_collapse_the_gradient_is_zero(ridge):
    zero = radians(0, 180)  # 180: the one feature is the other one's negative
    for gradient in gradients(zero, zero, ridge):
        assert gradient.abs().max() < 1e-12
    assert misfit(zero, zero, ridge).min() > 0.3


@pytest.mark.parametrize("ridge", [0.0, 1e-4, 1e-2])
def test_equal_views_leave_collapse_at_the_speed_found_by_hand(ridge):
    angle = radians(0.01, 1, 5, 45, 89, 120, -1, -45)
    # z = cos(x/2) p + sin(x/2) q and its mirror image have the singular values sqrt(2) cos(x/2) and sqrt(2) sin(x/2)
    cos, sin = (angle / 2).cos(), (angle / 2).sin()
    along, across = cos / (2 * cos**2 + ridge).sqrt(), sin / (2 * sin**2 + ridge).sqrt()
    expected = 4 * (1 - cos * along - sin * across) * (cos * across - sin * along)
    for rate in rates(angle, angle, ridge):
        torch.testing.assert_close(rate, expected, rtol=1e-9, atol=1e-12)
        assert ((rate * angle > 0) == (angle.abs() < math.pi / 2)).all()  # away from collapse, up to orthogonality


def test_opposite_deviations_shrink_and_direct_alignment_leaves_equal_views_alone(drawn):
    degrees = radians(1, 10, 60)
    in_a, in_b = rates(degrees, -degrees, PRINTED_RIDGE)
    assert (in_a < 0).all()
    assert (in_b > 0).all()
    for gradient in gradients(degrees, degrees, None):
        assert gradient.abs().max() < 1e-12
    caption = drawn["T5"].caption
    assert f"that of view A at {in_a[0]:.2f}" in caption
    assert f"open at the speed {rates(degrees, degrees, PRINTED_RIDGE)[0][0]:.2f} " in caption
    assert "by direct alignment at 0;" in caption
    assert "the gradient of ARB is 0." in caption


@pytest.mark.parametrize("ridge", [None, 1e-4])
def test_states_of_a_grid_are_those_one_by_one(ridge):
    in_a, in_b = 2 * math.pi * torch.rand(2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - math.pi
    loss = DirectAlignmentLoss(eps=0) if ridge is None else ARBLoss(ridge=ridge, eps=0)
    together, speeds = misfit(in_a, in_b, ridge), rates(in_a, in_b, ridge)
    for i in range(20):
        raw = [embeddings(angle[i : i + 1]).requires_grad_() for angle in (in_a, in_b)]
        value = loss(*raw)
        torch.testing.assert_close(value, together[i])
        value.backward()
        for angle, view, speed in zip((in_a, in_b), raw, speeds, strict=True):
            places = torch.stack([-angle[i] / 2, angle[i] / 2])
            ahead = PLANE.mT @ torch.stack([-places.sin(), places.cos()])  # where a feature moves as its place grows
            first, second = -(view.grad * ahead).sum(dim=0)
            torch.testing.assert_close(second - first, speed[i])
            torch.testing.assert_close(first, -second)  # mirror images


def test_paths_end_where_the_alternative_text_says(drawn):
    starts = torch.tensor(STARTS, dtype=torch.float64).mT
    by_arb, by_direct = (descend(*starts.deg2rad(), ridge)[-1].rad2deg() for ridge in (PRINTED_RIDGE, None))
    assert (by_arb.abs() > 80).all()  # near orthogonal
    assert (by_arb.abs() < 90).all()
    assert (by_arb.sign() == starts.sum(dim=0).sign()).all()
    torch.testing.assert_close(by_direct.sum(dim=0), starts.sum(dim=0))  # straight across: the mean angle stays
    assert ((by_direct[0] - by_direct[1]).abs() < (starts[0] - starts[1]).abs()).all()
    for ends in (by_arb, by_direct):
        assert f"(14, 2) to ({ends[0, 0]:.0f}, {ends[1, 0]:.0f})" in drawn["T5"].alt


def test_embeddings_of_one_base_are_told_apart_by_the_view_alone(drawn):
    for count in range(1, 9):
        assert informations(count) == (pytest.approx(math.log2(count)), 0)
    view, base = (line.get_ydata() for line in drawn["T3"].figure.axes[1].get_lines())
    np.testing.assert_allclose(view, np.log2(range(1, 9)), atol=1e-12)
    np.testing.assert_array_equal(base, 0)
    assert "1 bit of two and 3 bits of 8; its base tells 0 bits." in drawn["T3"].caption


def test_the_embeddings_drawn_are_those_of_the_counterexample(drawn):
    z = [np.array(rows) - np.mean(rows, axis=0) for rows in ([[1, 0], [0, 1], [0, 0]], [[2, 1], [1, 2], [0, 0]])]
    apart = [math.degrees(math.acos(x[:, 0] @ x[:, 1] / (x[:, 0] @ x[:, 0]))) for x in z]
    marks = [text.get_text() for text in drawn["T3"].figure.axes[0].texts]
    assert [marks.count(f"{angle:.0f}°") for angle in apart] == [1, 1]
    assert f"are {apart[0]:.0f} and {apart[1]:.0f} degrees apart" in drawn["T3"].caption
    assert "columns are 90 degrees apart" in drawn["T3"].caption


def test_operations_drawn_are_the_polynomials(drawn):
    def formula(d, p):
        return 4 * 256 * d**2 / p + 11 * d**3 / p**2

    def smaller(d, p):
        k = min(256, d / p)
        return 4 * 256 * d * k + 11 * p * k**3

    for axis, sizes in zip(drawn["X1"].figure.axes, ([(d, 1) for d in FEATURES], [(2048, p) for p in GROUPS]), strict=True):
        curves = [line.get_ydata() for line in axis.get_lines()]
        for curve, expected in zip(curves, (smaller, formula, lambda d, p: 2 * 256 * d), strict=False):
            np.testing.assert_allclose(curve, [expected(*size) for size in sizes])
    said = f"takes {formula(2048, 1) / 1e9:.3g} billion operations and the other {smaller(2048, 1) / 1e6:.3g} million"
    assert said in drawn["X1"].caption
    assert f"{smaller(2048, 8) / smaller(2048, 1):.1f} times costlier" in drawn["X1"].caption
