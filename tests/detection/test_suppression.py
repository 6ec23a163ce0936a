"""Non-maximum suppression: equal to TensorFlow's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_convnext.detection import non_max_suppression


def numpy(outputs):
    return [keras.ops.convert_to_numpy(one) for one in outputs]


def random_boxes(rng, batch, count):
    corner, size = rng.uniform(0, 100, (batch, count, 2)), rng.uniform(2, 60, (batch, count, 2))
    return np.concatenate([corner, corner + size], -1).astype("float32")


@pytest.mark.parametrize(
    ("batch", "count", "most", "iou", "score"),
    [(1, 1, 3, 0.5, 0.5), (3, 200, 20, 0.5, 0.3), (2, 100, 100, 0.3, 0.0), (2, 50, 5, 0.7, 0.99), (1, 5, 8, 1.0, 0.2)],
)
def test_equals_tensorflow(rng, batch, count, most, iou, score):
    boxes, scores = random_boxes(rng, batch, count), rng.uniform(0, 1, (batch, count)).astype("float32")
    expected, expected_counts = tf.image.non_max_suppression_padded(
        boxes, scores, most, iou_threshold=iou, score_threshold=score, pad_to_max_output_size=True
    )
    indices, counts = numpy(non_max_suppression(boxes, scores, None, iou, score, most))
    np.testing.assert_array_equal(counts, expected_counts)
    found = np.arange(most) < counts[:, None]
    np.testing.assert_array_equal(indices, np.where(found, expected, -1))


def test_classes_do_not_suppress_each_other(rng):
    """As many calls as there are classes choose the same boxes."""
    boxes, scores = random_boxes(rng, 1, 60), rng.uniform(0, 1, (1, 60)).astype("float32")
    classes = rng.integers(0, 3, (1, 60))
    indices, _ = numpy(non_max_suppression(boxes, scores, classes, 0.4, 0.1, 60))
    expected = []
    for one in range(3):
        of_class = np.where(classes == one, scores, 0).astype("float32")
        found, counts = numpy(non_max_suppression(boxes, of_class, None, 0.4, 0.1, 60))
        expected += found[0, : counts[0]].tolist()
    assert indices[0, indices[0] >= 0].tolist() == sorted(expected, key=lambda place: -scores[0, place])
    assert len(expected) > (numpy(non_max_suppression(boxes, scores, None, 0.4, 0.1, 60))[1])[0]


def test_without_anything_to_find():
    boxes = np.array([[[5, 5, 5, 5], [0, 0, 9, 9]], [[5, 5, 5, 5], [5, 5, 5, 5]]], "float32")
    scores = np.array([[0.1, np.nan], [0.9, 0.8]], "float32")
    indices, counts = numpy(non_max_suppression(boxes, scores, max_detections=3))
    assert indices.tolist() == [[-1, -1, -1], [0, 1, -1]], "boxes without area do not overlap"
    assert counts.tolist() == [0, 2]
