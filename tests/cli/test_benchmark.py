"""`benchmark`: what it prints, and what is refused before any process is started."""

import json
import sys

import pytest

from keras_convnext.profiling.packages import PEERS

SMALL = ["--variant", "convnext_mini", "--batch", "2", "--rounds", "2"]


def test_prints_ours_and_skips_what_is_not_there(cli, backend, monkeypatch):
    monkeypatch.setattr(sys.modules["keras_convnext.cli.benchmark"], "find_spec", lambda name: None)
    result = cli("benchmark", *SMALL, "--against", "timm")
    assert result.code == 0
    assert "convnext_mini, forward, batch 2, 8 x 8, float32, cpu; medians of 2 rounds" in result.out
    assert f"\nkeras_convnext {backend} " in result.out
    assert "GFLOP/s multiplied" in result.out
    assert "skipped timm: not installed" in result.out
    assert "round 2 of 2" in result.err


def test_prints_json(cli, backend):
    report = json.loads(cli("benchmark", *SMALL, "--task", "train", "--against", "", "--json").out)
    (row,) = report["timings"]
    assert (row["package"], row["backend"], row["task"], row["batch"]) == ("keras_convnext", backend, "train", 2)
    assert len(row["round_milliseconds"]) == 2


def test_times_ours_in_more_forms(cli, backend):
    task, form = ("forward", "exported") if backend == "torch" else ("train", "remat")
    options = ["--task", task, "--also", form, "--rounds", "1", "--against", "", "--json"]
    report = json.loads(cli("benchmark", *SMALL, *options).out)
    assert [row["form"] for row in report["timings"]] == ["", form]
    assert report["skipped"] == []


def test_sweeps_and_draws(cli, backend, tmp_path):
    output = tmp_path / "sweep.png"
    result = cli("benchmark", *SMALL, "--sweep", "batch", "--values", "1,4", "--output", output)
    assert [line.split()[:4] for line in result.out.splitlines()[:2]] == [
        ["keras_convnext", backend, "batch", batch] for batch in ("1", "4")
    ]
    assert output.read_bytes().startswith(b"\x89PNG")


def test_sweeps_beside_attention(cli, tmp_path):
    """Of each the multiply-accumulates of the images that were timed; in one run."""
    options = ["--sweep", "size", "--values", "64", "--against", "vit_small", "--rounds", "1", "--json"]
    rows = json.loads(cli("benchmark", *SMALL, *options, "--output", tmp_path / "sweep.svg").out)
    assert [(row["package"], row["size"]) for row in rows] == [("keras_convnext", 64), ("vit_small", 64)]
    assert all(row["milliseconds"] > 0 for row in rows)
    tokens, width = 1 + 4 * 4, 384
    layers = 12 * (12 * tokens * width**2 + 2 * tokens**2 * width)
    assert rows[-1]["macs"] == 4 * 4 * 16 * 16 * 3 * width + layers + width * 1000
    text = (tmp_path / "sweep.svg").read_text()
    assert "<svg" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "timm,tim"], f"--against: expected some of {', '.join(PEERS)}, swin_tiny, vit_small, got tim."),
        (["--also", "fast"], "--also: expected some of remat, exported, got fast."),
        (["--also", "remat"], "--also remat: it is for --task train."),
        (["--also", "exported", "--task", "train"], "--also exported: it is for --task forward and --backend torch."),
        (
            ["--against", "swin_tiny", "--size", "48"],
            "swin_tiny takes sides of 32 pixels or a multiple of that, got 48.",
        ),
        (["--sweep", "size", "--values", "64,16"], "smaller than this network's stride of 32"),
        (["--values", "64"], "--values: it is for --sweep."),
        (["--backend", "numpy"], "--backend: expected some of tensorflow, jax, torch, got numpy."),
        (["--variant", "convnext_tinny"], "nearest names are convnext_tiny"),
        (["--sweep", "size", "--output", "."], "there is something already"),
    ],
)
def test_refuses(refusal, options, message):
    assert message in refusal("benchmark", *options)
