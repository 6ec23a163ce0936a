"""The steps against the reference (tests/reference/roadmap.json): the order and the paper's figures."""

import json
from pathlib import Path

import pytest

from keras_convnext import roadmap

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "roadmap.json").read_text())
ROWS = {row["id"]: row for row in REFERENCE["steps"]}
CASES = [(step, regime) for regime in roadmap.REGIMES for step in ROWS]


def test_the_steps_are_the_papers_in_its_order():
    assert list(roadmap.STEPS) == list(ROWS)
    assert [step.adopted for step in roadmap.STEPS.values()] == [
        row["definition"].get("adopted", True) for row in ROWS.values()
    ]


@pytest.mark.parametrize(("step", "regime"), CASES)
def test_the_published_figures(step, regime):
    row, published = ROWS[step][f"{regime}_regime"], roadmap.STEPS[step].published[regime]
    assert (published.top1, published.gflops, published.standard_deviation) == (
        row["top1"],
        row["gflops"],
        row.get("std"),
    )


@pytest.mark.parametrize(("step", "regime"), [("resnet_50", "resnet50"), ("resnet", "resnet152")])
def test_what_is_unknown_is_named(step, regime):
    with pytest.raises(ValueError, match=r"Unknown (step 'resnet_50'|regime 'resnet152')\. Expected one of resnet"):
        roadmap.build(step, regime)
