"""Mean IoU and accuracies: against Keras's metrics, against sets of pixels, and cases whose scores are known."""

import keras
import numpy as np
import pytest

from keras_convnext.segmentation import MeanIoU, SegmentationScores, segmentation_scores

NAMES = ["sky", "sea", "land", "road"]


def one_hot(label_maps, classes=4):
    return np.eye(classes, dtype="float32")[label_maps]


@pytest.fixture
def label_maps(rng):
    """Three true label maps with pixels that are not annotated, and predictions. No road in either."""
    true = rng.integers(0, 3, (3, 9, 7)).astype("uint8")
    predicted = np.where(rng.random(true.shape) < 0.6, true, rng.integers(0, 3, true.shape))
    true[rng.random(true.shape) < 0.2] = 255
    return true, predicted


def test_equal_kerass_metrics(label_maps):
    true, predicted = label_maps
    scores = segmentation_scores(true, predicted, NAMES)
    plain = keras.metrics.MeanIoU(4, ignore_class=255)
    plain.update_state(true.astype("int32"), predicted)
    assert scores["miou"] == pytest.approx(float(plain.result()))
    for number, name in enumerate(NAMES[:3]):
        of_class = keras.metrics.IoU(4, [number], ignore_class=255)
        of_class.update_state(true.astype("int32"), predicted)
        assert scores["classes"][name]["iou"] == pytest.approx(float(of_class.result()))
    assert scores["classes"]["road"] == {"iou": None, "accuracy": None, "pixels": 0}


def test_equal_the_definitions_in_sets_of_pixels(label_maps):
    true, predicted = (one.ravel() for one in label_maps)
    scores = segmentation_scores(*label_maps, NAMES)
    counted = {place for place in range(true.size) if true[place] != 255}
    right = {place for place in counted if true[place] == predicted[place]}
    accuracies = []
    for number, name in enumerate(NAMES[:3]):
        truth = {place for place in counted if true[place] == number}
        found = {place for place in counted if predicted[place] == number}
        accuracies.append(len(truth & found) / len(truth))
        expected = {"iou": len(truth & found) / len(truth | found), "accuracy": accuracies[-1], "pixels": len(truth)}
        assert scores["classes"][name] == expected
    assert scores["pixel_accuracy"] == len(right) / len(counted)
    assert scores["mean_accuracy"] == pytest.approx(np.mean(accuracies))


@pytest.mark.parametrize("axis", [-1, 1])
def test_the_metric_gives_the_same_from_logits_batch_by_batch(label_maps, axis):
    true, predicted = label_maps
    logits = np.moveaxis(one_hot(predicted), -1, axis)
    metric = MeanIoU(4, axis=axis)
    metric.update_state(true[:2], logits[:2])
    metric.update_state(true[2:, ..., None], logits[2:])
    expected = segmentation_scores(true, predicted, NAMES)
    assert metric.scores(NAMES) == expected
    assert float(metric.result()) == pytest.approx(expected["miou"], rel=1e-6)
    assert MeanIoU.from_config(metric.get_config()).get_config() == metric.get_config()
    metric.reset_state()
    assert not metric.confusion.any()


def test_a_class_that_is_predicted_wrongly_alone_has_an_iou_of_0():
    scores = segmentation_scores([np.array([[0, 1]])], [np.array([[0, 2]])], NAMES)
    assert [scores["classes"][name]["iou"] for name in NAMES] == [1, 0, 0, None]
    assert [scores["classes"][name]["accuracy"] for name in NAMES] == [1, 0, None, None]
    assert (scores["miou"], scores["mean_accuracy"], scores["pixel_accuracy"]) == (pytest.approx(1 / 3), 0.5, 0.5)


