"""COCO's scores: against pycocotools called through files, as its users do, and cases whose scores are known."""

import contextlib
import io
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_convnext.detection import COCOScores, coco_scores, unpad

NAMES = ["cat", "dog", "bird"]
SQUARE = [10.0, 10.0, 30.0, 30.0]


def truth(*boxes, classes=None):
    return {"boxes": np.array(boxes, "float32").reshape(-1, 4), "classes": np.array(classes or [0] * len(boxes))}


def found(*boxes, confidence=None, classes=None):
    return {**truth(*boxes, classes=classes), "confidence": np.array(confidence or [0.9] * len(boxes))}


def through_files(folder, annotations, detections, iscrowd, areas):
    """pycocotools's twelve numbers, and precision by class, from a JSON file and `loadRes`."""
    rows, results = [], []
    for image, (one, crowds, sizes) in enumerate(zip(annotations, iscrowd, areas, strict=True)):
        for box, number, crowd, size in zip(one["boxes"], one["classes"], crowds, sizes, strict=True):
            left, top, right, bottom = map(float, box)
            row = {"id": len(rows) + 1, "image_id": image, "category_id": int(number), "iscrowd": int(crowd)}
            rows.append({**row, "bbox": [left, top, right - left, bottom - top], "area": float(size)})
    for image, one in enumerate(detections):
        for box, number, score in zip(one["boxes"], one["classes"], one["confidence"], strict=True):
            left, top, right, bottom = map(float, box)
            row = {"image_id": image, "category_id": int(number), "score": float(score)}
            results.append({**row, "bbox": [left, top, right - left, bottom - top]})
    path = folder / "truth.json"
    images = [{"id": image} for image in range(len(annotations))]
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    path.write_text(json.dumps({"info": {}, "images": images, "categories": categories, "annotations": rows}))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"][:, :, :, 0, 2]


def random_scene(rng, images=8):
    """Objects of all sizes, and detections: some near an object, some anywhere, some of another class."""
    annotations, detections, crowds = [], [], []
    for _ in range(images):
        count = rng.integers(0, 7)
        corner, side = rng.uniform(0, 200, (count, 2)), rng.uniform(8, 150, (count, 2))
        boxes = np.concatenate([corner, corner + side], axis=1).astype("float32")
        classes = rng.integers(0, 2, count)  # no bird
        near = boxes + rng.uniform(-4, 4, boxes.shape).astype("float32")
        other = np.where(rng.random(count) < 0.2, 2, classes)
        stray = np.array([[5, 5, 60, 60], [90, 20, 120, 44]], "float32")
        near = np.concatenate([near, near + 1, stray])
        detections.append(
            {"boxes": near, "classes": np.array([*other, *other, 0, 1]), "confidence": rng.random(len(near))}
        )
        annotations.append({"boxes": boxes, "classes": classes})
        crowds.append(rng.random(count) < 0.2)
    return annotations, detections, crowds


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_pycocotools_called_through_files(tmp_path, capsys, seed):
    rng = np.random.default_rng(seed)
    annotations, detections, crowds = random_scene(rng)
    areas = [rng.uniform(100, 20_000, len(one["boxes"])) for one in annotations]
    stats, precision = through_files(tmp_path, annotations, detections, crowds, areas)
    scores = coco_scores(annotations, detections, NAMES, iscrowd=crowds, areas=areas)
    ours = [scores[name] for name in ("map", "ap50", "ap75", "small", "medium", "large")]
    np.testing.assert_array_equal(ours, stats[:6])
    assert scores["ar"] == stats[8]
    for number, name in enumerate(NAMES[:2]):
        assert 0 < scores["classes"][name]["ap"] == precision[:, :, number].mean()
        assert scores["classes"][name]["ap50"] == precision[0, :, number].mean()
    assert scores["classes"]["bird"] == {"ap": None, "ap50": None, "objects": 0}
    assert capsys.readouterr().out == ""


def test_the_area_is_by_default_that_of_the_box(tmp_path):
    annotations, detections, crowds = random_scene(np.random.default_rng(2))
    areas = [np.prod(one["boxes"].astype(float)[:, 2:] - one["boxes"][:, :2], axis=1) for one in annotations]
    stats, _ = through_files(tmp_path, annotations, detections, crowds, areas)
    scores = coco_scores(annotations, detections, NAMES, iscrowd=crowds)
    np.testing.assert_array_equal([scores[name] for name in ("small", "medium", "large")], stats[3:6])


