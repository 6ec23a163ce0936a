"""Detections come back in pixels of each image, whatever its size and the model's."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_convnext.data import letterbox
from keras_convnext.detection import predict

SIZE = (64, 64)
BOX = np.array([10.0, 10.0, 50.0, 40.0], "float32")


def detector(boxes, confidence):
    """A stand-in for a detector: it finds the same boxes in each image, the last row of which is padding."""
    seen = []

    def predict_batch(batch, batch_size, verbose):
        seen.append(batch)
        padded = np.array([*boxes, [-1] * 4], "float32")
        found = {
            "boxes": padded,
            "confidence": np.array([*confidence, -1]),
            "classes": np.array([2] * len(boxes) + [-1]),
        }
        repeated = {name: np.stack([value] * len(batch)) for name, value in found.items()}
        return {**repeated, "num_detections": np.full(len(batch), len(boxes))}

    return SimpleNamespace(input_shape=(None, *SIZE, 3), predict=predict_batch, seen=seen)


@pytest.mark.parametrize("size", [(50, 100), (100, 60), (64, 64), (33, 7)])
def test_boxes_are_moved_back_as_letterbox_moved_them(size):
    box = BOX if min(size) >= 50 else np.array([1.0, 2.0, 6.0, 30.0])
    image = np.zeros((*size, 3), "uint8")
    boxes = {"boxes": box[None], "classes": np.array([2])}
    moved = letterbox({"images": image, "bounding_boxes": boxes}, SIZE)["bounding_boxes"]["boxes"]
    (found,) = predict(detector(moved, [0.9]), [image])
    np.testing.assert_allclose(found["boxes"], box[None], atol=1e-4)
    assert found["classes"].tolist() == [2]


def test_batches_are_filled_up_and_unsure_or_outer_boxes_left_out():
    model = detector([[0, 0, 80, 20], [0, 0, 9, 9], [20, 40, 30, 50]], [0.9, 0.3, 0.8])  # the last one: in the padding
    found = predict(model, [np.full((50, 100, 3), 7, "uint8")] * 3, batch_size=2)
    assert [batch.shape for batch in model.seen] == [(2, *SIZE, 3)] * 2
    assert len(found) == 3
    for one in found:
        np.testing.assert_allclose(one["boxes"], [[0, 0, 100, 31.25]])
        assert one["confidence"].tolist() == [0.9]


def test_refuses_what_it_cannot_resize():
    free = SimpleNamespace(input_shape=(None, None, None, 3))
    with pytest.raises(ValueError, match=r"takes images of any size\. Give the `size`"):
        predict(free, [np.zeros((8, 8, 3))])
    with pytest.raises(ValueError, match=r"of shape \(height, width, 3\). Received: \(8, 8\)"):
        predict(detector([], []), [np.zeros((8, 8))])


def test_where_torchvision_is_missing_it_names_the_decoder_that_needs_none():
    def without_torchvision(*arguments, **options):
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")

    model = SimpleNamespace(input_shape=(None, *SIZE, 3), predict=without_torchvision)
    with pytest.raises(ModuleNotFoundError, match=r"`prediction_decoder=detection\.PredictionDecoder\(\.\.\.\)`"):
        predict(model, [np.zeros((8, 8, 3), "uint8")])
