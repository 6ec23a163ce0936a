"""RunRecord: which epoch is the best, what is kept of it, and what of the last."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext.models import load_model
from keras_convnext.training import Run, RunRecord
from keras_convnext.training.record import best_row, restore_state


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {})


@pytest.fixture
def model(recipe, make_model):
    """A compiled and built model whose head's bias tells the epoch."""
    model = make_model()
    recipe.compile(model, steps_per_epoch=2)
    model.optimizer.build(model.trainable_variables)
    return model


def record_epochs(run, model, scores, history=()):
    """Tells a `RunRecord` of epochs with these validation accuracies and losses."""
    record = RunRecord(run, history)
    record.set_model(model)
    record.on_train_begin()
    for epoch, (accuracy, loss) in enumerate(scores, start=len(history)):
        record.on_epoch_begin(epoch)
        model.get_layer("head").bias.assign(np.full(10, epoch + 1))
        record.on_epoch_end(epoch, {"accuracy": 0.5, "loss": 1.0, "val_accuracy": accuracy, "val_loss": loss})
    return record


def epoch_of(model):
    return int(keras.ops.convert_to_numpy(model.get_layer("head").bias)[0])


@pytest.mark.parametrize(
    "scores, best",
    [
        ([(0.1, 3.0)], 1),
        ([(0.1, 3.0), (0.9, 2.0), (0.8, 1.0)], 2),
        ([(0.5, 3.0), (0.6, 9.0), (0.7, 9.0)], 3),
        ([(0.9, 1.0), (0.9, 0.8), (0.9, 0.9)], 2),
        ([(0.9, 1.0), (0.9, 1.0), (0.9, 1.0)], 1),
        ([(0.9, float("nan")), (0.95, 1.0), (0.1, float("nan"))], 2),
    ],
)
def test_the_model_is_that_of_the_best_epoch_and_the_state_that_of_the_last(run, model, scores, best):
    record = record_epochs(run, model, scores)
    assert best_row(record.history)["epoch"] == best
    assert epoch_of(run.load_model()) == best
    assert run.last_state.name == f"epoch-{len(scores)}"
    restored, history = restore_state(run.last_state)
    assert epoch_of(restored) == len(scores)
    assert len(history) == len(scores)


def test_without_validation_images_the_training_scores_tell_the_best_epoch(run, model):
    record = RunRecord(run)
    record.set_model(model)
    for epoch, accuracy in enumerate([0.1, 0.9, 0.8]):
        record.on_epoch_begin(epoch)
        model.get_layer("head").bias.assign(np.full(10, epoch + 1))
        record.on_epoch_end(epoch, {"accuracy": accuracy, "loss": 1.0})
    assert epoch_of(run.load_model()) == 2


def test_a_resumed_record_knows_the_best_epoch_before_it(run, model):
    first = record_epochs(run, model, [(0.9, 1.0)])
    record_epochs(run, model, [(0.8, 0.5), (0.7, 0.5)], first.history)
    assert epoch_of(run.load_model()) == 1
    assert [row["epoch"] for row in run.read_json("state/epoch-3/history.json")] == [1, 2, 3]


def test_history_has_a_row_an_epoch(run, model):
    record = record_epochs(run, model, [(0.1, 3.0), (0.2, 2.0)])
    with (run.path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert [float(row["val_accuracy"]) for row in rows] == [0.1, 0.2]
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate", "seconds"]
    assert run.read_json("state/epoch-2/history.json") == record.history


def test_history_has_the_learning_rate_at_the_end_of_the_epoch(run, model, recipe):
    replace(recipe, epochs=1, warmup_epochs=0).compile(model, steps_per_epoch=2)
    model.optimizer.iterations.assign(1)
    record = record_epochs(run, model, [(0.1, 3.0)])
    np.testing.assert_allclose(record.history[0]["learning_rate"], (0.02 + 1e-6) / 2, rtol=1e-5)


def test_a_restored_model_draws_the_same_numbers_next(run, model, few_digits):
    """The state of random generators, which `.keras` leaves out, is part of the state: drop path goes on with it."""
    x = few_digits.test.pixels.astype("float32")
    model(x, training=True)
    record_epochs(run, model, [(0.1, 3.0)])
    restored, _ = restore_state(run.last_state)
    unrestored = load_model(run.last_state / "model.keras")
    for each in (model, restored, unrestored):
        each.get_layer("head").bias.assign(np.zeros(10))
    expected, result, other = (
        keras.ops.convert_to_numpy(each(x, training=True)) for each in (model, restored, unrestored)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
    assert not np.allclose(other, expected, atol=1e-3)


def test_a_restored_optimizer_goes_on_from_its_step(run, model):
    model.optimizer.iterations.assign(5)
    record_epochs(run, model, [(0.1, 3.0)])
    restored, _ = restore_state(run.last_state)
    assert int(restored.optimizer.iterations) == 5
    assert type(restored.optimizer) is type(model.optimizer)


@pytest.mark.parametrize("file", ["model.keras", "history.csv"])
def test_a_run_broken_off_in_the_midst_of_its_writing_ends_with_the_best_model(run, model, monkeypatch, file):
    """Broken off at the end of epoch 2, the best, and gone on with from what state there is."""
    scores = [(0.1, 3.0), (0.9, 1.0), (0.5, 2.0)]
    write = run.write

    def broken_off(name, write_to):
        if name == file:
            raise KeyboardInterrupt
        write(name, write_to)

    record = record_epochs(run, model, scores[:1])
    monkeypatch.setattr(run, "write", broken_off)
    with pytest.raises(KeyboardInterrupt):
        record_epochs(run, model, scores[1:2], record.history)
    monkeypatch.undo()
    restored, history = restore_state(run.last_state)
    assert len(history) in (1, 2)
    record_epochs(run, restored, scores[len(history) :], history)
    assert epoch_of(run.load_model()) == 2
    with (run.path / "history.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


@pytest.mark.parametrize("logs", [{"val_accuracy": 0.1, "val_loss": float("nan")}, {}])
def test_a_state_that_is_no_number_does_not_take_the_place_of_the_last(run, model, logs):
    """Where the epoch's last update spoilt the weights: no loss of a batch told so."""
    record = record_epochs(run, model, [(0.9, 1.0)])
    record.set_model(model)
    record.on_epoch_begin(1)
    model.get_layer("head").bias.assign(np.full(10, np.nan))
    with pytest.raises(FloatingPointError, match=r"After epoch 2 .* The last good state is .*epoch-1"):
        record.on_epoch_end(1, {"accuracy": 0.5, "loss": 1.0, **logs})
    assert run.last_state.name == "epoch-1"