def test_the_true_boxes_score_1():
    annotations, _, _ = random_scene(np.random.default_rng(3))
    detections = [{**one, "confidence": np.ones(len(one["boxes"]))} for one in annotations]
    scores = coco_scores(annotations, detections, NAMES)
    assert [scores[name] for name in ("map", "ap50", "ap75", "ar")] == pytest.approx([1] * 4)


def test_an_iou_of_exactly_a_threshold_counts():
    """Three quarters of the box: right at thresholds 0.50 to 0.75, which are six of ten."""
    scores = coco_scores([truth([0.125, 0.25, 16.125, 16.25])], [found([0.125, 0.25, 16.125, 12.25])], NAMES)
    assert scores["ap75"] == pytest.approx(1)
    assert scores["map"] == pytest.approx(0.6)


def test_a_wrong_detection_that_is_surer_halves_the_precision():
    scores = coco_scores([truth(SQUARE)], [found(SQUARE, [50, 50, 60, 60], confidence=[0.5, 0.6])], NAMES)
    assert scores["map"] == scores["ap50"] == pytest.approx(0.5)


def test_without_detections_all_scores_are_0():
    scores = coco_scores([truth(SQUARE), truth()], [found(), found()], NAMES)
    assert (scores["map"], scores["ap50"], scores["ap75"], scores["small"], scores["ar"]) == (0, 0, 0, 0, 0)
    assert scores["medium"] is None
    assert scores["classes"]["cat"] == {"ap": 0, "ap50": 0, "objects": 1}


def test_detections_in_an_image_without_objects_are_wrong():
    detections = [found(SQUARE, confidence=[0.5]), found(SQUARE, confidence=[0.9])]
    assert coco_scores([truth(SQUARE), truth()], detections, NAMES)["map"] == pytest.approx(0.5)


def test_a_crowd_is_neither_right_nor_wrong():
    crowd = [0.0, 0.0, 100.0, 100.0]
    detections = [found(SQUARE, [50, 50, 60, 60], confidence=[0.5, 0.6])]
    scores = coco_scores([truth(SQUARE, crowd)], detections, NAMES, iscrowd=[[False, True]])
    assert scores["map"] == pytest.approx(1)
    assert scores["classes"]["cat"]["objects"] == 1
    own = {**truth(SQUARE, crowd), "is_crowd": np.array([False, True])}
    assert coco_scores([own], detections, NAMES) == scores
    assert coco_scores([SimpleNamespace(**own)], detections, NAMES) == scores  # as `data.Annotation` has it
    assert coco_scores([truth(SQUARE, crowd)], detections, NAMES)["map"] < 0.6


@pytest.mark.parametrize(
    ("annotations", "detections", "message"),
    [
        ([truth(SQUARE)], [], "`detections` must have one entry per image: 1. Received: 0"),
        ([truth()], [found()], "of 1 images have no object"),
        ([truth(SQUARE)], [found([0, 0, np.nan, 9])], r"`detections\[0\]`: boxes must be finite"),
        ([truth(SQUARE)], [found(SQUARE, [9, 0, 5, 9])], r"left, top, right, bottom in this order.* as box 1"),
        ([truth([1, 1, 1, 9])], [found()], r"`annotations\[0\]`: boxes must have an area"),
        ([truth(SQUARE, classes=[3])], [found()], "integers from 0 to 2, .* Received: 3 for box 0"),
        ([truth(SQUARE)], [found(SQUARE, classes=[-1])], "Received: -1 for box 0"),
        ([truth(SQUARE)], [found(SQUARE, classes=[0.5])], "Received: 0.5 for box 0"),
        ([truth(SQUARE)], [found(SQUARE, confidence=[np.nan])], "one finite `confidence` per box: 1"),
        ([truth(SQUARE)], [truth(SQUARE)], "must have `confidence`"),
        ([{"boxes": [SQUARE]}], [found()], "must have `boxes` and `classes`. Received: ..boxes.."),
        ([truth(SQUARE, classes=[0, 1])], [found()], r"shapes: \(1, 4\) and \(2,\)"),
    ],
)
def test_refuses_what_cannot_be_scored(annotations, detections, message):
    with pytest.raises(ValueError, match=message):
        coco_scores(annotations, detections, NAMES)


