"""The report: what it counts, and when it says that int8 is not worth it."""

import dataclasses
import itertools

import numpy as np
import pytest

from keras_convnext.export.int8 import Int8Report
from keras_convnext.export.int8.calibration import batches, checked_images
from keras_convnext.export.int8.measure import accuracy, latencies

GOOD = Int8Report("a.onnx", "onnx", 200, 4_000_000, 1_000_000, 2.0, 1.0, 1, 0.99, 0.98, 0.978)


def test_a_good_file_has_no_objections():
    assert GOOD.objections() == []
    assert GOOD.speedup == 2.0
    assert "2.00 times as fast" in GOOD.lines()[2]
    assert "0.20 points lost" in GOOD.lines()[3]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"int8_accuracy": 0.974}, "loses 0.60 points of accuracy"),
        ({"int8_latency": 2.5}, "not faster on this machine: 2.5 ms per batch against 2 ms"),
        ({"int8_size": 4_000_001}, "not smaller"),
        ({"images": 20}, "on 20 images only"),
    ],
)
def test_objections(changes, message):
    report = dataclasses.replace(GOOD, **changes)
    (sentence,) = report.objections()
    assert message in sentence
    assert report.lines()[-1] == sentence


def test_without_labels_there_is_no_accuracy():
    report = dataclasses.replace(GOOD, float_accuracy=None, int8_accuracy=None)
    assert report.accuracy_lost is None
    assert not any(line.startswith("accuracy") for line in report.lines())


def test_batches_of_a_fixed_size_are_filled_up():
    images = np.arange(7).reshape(7, 1, 1, 1)
    found = [(batch.ravel().tolist(), count) for batch, count in batches(images, 25, fixed=3)]
    assert found == [([0, 1, 2], 3), ([3, 4, 5], 3), ([6, 6, 6], 1)]
    assert [count for _, count in batches(images, 5)] == [5, 2]


def test_images_of_a_free_size_without_normalization():
    metadata = {"input": {"shape": [None, None, None, 3], "layout": "NHWC", "range": None}}
    images = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    found = checked_images(images, metadata)
    assert (found.shape, found.dtype) == ((2, 5, 6, 3), np.float32)


def test_pixels_that_are_not_annotated_do_not_count():
    classes, labels = np.array([[[0, 1], [1, 1]]]), np.array([[[0, 0], [255, 255]]])
    assert accuracy(classes, labels) == 0.5
    assert accuracy(np.array([255, 0]), np.array([255, 1])) == 0.5, "of images, 255 is a class"


def test_latencies_alternate():
    calls = []
    slow = latencies([lambda batch: calls.append("a"), lambda batch: calls.append("b")], np.zeros(1))
    assert len(slow) == 2 and min(slow) > 0
    assert calls[:4] == ["a", "b", "a", "b"]
    switches = sum(one != other for one, other in itertools.pairwise(calls))
    assert switches >= 30
