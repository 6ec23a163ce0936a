"""`roadmap`: the table, the picture, and the path in miniature, which goes on where it was killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from keras_convnext.models import roadmap
from keras_convnext.profiling import roadmap as profiled
from keras_convnext.training import roadmap as experiment

TWO = ("resnet_enhanced", "separate_downsampling")
FAST = ("--train", "--width-divisor", "32", "--epochs", "1")


@pytest.fixture
def few_images(tmp_path):
    """An .npz file with a few images of 32 pixels."""
    rng, path = np.random.default_rng(0), tmp_path / "few.npz"
    arrays = {}
    for part, count in (("train", 80), ("test", 20)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
        arrays[f"y_{part}"] = np.arange(count) % 2
    np.savez(path, **arrays)
    return path


@pytest.fixture
def short(monkeypatch):
    """Makes the path two steps long, for what does not depend on its length."""
    monkeypatch.setattr(roadmap, "STEPS", {name: roadmap.STEPS[name] for name in ("resnet", *TWO)})
    monkeypatch.setattr(roadmap.steps, "STEPS", roadmap.STEPS)
    monkeypatch.setattr(profiled, "STEPS", roadmap.STEPS)


def test_prints_the_table_and_draws_it(cli, short, tmp_path):
    result = cli("roadmap", "--out", tmp_path / "path.png")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert len(lines) == 1 + 3
    assert all(word in lines[1] for word in ("resnet", "4.09", "25,557,032", "76.13"))
    with Image.open(tmp_path / "path.png") as picture:
        assert picture.width > 600


def test_prints_json(cli, short):
    facts = json.loads(cli("roadmap", "--json").out)
    assert facts["regime"] == "resnet50"
    assert facts["steps"][0]["macs"] == 4_089_184_256
    assert facts["steps"][1]["deviation"] == 0.07


def test_prints_the_blocks_and_draws_them(cli, tmp_path):
    result = cli("roadmap", "--blocks", tmp_path / "blocks.png")
    assert result.code == 0, result.err
    heads = [line for line in result.out.splitlines() if not line.startswith(" ")]
    assert heads[0] == "ResNet, 256 channels: 218.4 M MACs, 70,400 parameters, 3 norms, 3 activations"
    assert [head.partition(",")[0] for head in heads] == ["ResNet", "Swin Transformer", "ConvNeXt"]
    with Image.open(tmp_path / "blocks.png") as picture:
        assert picture.width > 600


def test_prints_the_blocks_as_json_without_a_picture(cli, without):
    without("matplotlib")
    last = json.loads(cli("roadmap", "--blocks", "--json").out)["blocks"][-1]
    assert (last["name"], last["params"], last["parts"][0]["label"]) == ("ConvNeXt", 79_200, "d7x7, 96")


def test_blocks_need_keras_hub(refusal, without):
    without("keras_hub")
    assert 'pip install "keras-convnext[hub]"' in refusal("roadmap", "--blocks")


def test_goes_on_at_the_step_where_it_was_killed(few_images, tmp_path):
    out, first = tmp_path / "out", tmp_path / "out" / f"{TWO[0]}-0" / "metrics.json"
    command = [sys.executable, "-m", "keras_convnext", "roadmap"]
    start = [*command, *FAST, "--data", few_images, "--steps", ",".join(TWO), "--output", out]
    process = subprocess.Popen([str(one) for one in start], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not first.is_file():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "results.json").exists()
    trained_at = first.stat().st_mtime_ns
    printed = subprocess.run(
        [*command, "--resume", out], check=True, timeout=300, capture_output=True, text=True
    ).stdout
    assert first.stat().st_mtime_ns == trained_at
    assert "No rank correlation" in printed
    results = json.loads((out / "results.json").read_text())
    assert [row["step"] for row in results["steps"]] == list(TWO)
    assert all(0 <= row["mean"] <= 1 and row["images_per_second"] > 0 for row in results["steps"])
    with Image.open(out / "roadmap.png") as picture:
        assert picture.width > 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train", "--size", "16"), "32 pixels or more"),
        (("--train", "--steps", "resnet"), "unknown resnet"),
        (("--train", "--width-divisor", "7"), "must divide the width, 64"),
        (("--train", "--data", "nowhere.npz"), "nowhere.npz"),
        (("--out", "nowhere/path.png"), "no such folder"),
        (("--out", "path.txt"), "expected a name that ends in .png"),
        (("--resume", "nowhere"), "nowhere"),
        (("--resume", "nowhere", "--epochs", "3"), "--epochs: not with --resume"),
        (("--train", "--out", "path.png"), "--out: not with --train"),
        (("--width-divisor", "2"), "--width-divisor: not without --train"),
        (("--blocks", "blocks.png", "--regime", "resnet50"), "--regime: not with --blocks"),
        (("--blocks", "nowhere/blocks.png"), "no such folder"),
        (("--blocks", ""), "expected a name that ends in .png"),
        (("--train", "--data", ""), "expected `digits`"),
    ],
)
def test_refuses(refusal, arguments, message):
    assert message in refusal("roadmap", *arguments)


def test_minutes_become_epochs(cli, few_images, tmp_path, monkeypatch):
    """Of 20 s an epoch, two seeds of two steps: none in a minute, two in three; the trainings are not begun here."""
    monkeypatch.setattr(experiment, "seconds_an_epoch", lambda *arguments: 20.0)
    trained = []
    monkeypatch.setattr(experiment, "train_step", lambda *arguments: trained.append(arguments) or (0.5, 1.0))
    command = ("roadmap", "--train", "--data", few_images, "--steps", ",".join(TWO), "--seeds", "2")
    refused = cli(*command, "--minutes", "1", "--output", tmp_path / "none")
    assert refused.code == 2
    assert "does not hold one epoch" in refused.err
    assert not (tmp_path / "none").exists()
    assert cli(*command, "--minutes", "3", "--output", tmp_path / "two").code == 0
    assert [(step, seed) for step, seed, *_ in trained] == [(step, seed) for seed in (0, 1) for step in TWO]
    assert json.loads((tmp_path / "two" / "config.json").read_text())["recipe"]["epochs"] == 2
