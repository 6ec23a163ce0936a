"""Detection and segmentation from the command line: a run, resuming it, its scores and its pictures."""

import contextlib
import csv
import importlib
import io
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext.cli import main
from keras_convnext.data import digit_scenes
from keras_convnext.detection.predict import BATCH_SIZE
from keras_convnext.models import backbone_of
from keras_convnext.training import Experiment, Recipe, Run
from keras_convnext.training.record import restore_state
from keras_convnext.training.tasks import TASKS, find_task
from keras_convnext.variants import VARIANTS, ConvNeXtConfig

pytestmark = pytest.mark.once

SIDE = 64
COMPUTE_DTYPE = "float32" if keras.backend.backend() == "jax" else "bfloat16"  # which XLA computes slowly on a CPU
RECIPE = {
    **{"source": "tests", "epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "warmup_epochs": 0.5},
    **{"label_smoothing": 0.0, "ema": 0.5, "layer_decay": 0.9, "augmentation": [{"class": "RandomFlip"}]},
    "dtype": None if COMPUTE_DTYPE == "float32" else "mixed_bfloat16",
}


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """A variant that trains in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        row = ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 12, 16), image_size=SIDE, source="tests")
        patch.setitem(VARIANTS, "tiny", row)
        yield


@pytest.fixture(scope="module")
def coco(tmp_path_factory, write_coco):
    """A folder in COCO's format: images of scenes, boxes, and rectangles as polygons."""
    folder = tmp_path_factory.mktemp("coco")
    for part, images in vars(digit_scenes(count=12, size=SIDE)).items():
        if part in ("train", "validation", "test"):
            write_coco(folder, part, images.take(range(min(len(images), 8))))
    return folder


def command(*arguments):
    """What a command prints, which must end well."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main([str(argument) for argument in arguments]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def trained(request, coco, tmp_path_factory):
    """A task, and a run of it that was made for one epoch and extended by another one."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = folder / "settings.json"
    settings.write_text(json.dumps({"data": str(coco), "task": request.param, "variant": "tiny", "recipe": RECIPE}))
    options = ("--size", SIDE, "--epochs", 1, "--output", folder / "run")
    command("train", "--settings", settings, *options)
    command("train", "--resume", folder / "run", "--epochs", 2)
    return find_task(request.param), Run.open(folder / "run")


def test_a_run_has_its_scores_in_every_file(trained):
    task, run = trained
    with (run.path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        for column in ("loss", "val_loss", f"val_{task.score}", f"val_ema_{task.score}"):
            assert np.isfinite(float(row[column]))
    assert run.config["task"] == task.name
    assert run.metrics[f"val_{task.score}"] == max(float(row[f"val_ema_{task.score}"]) for row in rows)
    assert all(0 <= run.metrics[f"test_{name}"] <= 1 for name in task.reported if name != "loss")
    picture = {"detection": "detections.png", "segmentation": "label_maps.png"}[task.name]
    assert all(Image.open(run.path / name).size > (300, 150) for name in ("curves.png", picture))


def test_a_resumed_run_keeps_the_state_of_its_optimizer_and_its_precision(trained, coco):
    task, run = trained
    assert len(task.load_data(str(coco)).train) == 8  # two updates per epoch, of which one was before the resumption
    recipe = Recipe.from_config(run.config["recipe"])
    model, history = restore_state(run.last_state, lambda model: task.compile(recipe, model, steps_per_epoch=2))
    assert len(history) == 2
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 4
    for one in (model, run.load_model()):
        head = one.box_head.conv_layers[0] if task.name == "detection" else one.get_layer("level_fusion")
        assert (head.compute_dtype, one.outputs[0].dtype) == (COMPUTE_DTYPE, "float32")


def test_evaluate_gives_the_scores_of_the_run(trained):
    task, run = trained
    facts = json.loads(command("evaluate", run.path, "--json"))
    assert facts["part"] == "test"
    for name in task.reported:
        assert facts[name] == pytest.approx(run.metrics[f"test_{name}"], rel=1e-4, abs=1e-6)
    assert {one["name"] for one in facts["classes"]} <= set(run.config["class_names"])


def test_a_run_starts_another_one_with_its_backbone(trained, coco):
    task, run = trained
    settings = {"data": str(coco), "recipe": RECIPE, "size": SIDE}
    tuned = Experiment(task=task.name, checkpoint=str(run.path), **settings).build().model
    before = {weight.path: weight for weight in backbone_of(run.load_model()).weights}
    after = {weight.path: weight for weight in backbone_of(tuned).weights}
    kernels = [path for path in after if path.endswith("kernel")]
    assert len(kernels) > 10
    for path in kernels:
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(found[path]) for found in (before, after)))


def test_predict_draws_on_images_of_any_size(trained, tmp_path):
    task, run = trained
    Image.new("RGB", (90, 50), "gray").save(tmp_path / "photo.png")
    printed = command("predict", run.path, tmp_path / "photo.png", "--output", tmp_path / "drawn")
    assert printed.startswith(f"{tmp_path / 'photo.png'}: ")
    drawn = Image.open(tmp_path / "drawn" / "photo.png")
    assert drawn.height % 50 == 0 and drawn.width >= drawn.height * 90 // 50
    facts = json.loads(command("predict", run.path, tmp_path / "photo.png", "--json"))["images"][0]
    if task.name == "segmentation":
        assert sum(one["share"] for one in facts["classes"]) <= 1 + 1e-6
    else:
        assert isinstance(facts["objects"], list)


