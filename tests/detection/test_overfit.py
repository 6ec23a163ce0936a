"""A detector learns eight images by heart: AP50 over 0.9, by COCO's tools."""

import contextlib
import io

import keras
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_convnext import ConvNeXtBackbone, detection

SIDE, COUNT = 128, 8
"""Objects of a quarter to half of the side. Of those half as large, six of 16 match no anchor of keras-hub's RetinaNet,
and hardly one becomes a target of YOLOV8: its boxes are 120 pixels wide at first, and their overlap counts by its sixth
power."""

LOSSES = {
    ("retinanet", "keras_cv"): {"box_loss": "smoothl1", "classification_loss": "focal"},
    ("retinanet", "keras_hub"): {},
    ("yolov8", "keras_cv"): {"box_loss": "ciou", "classification_loss": "binary_crossentropy"},
}


def scenes(rng):
    """Images of noise with two rectangles each, a bright one (class 0) and a dark one (class 1)."""
    images = rng.uniform(90, 160, (COUNT, SIDE, SIDE, 3)).astype("float32")
    boxes = np.zeros((COUNT, 2, 4), "float32")
    for image, found in zip(images, boxes, strict=True):
        for index, (first, value) in enumerate(((0, 255), (64, 0))):  # one in the left half, one in the right
            width, height = rng.integers(36, 62, 2)
            left, top = first + rng.integers(0, 65 - width), rng.integers(0, SIDE + 1 - height)
            image[top : top + height, left : left + width] = value
            found[index] = left, top, left + width, top + height
    return images, boxes, np.tile(np.array([0.0, 1.0], "float32"), (COUNT, 1))


def average_precision(boxes, classes, found):
    """COCO's AP at an IoU of 0.5."""
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(len(boxes))],
        "categories": [{"id": 0}, {"id": 1}],
        "annotations": [
            {"id": 1 + 2 * image + index, "image_id": image, "category_id": int(label), "iscrowd": 0}
            | {"bbox": xywh(box), "area": float(np.prod(box[2:] - box[:2]))}
            for image, (of_image, labels) in enumerate(zip(boxes, classes, strict=True))
            for index, (box, label) in enumerate(zip(of_image, labels, strict=True))
        ],
    }
    detections = [
        {"image_id": image, "category_id": int(label), "bbox": xywh(box), "score": float(confidence)}
        for image, count in enumerate(found["num_detections"])
        for box, label, confidence in zip(
            *(found[key][image, :count] for key in ("boxes", "classes", "confidence")), strict=True
        )
    ]
    if not detections:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        scores = COCOeval(truth, truth.loadRes(detections), "bbox")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    return scores.stats[1]


def xywh(box):
    return [float(value) for value in (*box[:2], *(box[2:] - box[:2]))]


@pytest.mark.slow
@pytest.mark.parametrize(("detector", "library"), LOSSES)
def test_learns_eight_images_by_heart(detector, library, rng):
    images, boxes, classes = scenes(rng)
    keras.utils.set_random_seed(0)
    backbone = ConvNeXtBackbone(
        *((1, 1, 1, 1), (16, 32, 48, 64)),
        **{"kernel_size": 3, "layer_scale_init_value": None, "level_norm": (1, 2, 3)},
        input_shape=(SIDE, SIDE, 3),
    )
    model = getattr(detection, detector)(backbone, 2, library=library)
    model.compile(optimizer=keras.optimizers.AdamW(1e-3, global_clipnorm=10.0), **LOSSES[detector, library])
    targets = {"boxes": boxes, "classes" if library == "keras_cv" else "labels": classes}
    for _ in range(10):
        model.fit(images, targets, batch_size=COUNT, epochs=30, verbose=0)
        found = detection.decode(model, images, confidence_threshold=0.05)
        score = average_precision(boxes, classes, found)
        if score > 0.9:
            break
    assert score > 0.9
