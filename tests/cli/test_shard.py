"""`shard`: what it prints, what it refuses, how it ends when it is interrupted; and training from shards."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import load_shards
from keras_convnext.models import load_model
from keras_convnext.training import Run, RunRecord


@pytest.fixture
def folder(write_digits, tmp_path):
    for part, start, count in (("train", 0, 12), ("val", 20, 4), ("test", 30, 3)):
        write_digits(tmp_path / "digits" / part, count, start)
    return tmp_path / "digits"


@pytest.fixture
def shards(cli, folder, tmp_path):
    assert cli("shard", folder, tmp_path / "shards").code == 0
    return tmp_path / "shards"


@pytest.mark.once
def test_says_what_it_wrote_and_writes_it_once(cli, folder, tmp_path):
    (folder / "train" / "zero" / "notes.txt").write_text("no image")
    first, second = (cli("shard", folder, tmp_path / "shards", "--seed", 3) for _ in range(2))
    wrote = f"{tmp_path / 'shards'}: 36 train, 12 validation, 9 test images of 3 classes in 3 shards, 0.1 MiB"
    kept = "3 of them were complete, and not read again; --check reads them"
    for result, lines in ((first, [wrote]), (second, [wrote, kept])):
        assert result.code == 0
        assert result.err == f"{folder}: 1 file is left out: 1 not an image (notes.txt)\n"
        assert result.out.splitlines()[-len(lines) :] == lines
    assert "57/57" in first.out


@pytest.mark.once
def test_an_unreadable_image(cli, folder, tmp_path):
    (bad,) = list((folder / "val" / "two").glob("*.png"))[:1]
    bad.write_bytes(b"no image")
    result = cli("shard", folder, tmp_path / "shards")
    assert result.code == 1
    assert result.err.startswith(f"keras-convnext shard: {bad}: not a readable image")
    assert "Leave such images out with --skip-unreadable. 1 of 3 shards are complete and are kept" in result.err
    result = cli("shard", folder, tmp_path / "shards", "--skip-unreadable")
    assert result.code == 0
    assert "; 1 unreadable skipped, which shards.json lists\n1 of them was complete" in result.out
    assert json.loads((tmp_path / "shards" / "shards.json").read_text())["skipped"] == [str(bad)]


@pytest.mark.once
def test_check(cli, shards):
    assert cli("shard", "--check", shards).out.splitlines()[-1] == f"{shards}: all shards are whole"
    content = bytearray((shards / "validation-000000.tar").read_bytes())
    content[600] ^= 1
    (shards / "validation-000000.tar").write_bytes(content)
    (shards / "test-000000.tar").unlink()
    result = cli("shard", "--check", shards)
    assert result.code == 1
    lines = result.err.splitlines()
    assert lines[0] == f"keras-convnext shard: {shards}: validation-000000.tar is corrupt: image 00000000"
    assert lines[1] == f"keras-convnext shard: {shards}: test-000000.tar is missing"
    assert lines[2].startswith(
        "Remove these files, as far as they are there, and call `keras-convnext shard FOLDER OUT`"
    )


@pytest.mark.once
def test_mends_what_check_names(cli, folder, shards):
    content = (shards / "validation-000000.tar").read_bytes()
    (shards / "validation-000000.tar").unlink()
    assert cli("shard", folder, shards).code == 0
    assert (shards / "validation-000000.tar").read_bytes() == content
    assert cli("shard", "--check", shards).code == 0


@pytest.mark.once
def test_refusals(refusal, folder, shards, tmp_path):
    assert "expected FOLDER and OUT" in refusal("shard", folder)
    assert "expected FOLDER and OUT" in refusal("shard")
    assert "--seed: not with --check" in refusal("shard", "--check", shards, "--seed", 1)
    assert "FOLDER: not with --check" in refusal("shard", folder, "--check", shards)
    assert "expected a folder of shards" in refusal("shard", "--check", folder)
    assert "No such file or folder" in refusal("shard", tmp_path / "nowhere", tmp_path / "new")
    assert "cannot be in the folder of the images" in refusal("shard", folder, folder / "shards")
    assert "has shards of 1024 MiB by the seed 0, or of other files" in refusal("shard", folder, shards, "--seed", 1)
    assert "it has shards already" in refusal("shard", shards, tmp_path / "new")
    assert "expected a new or empty folder" in refusal("shard", folder, tmp_path)


@pytest.mark.once
def test_ctrl_c_keeps_the_complete_shards(start, cli, tmp_path, rng):
    folder, output = tmp_path / "noise", tmp_path / "shards"
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for number in range(60):
            pixels = rng.integers(0, 256, (300, 300, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / name / f"{number}.png", compress_level=0)
    process = start(
        "shard", folder, output, "--shard-size", 1, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not list(output.glob("*.npy")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "of 32 shards are complete and are kept: the same call continues after them." in err
    assert "Traceback" not in err
    assert not list(output.glob("*.part"))
    kept = {path: path.stat().st_mtime_ns for path in output.glob("*.npy")}
    assert cli("shard", folder, output, "--shard-size", 1).code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(load_shards(output).train) == 120


def test_trains_from_shards_and_resumes(cli, tiny, shards, tmp_path, monkeypatch):
    """Interrupted in the second epoch and resumed, it ends as a run that was not."""

    def interrupt(record, batch, logs=None):
        if int(record.model.optimizer.iterations) == 4:
            raise KeyboardInterrupt

    options = ["--data", shards, "--variant", tiny, "--epochs", 2, "--batch", 12, "--size", 8, "--seed", 3]
    options += ["--recipe", "from_scratch"]  # without processes that augment, which take seconds to start
    whole, run = tmp_path / "whole", tmp_path / "run"
    result = cli("train", *options, "--output", whole)
    assert result.code == 0, result.err
    assert "3 classes, 36 images" in result.out
    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_end", interrupt)
        assert cli("train", *options, "--output", run).code == 130
    assert cli("train", "--resume", run).code == 0
    for one, other in zip(*(load_model(path).get_weights() for path in (whole, run)), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    assert Run(run).metrics["test_accuracy"] == Run(whole).metrics["test_accuracy"]
    assert (run / "mistakes.png").exists()
    assert "9 images (test)" in cli("evaluate", run).out


@pytest.mark.once
def test_draws_augmented_images_of_shards(cli, shards, tmp_path):
    assert cli("augment", "--data", shards, "--size", 16, "--output", tmp_path / "grid.png").code == 0


@pytest.mark.slow
def test_times_the_augmentation_from_shards(cli, shards):
    result = cli("augment", "--data", shards, "--benchmark", "--files", "--size", 16, "--rounds", 1)
    assert result.code == 0, result.err
    assert result.out.startswith("from files to 16 pixels")


@pytest.mark.once
def test_a_corrupt_shard_ends_the_training_with_its_name(cli, tiny, shards, tmp_path):
    content = bytearray((shards / "train-000000.tar").read_bytes())
    content[600] ^= 1
    (shards / "train-000000.tar").write_bytes(content)
    options = ["--variant", tiny, "--epochs", 1, "--batch", 12, "--size", 8]
    result = cli("train", "--data", shards, *options, "--output", tmp_path / "run")
    assert result.code == 1
    assert "train-000000.tar: image 00000000: not a readable image (the shard is corrupt" in result.err
