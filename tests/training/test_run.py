"""The run folder: nothing written over, and whole at any moment."""

import csv
import json

import pytest

from keras_convnext.models.run_folder import is_run, read_json
from keras_convnext.training import Run
from keras_convnext.training.run_paths import new_run_path, refuse_existing, run_name

CONFIG = {"class_names": ["cat", "dog"], "image_shape": [8, 8, 1], "recipe": {}}


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", CONFIG)


def write_text(text):
    """What writes `text` to a path."""
    return lambda path: path.write_text(text)


def broken_off(path):
    """Writes the beginning of a file, or of a folder of files, and raises."""
    (path / "model.keras" if path.is_dir() else path).write_text("half of")
    raise RuntimeError("power failure")


def entries(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_create_makes_the_folder_and_its_config(tmp_path):
    run = Run.create(tmp_path / "runs" / "deep" / "first", {"seed": 3})
    assert run.path == tmp_path / "runs" / "deep" / "first"
    assert run.config == {"seed": 3}
    assert entries(run.path) == ["config.json"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("notes")])
def test_create_refuses_what_exists(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(ValueError, match=r"run already exists\. Choose another name"):
        Run.create(tmp_path / "run", {})
    with pytest.raises(ValueError, match="already exists"):
        refuse_existing(tmp_path / "run")


def test_refuses_what_no_folder_can_be_made_at(tmp_path):
    (tmp_path / "notes").touch()
    for path in (tmp_path / "notes" / "run", tmp_path / "notes" / "deep" / "run"):
        with pytest.raises(ValueError, match="notes is a file"):
            refuse_existing(path)
    with pytest.raises(ValueError, match="got an empty one"):
        refuse_existing("")
    refuse_existing(tmp_path / "new" / "deep" / "run")


def test_open_gives_an_existing_run(run):
    assert Run.open(str(run.path)).config == CONFIG
    assert is_run(run.path)


@pytest.mark.parametrize(
    "change",
    [{"class_names": None}, {"class_names": []}, {"class_names": [1]}, {"image_shape": [8, 8]}, {"recipe": "digits"}],
    ids=str,
)
def test_open_refuses_a_configuration_that_no_run_writes(tmp_path, change):
    Run.create(tmp_path / "run", {**CONFIG, **change})
    with pytest.raises(ValueError, match=f"its config.json has an invalid {next(iter(change))}"):
        Run.open(tmp_path / "run")
    assert not is_run(tmp_path / "run")


def test_open_refuses_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"No such file or folder: .*run$"):
        Run.open(tmp_path / "run")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("notes")])
def test_open_refuses_what_is_no_run(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(ValueError, match="run: not a run folder"):
        Run.open(tmp_path / "run")


@pytest.mark.parametrize(
    "content", [b"", b'{"recipe": ', b"\xff\xfe\x00", b"[]", b"3", b"{}", b'{"model_type": "bert"}']
)
def test_open_refuses_a_config_that_is_damaged_or_of_others(run, content):
    (run.path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        Run.open(run.path)


def test_read_json_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"No such file or folder: .*nothing\.json"):
        read_json(tmp_path / "nothing.json")


def test_write_json(run):
    run.write_json("metrics.json", {"test_accuracy": 0.5, "test_loss": None})
    assert json.loads((run.path / "metrics.json").read_text()) == {"test_accuracy": 0.5, "test_loss": None}
    assert run.read_json("metrics.json") == {"test_accuracy": 0.5, "test_loss": None}


def test_write_csv(run):
    run.write_csv("history.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    with (run.path / "history.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"epoch": "1", "loss": "0.5"}, {"epoch": "2", "loss": "0.25"}]


def test_write_replaces_the_previous_file_and_leaves_nothing_beside_it(run):
    run.write("notes.txt", write_text("first"))
    run.write("notes.txt", write_text("second"))
    assert (run.path / "notes.txt").read_text() == "second"
    assert entries(run.path) == ["config.json", "notes.txt"]


def test_a_write_that_breaks_off_leaves_the_previous_file_whole(run):
    run.write("notes.txt", write_text("first"))
    with pytest.raises(RuntimeError, match="power failure"):
        run.write("notes.txt", broken_off)
    assert (run.path / "notes.txt").read_text() == "first"
    run.write("notes.txt", write_text("second"))
    assert (run.path / "notes.txt").read_text() == "second"


