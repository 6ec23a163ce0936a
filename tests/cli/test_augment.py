"""`augment`: the grid, and the comparison with timm's pipeline."""

import json

import numpy as np
import pytest
from PIL import Image


def test_draws_a_grid(cli, write_digits, tmp_path):
    folder = write_digits(tmp_path / "pictures")
    result = cli("augment", "--data", folder, "--out", tmp_path / "grid.png", "--size", "24", "--rows", "3")
    assert result.code == 0, result.err
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (4 * 24, 8 * 24, 3)
    cells = {grid[r : r + 24, c : c + 24].tobytes() for r in range(0, 96, 24) for c in range(0, 192, 24)}
    assert len(cells) > 28


def test_the_same_seed_draws_the_same_grid(cli, tmp_path):
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        command = ("augment", "--data", "digits", "--size", "16", "--seed", seed)
        assert cli(*command, "--out", tmp_path / f"{name}.png").code == 0
    first, second, third = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("first", "second", "third"))
    np.testing.assert_array_equal(first, second)
    assert first.ndim == 2
    assert (first != third).any()


def test_times_ours_against_timms(cli, write_digits, tmp_path):
    folder = write_digits(tmp_path / "pictures")
    result = cli("augment", "--data", folder, "--benchmark", "--rounds", "1", "--size", "32", "--files", "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert (len(facts["ours"]), len(facts["timm"])) == (1, 1)
    assert facts["ratio"] == pytest.approx(facts["ours"][0] / facts["timm"][0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --out GRID.png to draw a grid, or --benchmark"),
        (["--out", "grid.png", "--benchmark"], "give --out GRID.png to draw a grid, or --benchmark"),
        (["--benchmark"], "--benchmark takes a folder"),
        (["--out", "grid.txt"], "expected a name that ends in .png"),
        (["--out", "missing/grid.png"], "missing: no such folder"),
    ],
)
def test_refuses(refusal, arguments, message):
    assert message in refusal("augment", "--data", "digits", *arguments)