def test_sizes_may_differ_and_nothing_annotated_has_no_score():
    maps = [np.zeros((2, 3), int), np.ones((4, 1, 1), int)]
    assert segmentation_scores(iter(maps), iter(maps), NAMES)["pixel_accuracy"] == 1
    nothing = segmentation_scores([np.full((2, 2), 255)], [np.zeros((2, 2), int)], NAMES)
    assert (nothing["miou"], nothing["pixel_accuracy"], nothing["mean_accuracy"]) == (None, None, None)


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([[0, 4]], [[0, 1]], r"`label_maps\[0\]` must have class indices from 0 to 3.* Received: 4"),
        ([[0, 1]], [[0, 255]], r"`predictions\[0\]` must have class indices from 0 to 3.* Received: 255"),
        ([[0, 1]], [[0], [1]], r"must have the shape of `label_maps\[0\]`, \(1, 2\). Received: \(2, 1\)"),
        ([[0.0, 1.0]], [[0, 1]], "Expected a label map of integers of shape"),
        ([0, 1], [0, 1], r"Received: int64 of shape \(2,\)"),
    ],
)
def test_refuses_label_maps_of_another_form(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        segmentation_scores([np.array(true)], [np.array(predicted)], NAMES)


def test_refuses_names_that_do_not_fit():
    with pytest.raises(ValueError, match="Received more than once: sky"):
        segmentation_scores([], [], ["sky", "sky"])
    with pytest.raises(ValueError, match=r"`class_names` must have 4 names. Received: 2"):
        MeanIoU(4).scores(["sky", "sea"])


def test_the_metric_takes_no_weights():
    with pytest.raises(ValueError, match="takes no `sample_weight`"):
        MeanIoU(2).update_state(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 2)), np.ones((1, 2, 2)))


class MapBatches(keras.utils.PyDataset):
    """Two batches, of two images and of one, whose pixels are 0 or 1 and have that class."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        true = (np.arange(3 * 32 * 32).reshape(3, 32, 32) // 48 % 2)[2 * index : 2 * index + 2]
        return true[..., None].astype("float32"), np.where(true == 1, 1, np.where(np.arange(32) < 8, 255, 0))


@pytest.fixture
def model():
    """Learns whether a pixel is 0 or 1; at first it takes all pixels for class 0."""
    model = keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Conv2D(2, 1, kernel_initializer="zeros")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=[MeanIoU(2)])
    return model


def test_callbacks_that_follow_see_the_scores_and_the_metric_gives_the_same(model, tmp_path):
    scores = SegmentationScores(MapBatches(), ["low", "high"])
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(dict(logs)))
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_miou", mode="max", save_best_only=True)
    rows = []
    model.fit(MapBatches(), epochs=6, callbacks=[scores, best, seen], shuffle=False, verbose=0)
    assert rows[-1]["val_miou"] == scores.scores["miou"] == best.best == 1
    assert rows[-1]["val_pixel_accuracy"] == rows[-1]["val_mean_accuracy"] == 1
    assert rows[0]["miou"] < 1
    evaluated = model.evaluate(MapBatches(), verbose=0, return_dict=True)
    assert evaluated["miou"] == 1
    keras.saving.load_model(tmp_path / "best.keras")  # with the metric


def test_the_scores_of_the_callback_are_those_of_the_label_maps(model):
    expected = segmentation_scores(
        [one for index in range(2) for one in MapBatches()[index][1]], np.zeros((3, 32, 32), int), ["low", "high"]
    )
    assert 0 < expected["miou"] < 1
    assert SegmentationScores(MapBatches(), ["low", "high"]).compute(model) == expected


def test_the_callback_refuses_what_it_cannot_score(model):
    images, maps = MapBatches()[0]
    names = ["low", "high"]
    for batches, classes, message in (
        ([(images, maps[:, ::2, ::2])], names, r"array of shape \(2, 16, 16, 2\). Received: \(2, 32, 32, 2\)"),
        ([(images, maps)], [*names, "other"], r"of shape \(2, 32, 32, 3\)"),
        ([(images, np.full_like(maps, 255))], names, "no annotated pixel"),
        ([(images, maps + 1)], names, r"`label_maps\[0\]` must have class indices from 0 to 1"),
        ([images], names, r"items of inputs and truth. Received: ndarray"),
    ):
        with pytest.raises(ValueError, match=message):
            SegmentationScores(batches, classes).compute(model)
