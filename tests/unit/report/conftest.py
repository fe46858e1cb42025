import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from arb_suite.report.job import render
from arb_suite.report.parts import Results
from arb_suite.report.tables import effective_ranks
from arb_suite.workflow import Plan

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results/reference"
VOID = {"meta", "br", "img", "link", "hr", "source", "wbr"}


class Page(HTMLParser):
    """Checks that tags are balanced and keeps what is looked at."""

    def __init__(self, source):
        super().__init__()
        self.open, self.words, self.ids, self.links, self.sources, self.images, self.headings = [], [], [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag in ("img", "script", "link", "iframe", "source"):
            self.sources.append(given.get("src", given.get("href", given.get("srcset", ""))))
        if tag == "img":
            self.images.append(given)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    """The report is rendered with templates of the working directory, as in its job."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def parsed():
    """A function that reads a page or a part of it."""
    return Page


@pytest.fixture(scope="session")
def claims():
    return pd.read_csv(REFERENCE / "claims.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="session")
def orderings():
    return pd.read_csv(REFERENCE / "orderings.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="session")
def plan_of_report(read_config):
    """The plan as the job of the report receives it."""
    # A plan sets variables of the environment; those of a session would stay for the tests of every file
    with mock.patch.dict(os.environ), pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return json.loads(Plan(read_config()).report())


@pytest.fixture(scope="session")
def rendered(plan_of_report):
    """A function that renders the report of a folder of results."""

    def make(folder):
        return render(Results(folder), plan_of_report, "v1")

    return make


@pytest.fixture(scope="session")
def write_audits():
    """A function that writes the tables of the audit: some cells of numbers and, of each other table, a row of one word."""

    def write(folder, cells, word):
        columns = "place method variant proj_dim dataset metric as_printed n_eval nearest_below nearest_above attainable source"
        ones = dict.fromkeys([*columns.split(), "source_difference"], "1")
        pd.DataFrame([ones | cell for cell in cells]).to_csv(folder / "audit_cells.csv", index=False)
        for name, columns in {
            "published": "rows dataset metric best_printed printed best_with_published with_published same_method lead_then",
            "sizes": "series dataset reading accuracies nominal_n attainable_over_nominal_n n explained expected fit",
            "settings": "id setting data paper release suite",
        }.items():
            pd.DataFrame([dict.fromkeys(columns.split(), word)]).to_csv(folder / f"audit_{name}.csv", index=False)

    return write


@pytest.fixture(scope="session")
def source(rendered):
    """The report of the reference results, which have no runs and no tables of the audit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return rendered(REFERENCE)


@pytest.fixture(scope="session")
def page(source):
    return Page(source)


@pytest.fixture(scope="session")
def ranks():
    return effective_ranks(
        pd.read_csv(REFERENCE / f"{name}.csv", dtype=str, keep_default_na=False) for name in ("table_main", "table_tuned")
    )