def test_predict_takes_the_least_confidence_of_detectors(trained, tmp_path, capsys, monkeypatch):
    task, run = trained
    Image.new("RGB", (90, 50), "gray").save(tmp_path / "photo.png")
    arguments = ("predict", run.path, tmp_path / "photo.png", "--confidence")
    if task.name == "segmentation":
        assert main([*map(str, arguments), "0.1"]) == 2
        assert f"--confidence 0.1: {run.path} is not a detector" in capsys.readouterr().err
        return
    assert "No object has a confidence of 0.99 or more; --confidence lowers the limit." in command(*arguments, 0.99)
    found = {"boxes": np.full((2, 4), 0.1 * SIDE), "confidence": np.array([0.7, 0.3]), "classes": np.array([1, 2])}
    batch = {name: np.stack([value] * BATCH_SIZE) for name, value in found.items()}
    batch["boxes"][..., 2:] += 0.5 * SIDE
    module = importlib.import_module("keras_convnext.detection.predict")
    monkeypatch.setattr(module, "_decoded", lambda model, images: batch)
    counts = [len(json.loads(command(*arguments, least, "--json"))["images"][0]["objects"]) for least in (0.2, 0.5)]
    assert counts == [2, 1]


def test_records_that_are_left_out_are_counted(trained, coco, tmp_path, capsys):
    task, _ = trained
    folder = shutil.copytree(coco, tmp_path / "coco")
    content = json.loads((folder / "train.json").read_text())
    content["annotations"][0]["category_id"] = 99
    (folder / "train.json").write_text(json.dumps(content))
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"data": str(folder), "task": task.name, "variant": "tiny", "recipe": RECIPE}))
    arguments = ("train", "--settings", settings, "--size", SIDE, "--epochs", 1, "--output", tmp_path / "run")
    assert main([str(argument) for argument in arguments]) == 2
    assert "annotation 1: expected the id of one of the categories" in capsys.readouterr().err
    printed = command(*arguments, "--skip-unreadable")
    left = 8 if task.name == "detection" else 7
    assert f"{left} images to train, 1 to validate, 1 unusable records left out; " in printed
    assert f"{folder}: 1 record left out:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "tracking"}, "`task` must be one of classification, detection, segmentation"),
        ({"task": "detection", "mixup": 0.2}, "`mixup` is for classification, and this is detection"),
        ({"detector": "retinanet"}, "`detector` is for detection, and this is classification"),
        ({"task": "detection", "hidden_size": 8}, "`hidden_size` is for segmentation, and this is detection"),
        ({"task": "segmentation", "hidden_size": 0}, "`hidden_size` must be"),
        ({"task": "detection", "detector": "rcnn"}, "`detector` must be one of retinanet, yolov8"),
        ({"task": "detection", "size": 70}, "`size` must be a multiple of 32 for detection. Received: size=70"),
    ],
)
def test_refuses_settings_of_another_task(settings, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**settings)


def test_each_task_has_data_by_default():
    assert [Experiment(task=task).data for task in TASKS] == ["digits", "digit_scenes", "digit_scenes"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"variant": "convnext_tiny"}, 512),
        ({"variant": "convnext_pico"}, 128),
        ({"variant": "tiny"}, 64),
        ({"hidden_size": 8}, 8),
    ],
)
def test_the_heads_have_the_papers_size_from_convnext_tiny_on(settings, expected, coco):
    experiment = Experiment(**{"variant": "tiny", **settings}, task="segmentation", data=str(coco), size=SIDE)
    model = experiment.build().model
    assert (model.hidden_size, model.auxiliary_hidden_size) == (expected, expected // 2)
    assert experiment.to_config().get("hidden_size") == settings.get("hidden_size")


@pytest.mark.parametrize("side", [8, 32, 96])
def test_a_detector_has_four_stages_for_images_of_any_size(side):
    assert len(VARIANTS[TASKS["detection"].choose_variant(side)].depths) == 4


@pytest.mark.parametrize(
    ("side", "expected"), [(32, ("convnext_mini", 2)), (96, ("convnext_mini", 4)), (256, ("convnext_atto", 4))]
)
def test_small_images_are_segmented_with_three_stages(side, expected):
    task = TASKS["segmentation"]
    variant = task.choose_variant(side)
    assert (variant, task.choose_stem(variant, side)) == expected


def test_mixing_is_refused_for_annotated_images(coco):
    recipe = RECIPE | {"augmentation": [{"class": "MixUpOrCutMix"}]}
    experiment = Experiment(task="segmentation", data=str(coco), variant="tiny", recipe=recipe, size=SIDE)
    with pytest.raises(ValueError, match="MixUpOrCutMix mixes images and is for classification"):
        experiment.build()


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_data_of_another_task_are_refused(task, tmp_path):
    with pytest.raises(ValueError, match="No such file or folder"):
        task.load_data(str(tmp_path / "none"))
