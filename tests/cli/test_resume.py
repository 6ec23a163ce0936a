"""`train --resume`: goes on where a run was broken off, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from keras_convnext.data import load_npz, split_validation
from keras_convnext.models import load_model
from keras_convnext.training import Run, RunRecord


@pytest.mark.once
def test_interrupted_and_resumed(cli, tiny, digits_npz, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def interrupt(record, batch, logs=None):
        if int(record.model.optimizer.iterations) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_end", interrupt)
        options = ["--data", digits_npz, "--variant", tiny, "--epochs", "2", "--batch", "24", "--seed", "3"]
        result = cli("train", *options, "--output", run)
    assert result.code == 130
    assert f"keras-convnext train --resume {run}" in result.err
    assert str(run / "state" / "epoch-1" / "model.keras") in result.err
    assert str(run / "model.keras") in result.err
    load_model(run / "model.keras")
    result = cli("train", "--resume", run)
    assert result.code == 0
    assert [row["epoch"] for row in Run(run).read_csv("history.csv")] == ["1", "2"]
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 2
    assert [path.name for path in (run / "state").iterdir()] == ["epoch-2"]


@pytest.fixture
def unfinished(trained, tmp_path):
    """A copy of the finished run that is to have three epochs."""
    path = shutil.copytree(trained.path, tmp_path / "unfinished")
    (path / "metrics.json").unlink()
    config = json.loads((path / "config.json").read_text())
    config["recipe"]["epochs"] = 3
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_resumed_goes_on_with_the_last_epochs_state(cli, fitted, unfinished, digits_npz):
    assert cli("train", "--resume", unfinished).code == 0
    (call,) = fitted
    assert call.run.path == unfinished
    assert [row["epoch"] for row in call.history] == [1, 2]
    assert int(call.model.optimizer.iterations) == 2 * 2
    assert call.recipe.batch_size == 24
    train, _ = split_validation(load_npz(digits_npz).train, seed=3)
    np.testing.assert_array_equal(call.data.train.pixels, train.pixels)


@pytest.mark.once
def test_resumes_a_run_whose_epochs_are_done_but_not_its_scores(cli, trained, tmp_path):
    """Broken off while the test images were scored: resuming scores them."""
    path = shutil.copytree(trained.path, tmp_path / "unscored")
    (path / "metrics.json").unlink()
    assert cli("train", "--resume", path).code == 0
    metrics, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (path, trained.path))
    assert {**metrics, "seconds": 0} == {**expected, "seconds": 0}


@pytest.mark.once
def test_a_finished_run_is_extended(cli, trained, tmp_path):
    path = shutil.copytree(trained.path, tmp_path / "extended")
    result = cli("train", "--resume", path, "--epochs", 3)
    assert result.code == 0, result.err
    assert result.out.splitlines()[1].startswith(
        "2 epochs trained; from here on the learning rate follows the schedule of 3 epochs, "
    )
    assert [row["epoch"] for row in Run(path).read_csv("history.csv")] == ["1", "2", "3"]
    assert json.loads((path / "metrics.json").read_text())["epochs"] == 3
    assert json.loads((path / "config.json").read_text())["recipe"]["epochs"] == 3


@pytest.mark.parametrize("epochs", ["1", "2"])
def test_refuses_epochs_that_a_run_has_already(refusal, trained, fitted, epochs):
    message = refusal("train", "--resume", trained.path, "--epochs", epochs)
    assert f"--epochs must be more than the 2 that {trained.path} has trained already" in message
    assert (trained.path / "metrics.json").exists()
    assert fitted == []


def test_refuses_to_resume_a_finished_run(refusal, trained, fitted):
    assert "this run is complete. To extend it, give more --epochs than its 2" in refusal(
        "train", "--resume", trained.path
    )
    assert fitted == []


def test_refuses_to_resume_what_is_no_run(refusal, tmp_path, fitted):
    assert f"{tmp_path}: not a run folder" in refusal("train", "--resume", tmp_path)
    nowhere = tmp_path / "nowhere"
    assert f"No such file or folder: {nowhere}\n" in refusal("train", "--resume", nowhere)
    assert fitted == []


def test_refuses_to_resume_a_folder_with_a_config_of_others(refusal, tmp_path, fitted):
    (tmp_path / "config.json").write_text('{"model_type": "convnext"}')
    assert "config.json" in refusal("train", "--resume", tmp_path)
    assert fitted == []


@pytest.fixture
def with_own_step(unfinished):
    """The unfinished run as if it had been trained with a step of a user's own, whose module is not imported here."""
    config = json.loads((unfinished / "config.json").read_text())
    config["recipe"]["augmentation"] = [{"class": "mine>Noise", "stddev": 3.0}]
    (unfinished / "config.json").write_text(json.dumps(config))
    return unfinished


def test_a_run_with_a_step_of_a_users_own_is_resumed_in_python(refusal, with_own_step, fitted):
    line = refusal("train", "--resume", with_own_step)
    assert f"{with_own_step}: No such step: 'mine>Noise'." in line
    assert line.endswith(
        "A step of your own is known once the module that defines it has been imported. In Python, import it and call "
        f"`Experiment.resume({str(with_own_step)!r})`.\n"
    )
    assert fitted == []


def test_its_settings_are_repeated_in_python(refusal, with_own_step, fitted):
    path = with_own_step / "config.json"
    line = refusal("train", "--settings", path)
    assert f"{path}: No such step: 'mine>Noise'." in line
    assert line.endswith(f"In Python, import it and call `Experiment.from_config({str(path)!r}).run()`.\n")
    assert fitted == []


def test_refuses_to_resume_with_a_damaged_state(refusal, unfinished, fitted):
    model = unfinished / "state" / "epoch-2" / "model.keras"
    model.write_bytes(model.read_bytes()[:-100])
    assert "model.keras" in refusal("train", "--resume", unfinished)
    assert fitted == []


@pytest.mark.parametrize("name", ["seeds.npz", "history.json"])
def test_refuses_to_resume_with_a_state_that_lacks_a_file(refusal, unfinished, fitted, name):
    (unfinished / "state" / "epoch-2" / name).unlink()
    assert name in refusal("train", "--resume", unfinished)
    assert fitted == []


def test_refuses_to_resume_on_other_classes(refusal, unfinished, fitted, tmp_path, rng):
    images, labels = rng.integers(0, 256, (4, 8, 8), dtype="uint8"), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "other.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    config = json.loads((unfinished / "config.json").read_text())
    (unfinished / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "other.npz")}))
    assert "classes" in refusal("train", "--resume", unfinished)
    assert fitted == []


def test_refuses_to_resume_on_other_images(refusal, unfinished, fitted, tmp_path, digits_npz):
    """An image fewer, and the tenth for validation would be drawn anew."""
    with np.load(digits_npz) as arrays:
        fewer = {name: array[1:] if name.endswith("train") else array for name, array in arrays.items()}
    np.savez(tmp_path / "fewer.npz", **fewer)
    config = json.loads((unfinished / "config.json").read_text())
    (unfinished / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "fewer.npz")}))
    assert "training images" in refusal("train", "--resume", unfinished)
    assert fitted == []


@pytest.mark.parametrize("option", [["--batch", "9"], ["--data", "digits"], ["--seed", "0"]])
def test_refuses_options_that_a_resumed_run_would_not_follow(refusal, unfinished, fitted, option):
    assert option[0].strip("-") in refusal("train", "--resume", unfinished, *option)
    assert fitted == []
