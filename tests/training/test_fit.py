"""A whole training in a run folder, and one that is interrupted and resumed."""

import json
import random
import shutil
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtClassifier, fit
from keras_convnext.data import ImageData, Images, split_validation
from keras_convnext.training import Recipe, Run, RunRecord, create_run
from keras_convnext.training.record import restore_state


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, make_model, recipe, few_digits):
    """A finished training of four epochs with drop path: `.run`, `.model` as it was at the end, `.metrics`."""
    run = Run.create(tmp_path_factory.mktemp("fit") / "run", {})
    model = make_model()
    random.seed(1)
    return SimpleNamespace(run=run, model=model, metrics=fit(model, few_digits, recipe, run, verbose=0))


def scores_of(model, recipe, images):
    batches = recipe.dataset(images, training=False)
    outputs = model.predict(batches, verbose=0).astype("float64")
    logs = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True))
    targets = np.eye(10)[images.labels] * (1 - recipe.label_smoothing) + recipe.label_smoothing / 10
    return (outputs.argmax(-1) == images.labels).mean(), -(targets * logs).sum(-1).mean()


def test_the_run_folder_is_complete(uninterrupted):
    assert sorted(path.name for path in uninterrupted.run.path.iterdir()) == [
        "config.json",
        "confusion.png",
        "curves.png",
        "history.csv",
        "metrics.json",
        "mistakes.png",
        "model.keras",
        "state",
    ]
    assert [path.name for path in (uninterrupted.run.path / "state").iterdir()] == ["epoch-4"]


def test_history_has_four_finite_epochs_that_learn(rows_of, uninterrupted):
    rows = rows_of(uninterrupted.run)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_history_has_the_rates_of_the_schedule(rows_of, uninterrupted):
    rates = [row["learning_rate"] for row in rows_of(uninterrupted.run)]
    cosine = 1e-6 + 0.5 * (0.02 - 1e-6) * (1 + np.cos(np.pi * np.array([0, 4, 8, 12]) / 12))
    np.testing.assert_allclose(rates, cosine, rtol=1e-4, atol=1e-9)


def test_metrics_are_those_of_the_best_epoch(rows_of, uninterrupted, recipe, few_digits):
    metrics = json.loads((uninterrupted.run.path / "metrics.json").read_text())
    assert metrics == uninterrupted.metrics
    keys = {"test_accuracy", "test_loss", "val_accuracy", "val_loss", "best_epoch", "epochs", "seconds"}
    assert metrics.keys() == keys
    best = rows_of(uninterrupted.run)[metrics["best_epoch"] - 1]
    assert metrics["epochs"] == 4
    assert (
        metrics["val_accuracy"]
        == best["val_accuracy"]
        == max(row["val_accuracy"] for row in rows_of(uninterrupted.run))
    )
    assert metrics["val_loss"] == best["val_loss"]


def test_model_keras_gives_the_metrics(uninterrupted, recipe, few_digits):
    model = uninterrupted.run.load_model()
    _, validation = split_validation(few_digits.train, 0.1, recipe.seed)
    for part, images in (("val", validation), ("test", few_digits.test)):
        accuracy, loss = scores_of(model, recipe, images)
        np.testing.assert_allclose(uninterrupted.metrics[f"{part}_accuracy"], accuracy, rtol=1e-6)
        np.testing.assert_allclose(uninterrupted.metrics[f"{part}_loss"], loss, rtol=1e-5)


def test_the_state_is_that_of_the_last_epoch(uninterrupted):
    model, history = restore_state(uninterrupted.run.last_state)
    assert len(history) == 4
    for weight, expected in zip(model.get_weights(), uninterrupted.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("name", ["curves.png", "confusion.png", "mistakes.png"])
def test_pictures_are_whole(uninterrupted, name):
    with Image.open(uninterrupted.run.path / name) as image:
        assert image.format == "PNG"
        image.load()


def test_resumed_ends_as_if_uninterrupted(
    rows_of, uninterrupted, tmp_path, make_model, recipe, few_digits, monkeypatch
):
    """Broken off in the midst of the third epoch, and gone on with from other global random states."""

    def interrupt_at_step_8(record, batch, logs=None):
        if int(record.model.optimizer.iterations) == 8:
            raise KeyboardInterrupt

    run = Run.create(tmp_path / "run", {})
    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_end", interrupt_at_step_8)
        random.seed(2)
        with pytest.raises(KeyboardInterrupt):
            fit(make_model(), few_digits, recipe, run, verbose=0)
    assert run.last_state.name == "epoch-2"
    assert not (run.path / "metrics.json").exists()
    random.seed(3)
    keras.utils.set_random_seed(3)
    model, history = restore_state(run.last_state)
    metrics = fit(model, few_digits, recipe, run, history, verbose=0)
    for weight, expected in zip(model.weights, uninterrupted.model.weights, strict=True):
        result, expected = (keras.ops.convert_to_numpy(each.value) for each in (weight, expected))
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6, err_msg=weight.path)
    for row, expected in zip(rows_of(run), rows_of(uninterrupted.run), strict=True):
        assert {**row, "seconds": 0} == pytest.approx({**expected, "seconds": 0}, rel=1e-5)
    assert {**metrics, "seconds": 0} == pytest.approx({**uninterrupted.metrics, "seconds": 0}, rel=1e-5)