def test_a_first_write_that_breaks_off_leaves_no_such_file(run):
    with pytest.raises(RuntimeError, match="power failure"):
        run.write("notes.txt", broken_off)
    assert not (run.path / "notes.txt").exists()


def test_a_new_run_has_no_state(run):
    assert run.last_state is None


def test_write_state_keeps_the_last_epoch_alone(run):
    for epoch in (1, 2, 9, 10):
        place = run.write_state(
            epoch, lambda folder, epoch=epoch: (folder / "model.keras").write_text(f"epoch {epoch}")
        )
        assert run.last_state == place == run.path / "state" / f"epoch-{epoch}"
        assert entries(run.path / "state") == [f"epoch-{epoch}/model.keras"]
    assert (run.last_state / "model.keras").read_text() == "epoch 10"


def test_a_state_that_breaks_off_leaves_the_previous_one(run):
    run.write_state(9, lambda folder: (folder / "model.keras").write_text("epoch 9"))
    with pytest.raises(RuntimeError, match="power failure"):
        run.write_state(10, broken_off)
    assert run.last_state == run.path / "state" / "epoch-9"
    assert (run.last_state / "model.keras").read_text() == "epoch 9"
    run.write_state(10, lambda folder: (folder / "model.keras").write_text("epoch 10"))
    assert entries(run.path / "state") == ["epoch-10/model.keras"]


def test_a_first_state_that_breaks_off_is_none(run):
    with pytest.raises(RuntimeError, match="power failure"):
        run.write_state(1, broken_off)
    assert run.last_state is None


def test_files_of_others_in_the_state_folder_do_no_harm(run):
    run.write_state(1, lambda folder: (folder / "model.keras").write_text("epoch 1"))
    (run.path / "state" / ".DS_Store").write_text("left by a file manager")
    run.write_state(2, lambda folder: (folder / "model.keras").write_text("epoch 2"))
    assert run.last_state.name == "epoch-2"


def test_load_model_of_a_run_without_one(run):
    with pytest.raises(ValueError, match=r"No such file or folder: .*model\.keras"):
        run.load_model()


def test_new_run_path_is_the_first_free_one(tmp_path):
    root = tmp_path / "runs"
    assert new_run_path("digits", root) == root / "digits-1"
    for number in (1, 2, 4):
        (root / f"digits-{number}").mkdir(parents=True)
    assert new_run_path("digits", root) == root / "digits-3"
    assert new_run_path("other", root) == root / "other-1"


def test_a_run_without_an_epoch_can_be_removed(run):
    (run.path / "logs").mkdir()
    (run.path / "state" / ".partial-epoch-1").mkdir(parents=True)
    (run.path / ".partial-model.keras").write_text("half of")
    run.remove()
    assert not run.path.exists()


def test_removing_leaves_what_is_not_the_runs(run):
    (run.path / "notes.txt").write_text("mine")
    run.remove()
    assert entries(run.path) == ["notes.txt"]


def test_a_run_with_an_epoch_is_not_removed(run):
    run.write_state(1, lambda folder: (folder / "history.json").write_text("[]"))
    with pytest.raises(ValueError, match="has a complete epoch"):
        run.remove()
    assert run.last_state is not None


def test_a_run_that_was_killed_in_its_first_epoch_is_refused_with_what_to_do(run):
    with pytest.raises(ValueError, match=r"it is a run in its first epoch, or one that was killed.*`output`"):
        refuse_existing(run.path)


@pytest.mark.parametrize(
    ("data", "model", "name"),
    [
        ("digits", "convnext_mini", "digits-convnext_mini"),
        ("photos.2026/", "convnext_atto", "photos.2026-convnext_atto"),
        ("my photos/cats.npz", "convnext_atto-tuned", "cats-convnext_atto-tuned"),
        ("tfds:mnist:3.*.*", "convnext_mini", "tfds-mnist-3.-.-convnext_mini"),
        ("photos", "timm/convnextv2_atto.fcmae", "photos-timm-convnextv2_atto.fcmae"),
    ],
)
def test_a_runs_name_has_its_data_and_its_model(data, model, name):
    assert run_name(data, model) == name
