"""Hostile configurations are answered in one sentence, and what is not answered is found."""

import copy
import json

import pytest

from arb_suite.faults import hostile
from arb_suite.faults.hostile import VALUES, answered, digits_alone, keys, tried
from arb_suite.jobs import UserError, packed, read_resolved
from arb_suite.settings import plan_runs


@pytest.fixture
def small(config):
    """Of each kind of key one: some runs, and what compares them."""
    small = copy.deepcopy(config)
    kept = ("arb_d32", "byol", "dino", "random_encoder")
    small["digits"]["runs"] = {name: small["digits"]["runs"][name] for name in kept}
    small["orderings"] = [claim for claim in small["orderings"] if {claim["left"], claim["right"]} <= set(kept)][:1]
    return small


def test_there_is_one_key_of_each_kind(small):
    names = [key.name for key in keys(small)]
    assert len(names) == len(set(names)) > 100
    assert {"seeds", "digits.runs.*.label", "digits.encoder.widths.#", "digits.views.*.crop_area"} <= set(names)
    for key in keys(small):
        inner = small
        for part in key.path:
            inner = inner[part]


def test_every_key_answers_a_hostile_value(small):
    values = list(VALUES.items())
    for i, key in enumerate(keys(small)):
        row = tried(small, key, dict([values[i % len(values)]]))
        assert row["unanswered"] == 0, row


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_no_value_is_a_rate_or_a_number_of_seeds(small, value):
    for path in (("digits", "training", "learning_rate"), ("seeds",)):
        said = answered(small, path, value)
        assert said == "refused" or (value is None and path == ("seeds",)) or (said == "accepted" and value in (1.5, 5e-324))


def test_the_whole_configuration_is_looked_at_on_the_digits(whole_plan):
    config = digits_alone(read_resolved(packed(whole_plan.whole())))
    assert {"digits", "datasets", "orderings", "counterparts"} <= set(config) <= {*config} - {"glyphs", "cifar10", "imagenet1k"}
    assert len(config["orderings"]) > 40
    plan_runs(config)
    assert len(keys(config)) > 150


def test_the_configuration_is_left_alone(small):
    before = json.dumps(small)
    answered(small, ("digits", "training", "momentum"), "no such")
    assert json.dumps(small) == before


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("epochs"), "KeyError"),
        (UserError("one\ntwo"), "no sentence"),
        (UserError("x" * 1001), "no sentence"),
        (UserError("one sentence"), ""),
    ],
)
def test_what_is_not_answered_is_found(small, monkeypatch, error, told):
    def fail(config):
        raise error

    monkeypatch.setattr(hostile, "plan_runs", fail)
    row = tried(small, keys(small)[0], {"a word": "no such"})
    assert row["unanswered"] == bool(told)
    assert told in row["examples"]