def test_refuses_names_that_are_equal_and_areas_that_do_not_fit():
    with pytest.raises(ValueError, match="Received more than once: cat"):
        coco_scores([truth(SQUARE)], [found()], ["cat", "dog", "cat"])
    with pytest.raises(ValueError, match=r"`areas\[0\]` must have one value per box"):
        coco_scores([truth(SQUARE)], [found()], NAMES, areas=[[1, 2]])


def test_padding_is_left_out():
    boxes = np.arange(24.0).reshape(2, 3, 4)
    by_class = unpad({"boxes": boxes, "classes": np.array([[0, 1, -1], [-1, -1, -1]])})
    assert [one["boxes"].tolist() for one in by_class] == [boxes[0, :2].tolist(), []]
    ones = keras.ops.ones((2, 3))
    by_count = unpad({"boxes": boxes, "classes": ones, "confidence": ones, "num_detections": np.array([1, 3])})
    assert [len(one["confidence"]) for one in by_count] == [1, 3]
    assert set(by_count[0]) == {"boxes", "classes", "confidence"}
    of_keras_hub = unpad({"boxes": boxes, "labels": np.array([[0, 1, -1], [-1, -1, -1]])})
    assert of_keras_hub[0]["classes"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 2, 4)),
        {"boxes": np.zeros((1, 2, 4))},
        {"boxes": np.zeros((1, 2, 4)), "classes": np.zeros((1, 3))},
        {"boxes": np.zeros((2, 4)), "classes": np.zeros(2)},
    ],
)
def test_refuses_a_batch_of_another_form(batch):
    with pytest.raises(ValueError, match="Expected a batch"):
        unpad(batch)


class Detector(keras.Model):
    """Finds one square at `place`, which training moves to 10, in each image."""

    def __init__(self):
        super().__init__()
        self.place = self.add_weight(name="place", shape=(), initializer=keras.initializers.Constant(16.0))

    def call(self, images):
        base = keras.ops.zeros_like(images[:, 0, :1, :1])  # (batch, 1, 1)
        side = keras.ops.convert_to_tensor([0.0, 0.0, 20.0, 20.0])
        boxes = base + self.place + side
        one = base[:, :, 0]
        return {"boxes": boxes, "confidence": one + 0.9, "classes": one, "num_detections": one[:, 0] + 1}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(self.place - 10.0))


class SquareBatches(keras.utils.PyDataset):
    """Batches of two images and of one, each with the square at 10."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        count = 2 - index
        boxes = np.array([[SQUARE, [-1] * 4]] * count, "float32")
        return np.zeros((count, 32, 32, 3), "float32"), {"boxes": boxes, "classes": np.array([[0, -1]] * count)}


@pytest.fixture
def detector():
    model = Detector()
    model.compile(keras.optimizers.SGD(0.25))
    return model


@pytest.mark.parametrize(
    "batches", [SquareBatches(), [SquareBatches()[0], SquareBatches()[1]]], ids=["dataset", "list"]
)
def test_callbacks_that_follow_see_the_scores(detector, tmp_path, batches):
    """The square is at 13, 11.5 and 10.75 after the epochs: an IoU of 0.566, 0.748 and 0.863."""
    scores = COCOScores(batches, NAMES)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", monitor="val_map", mode="max", save_best_only=True, save_weights_only=True
    )
    x = np.zeros((2, 32, 32, 3), "float32")
    history = detector.fit(x, np.zeros(2), epochs=3, callbacks=[scores, best], verbose=0).history
    np.testing.assert_allclose(history["val_map"], [0.2, 0.5, 0.8])
    assert history["val_ap50"] == pytest.approx([1, 1, 1])
    assert history["val_ap75"] == pytest.approx([0, 0, 1])
    assert best.best == scores.scores["map"] == history["val_map"][-1]
    assert scores.scores["classes"]["cat"]["objects"] == 3
    assert (tmp_path / "best.weights.h5").is_file()


def test_a_model_that_does_not_decode_is_refused():
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"`model.predict` must return decoded detections.* Received: ndarray"):
        COCOScores(SquareBatches(), NAMES).compute(model)


def test_batches_without_truth_are_refused(detector):
    with pytest.raises(ValueError, match=r"items of inputs and truth. Received: ndarray"):
        COCOScores([np.zeros((1, 32, 32, 3))], NAMES).compute(detector)
