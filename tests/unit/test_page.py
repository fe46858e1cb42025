import re
from html.parser import HTMLParser

import pytest

from arb_suite.orderings import orderings
from arb_suite.page import render_html, render_text
from arb_suite.tables import main_table


class Page(HTMLParser):
    """Checks that tags are balanced and keeps text and attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, *attribute) for attribute in attributes]
        if tag not in ("meta", "br", "img", "link", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


DIGITS = {  # by seed
    "arb_d256": [70.0, 75.0, 71.0],
    "direct_alignment": [65.0, 70.1, 65.9],
    "barlow_twins_d256": [64.9, 70.0, 66.1],
    "arb_d32": [60.0, 65.0, 61.0],
    "barlow_twins_d32": [65.0, 70.1, 65.9],
    "supervised": [75.0, 80.1, 75.9],
    "random_encoder": [65.0, 68.0, 68.0],
}
# On CIFAR-10, linear top-1; printed are 91.81, 87.39, 90.74 and 90.07
CIFAR = {
    ("ARB", 256): [91.7, 91.8, 91.9],
    ("Barlow Twins", 256): [90.0, 90.1, 90.0],
    ("SimCLR", 256): [85.0, 85.1, 85.2],
    ("VICReg", 2048): [88.0, 90.0, 92.0],
}


@pytest.fixture
def everything(printed, plan, run, measured):
    """The main table and the orderings, with every verdict in them."""
    digits = [entry for entry in plan["runs"] if entry["name"] in DIGITS]
    series = [(entry, metric, DIGITS[entry["name"]]) for entry in digits for metric in ("linear_top1", "knn5_top1")]
    cifar = [run(*row) for row in CIFAR]
    series += [(entry, "linear_top1", values) for entry, values in zip(cifar, CIFAR.values(), strict=True)]
    runs, metrics = [entry for entry in plan["runs"] if entry["embedded"]] + cifar, measured(*series)
    cells = {place: of.to_dict("records") for place, of in printed.groupby("table")}
    table, decided = main_table(printed, runs, metrics), orderings(plan["orderings"], cells, runs, metrics, {})
    assert set(table["verdict"]) == {"reproduced", "higher", "lower", "inconclusive", "not comparable", "not run"}
    assert set(decided["verdict"]) == {"supported", "contradicted", "inconclusive", "not run"}
    return table, decided


def test_the_page_holds_every_method_and_verdict(everything):
    table, decided = everything
    text = " ".join(Page(render_html(table, decided)).text)
    words = {*table["method"], *table["verdict"], *decided["verdict"], *decided["left"], *decided["right"], *table["paper"]}
    assert [word for word in words - {"not comparable"} if word not in text] == []  # that verdict is what a whole section says
    for row in table[table["measured"] != ""].to_dict("records"):
        assert f"{row['measured']} " in text
        assert f"[{row['ci_low']}, {row['ci_high']}]" in text


def test_the_page_needs_nothing_from_outside(everything):
    source = render_html(*everything)
    page = Page(source)
    assert [
        a for a in page.attributes if a[1] in ("src", "href", "data", "action") and not a[2].startswith(("#", "data:"))
    ] == []
    assert not re.search(r"https?:|@import|url\(|<script|<link", source)


def test_the_page_escapes_what_it_is_given(everything):
    table, decided = everything
    source = render_html(table.replace("VICReg", "<b>&x"), decided)
    assert "&lt;b&gt;&amp;x" in source
    assert "<b>&x" not in source


def unfit_lines(text):
    assert text.endswith("\n")
    return [line for line in text.split("\n") if line != line.rstrip() or len(line) > 110]


def test_the_text_fits_a_terminal(everything):
    table, decided = everything
    text = render_text(table, decided)
    assert unfit_lines(text) == []
    assert unfit_lines(render_text(table.replace("Supervised", "a label of many words " * 10), decided)) == []
    for method in table.loc[table["dataset"] == "digits", "method"]:
        assert method in text
    for verdict in decided["verdict"]:
        assert verdict in text
    assert "74 of the 78 printed cells of Table 1 were not run" in text


def blocks_of(text):
    """What the text says was measured, and on what it says which is better: the titles and the first words of their rows."""
    titled = re.split(r"^ *((?:Measured|Which is better) on .*?):", text, flags=re.MULTILINE)
    return dict(zip(titled[1::2], titled[2::2], strict=True))


def test_every_data_set_that_was_run_is_shown_and_no_other(printed, plan, run, measured):
    cifar = [run("ARB", 256), run("Barlow Twins", 256), run("Random encoder", None, proj_dim=None)]
    series = [(cifar[0], "linear_top1", [91.7, 91.8, 91.9]), (cifar[0], "knn5_top1", [80.0, 80.1, 80.2])]
    series += [(cifar[1], "linear_top1", [95.0, 95.1, 95.2]), (cifar[2], "linear_top1", [40.0, 41.0, 42.0])]
    runs, metrics = [entry for entry in plan["runs"] if entry["embedded"]] + cifar, measured(*series)
    cells = {place: of.to_dict("records") for place, of in printed.groupby("table")}
    table, decided = main_table(printed, runs, metrics), orderings(plan["orderings"], cells, runs, metrics, {})
    text = render_text(table, decided)
    blocks = blocks_of(text)
    assert list(blocks) == ["Measured on CIFAR-10", "Which is better on CIFAR-10"]
    rows = [re.split(r"  +", line.strip()) for line in blocks["Measured on CIFAR-10"].splitlines() if re.search(r"\d\]", line)]
    assert [row[:2] for row in rows] == [["Barlow Twins", "256"], ["ARB", "256"], ["Random encoder", "41.00 [38.52, 43.48]"]]
    assert rows[1][2:] == ["91.81", "91.80 [91.55, 92.05]", "reproduced", "80.10 [79.85, 80.35]"]
    assert rows[0][2:5] == ["87.39", "95.10 [94.85, 95.35]", "higher"]
    assert "ARB (d = 256)" in blocks["Which is better on CIFAR-10"]
    assert "76 of the 78 printed cells of Table 1 were not run" in text
    headings = " ".join(Page(render_html(table, decided)).text)
    assert "Measured on CIFAR-10" in headings
    assert "bundled digits" not in headings


def test_generated_images_are_called_so_and_are_no_run_of_the_paper(printed, run, measured):
    entry = run("ARB", 256, generated=True, protocol="40 GENERATED images in the format of CIFAR-10")
    metrics = measured((entry, "linear_top1", [91.7, 91.8, 91.9]))
    table = main_table(printed, [entry], metrics)
    text = render_text(table, orderings([], {}, [entry], metrics, {}))
    assert list(blocks_of(text)) == ["Measured on GENERATED images in the format of CIFAR-10"]
    assert "1 of the 78 printed cells of Table 1 stand beside GENERATED images, not the paper's." in text
    assert "77 of the 78 printed cells of Table 1 were not run" in text