def test_broken_off_after_the_last_epoch_is_scored_when_resumed(uninterrupted, tmp_path, recipe, few_digits):
    """All epochs are done, `metrics.json` and `curves.png` are not: nothing is trained, both are written."""
    run = Run(shutil.copytree(uninterrupted.run.path, tmp_path / "run"))
    for name in ("metrics.json", "curves.png"):
        (run.path / name).unlink()
    model, history = restore_state(run.last_state)
    metrics = fit(model, few_digits, recipe, run, history, verbose=0)
    assert {**metrics, "seconds": 0} == {**uninterrupted.metrics, "seconds": 0}
    assert run.read_json("metrics.json") == metrics
    assert (run.path / "curves.png").is_file()
    assert run.last_state.name == "epoch-4"


def test_given_validation_images_are_used_and_no_test_images_give_no_score(tmp_path, make_model, recipe, few_digits):
    train, _ = split_validation(few_digits.train)
    run = Run.create(tmp_path / "run", {})
    metrics = fit(make_model(), ImageData(train, validation=few_digits.test), recipe, run, verbose=0)
    assert metrics["test_accuracy"] is metrics["test_loss"] is None
    accuracy, loss = scores_of(run.load_model(), recipe, few_digits.test)
    np.testing.assert_allclose(metrics["val_accuracy"], accuracy, rtol=1e-6)
    np.testing.assert_allclose(metrics["val_loss"], loss, rtol=1e-5)


def test_refuses_a_batch_larger_than_the_images_before_anything_is_written(tmp_path, make_model, recipe, few_digits):
    run = Run.create(tmp_path / "run", {})
    with pytest.raises(ValueError, match="The batch of 65 images is larger than the 62 training images"):
        fit(make_model(), few_digits, replace(recipe, batch_size=65), run, verbose=0)
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


def test_refuses_a_class_with_one_image(tmp_path, make_model, recipe, few_digits):
    labels = np.where(few_digits.train.labels == 3, 4, few_digits.train.labels)
    labels[0] = 3
    data = replace(few_digits, train=replace(few_digits.train, labels=labels))
    with pytest.raises(ValueError, match="1 class with one image: '3'"):
        fit(make_model(), data, recipe, Run.create(tmp_path / "run", {}), verbose=0)


def test_refuses_a_run_that_has_trained_already(uninterrupted, make_model, recipe, few_digits):
    with pytest.raises(ValueError, match="has trained already"):
        fit(make_model(), few_digits, recipe, uninterrupted.run, verbose=0)
    assert uninterrupted.run.last_state.name == "epoch-4"


def test_create_run_writes_down_what_predictions_need(tmp_path, make_model, recipe, few_digits, backend):
    run = create_run(tmp_path / "run", make_model(), few_digits, recipe, notes={"note": "first"})
    config = Run.open(run.path).config
    assert config["class_names"] == list("0123456789")
    assert config["image_shape"] == [8, 8, 1]
    assert config["training_images"] == 72
    assert Recipe.from_config(config["recipe"]) == recipe
    assert (config["keras"], config["backend"], config["note"]) == (keras.__version__, backend, "first")
    with pytest.raises(ValueError, match="already exists"):
        create_run(run.path, make_model(), few_digits, recipe)


def test_a_model_of_free_sizes_makes_a_run_that_can_be_opened(recipe, few_digits, tmp_path):
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(None, None, 1))
    run = create_run(tmp_path / "run", model, few_digits, recipe)
    assert Run.open(run.path).config["image_shape"] == [8, 8, 1]
    resized = create_run(tmp_path / "resized", model, few_digits, replace(recipe, image_size=(16, 12)))
    assert resized.config["image_shape"] == [16, 12, 1]


def test_free_sizes_and_files_are_refused_before_anything_is_written(recipe, tmp_path):
    paths = []
    for number in range(20):
        paths.append(tmp_path / f"{number}.png")
        keras.utils.save_img(paths[-1], np.zeros((8, 8 + number, 3)), scale=False)
    data = ImageData(Images(paths, np.arange(20) % 2, ("a", "b")))
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=2)
    with pytest.raises(ValueError, match="the model or the recipe must have an image size"):
        create_run(tmp_path / "run", model, data, recipe)
    assert not (tmp_path / "run").exists()
