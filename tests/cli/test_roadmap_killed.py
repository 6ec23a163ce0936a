"""The path in miniature goes on where it was killed. How a training of it does is in test_killed, on every backend."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

TWO = ("resnet_enhanced", "separate_downsampling")
FAST = ("train", "--width-divisor", "32", "--epochs", "1")


@pytest.mark.slow
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
    printed = subprocess.run([*command, "resume", out], check=True, timeout=300, capture_output=True, text=True).stdout
    assert first.stat().st_mtime_ns == trained_at
    assert "No rank correlation" in printed
    results = json.loads((out / "results.json").read_text())
    assert [row["step"] for row in results["steps"]] == list(TWO)
    assert all(0 <= row["mean"] <= 1 and row["images_per_second"] > 0 for row in results["steps"])
    with Image.open(out / "roadmap.png") as picture:
        assert picture.width > 600
