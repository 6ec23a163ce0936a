"""COCO's scores of a detector (https://cocodataset.org/#detection-eval), computed by pycocotools, their reference."""

import contextlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_convnext.extras import require

STATISTICS = {"map": 0, "ap50": 1, "ap75": 2, "small": 3, "medium": 4, "large": 5, "ar": 8}
"""Where pycocotools has each score in `COCOeval.stats`. The last one is the recall with 100 detections per image."""


def coco_scores(
    annotations: Sequence[Any],
    detections: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    iscrowd: Sequence[Any] | None = None,
    areas: Sequence[Any] | None = None,
) -> dict:
    """Computes COCO's average precision (AP) of boxes, with pycocotools.

    Of each image the 100 most confident detections count. Boxes are xyxy in pixels, with right and bottom exclusive,
    at the size of the original images: the sizes of objects depend on it. Nothing is printed.

    Args:
        annotations: the true objects, per image: a dict, or a `data.Annotation`, with `boxes` of shape `(objects, 4)`,
            `classes` of shape `(objects,)`, integers from 0, and optionally `is_crowd`. An image may have no objects.
        detections: the detections, per image: a dict with `boxes` of shape `(detections, 4)`, `confidence` and
            `classes`, both of shape `(detections,)`. `unpad` makes them from a batch.
        class_names: the name of each class.
        iscrowd: per image, for each object, whether its box surrounds a crowd, in which detections are neither right
            nor wrong. Defaults to None: as `is_crowd` of `annotations` says, and none where it is missing.
        areas: per image, the area of each object in pixels, which makes it small, medium or large. COCO takes the area
            of the mask. Defaults to None: the area of the box.

    Returns:
        A dict of numbers in 0..1: `map` (AP, the mean over IoU thresholds 0.50, 0.55, ..., 0.95 and over the classes),
        `ap50`, `ap75`, AP of `small` (area up to 32²), `medium` and `large` (from 96²) objects, and `ar` (average
        recall). Under `classes` there is a dict with `ap`, `ap50` and `objects` (their number, without crowds) for
        each class name. A score is None where there are no objects to find; such a class is left out of the means.

    Raises:
        ValueError: a box is not finite or is inverted, a true box is empty, a class is out of range, lengths differ, or
            no image has an object. The message names image and box.
        ModuleNotFoundError: pycocotools is not installed.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.detection import coco_scores
    >>> truth = [{"boxes": np.array([[10.0, 10.0, 30.0, 30.0]]), "classes": np.array([0])}]
    >>> found = [{"boxes": np.array([[10.0, 10.0, 30.0, 28.0]]), "confidence": np.array([0.9]), "classes": [0]}]
    >>> scores = coco_scores(truth, found, ["cat", "dog"])
    >>> round(scores["map"], 2), round(scores["ap50"], 2), scores["classes"]["dog"]["ap"]
    (0.9, 1.0, None)
    """
    coco, evaluation = (require(f"pycocotools.{name}", extra="coco") for name in ("coco", "cocoeval"))
    _check_lengths(annotations=annotations, detections=detections, iscrowd=iscrowd, areas=areas)
    _check_names(class_names)
    count = len(class_names)
    true_rows, found_rows = [], []
    for image, one in enumerate(annotations):
        boxes, classes = _boxes_and_classes("annotations", image, one, count)
        crowds = _own_crowds(one) if iscrowd is None else iscrowd[image]
        true_rows += _rows(
            image,
            boxes,
            classes,
            iscrowd=_per_object("iscrowd", image, crowds, np.zeros(len(boxes), bool)).astype(int),
            area=_per_object("areas", image, None if areas is None else areas[image], _areas(boxes)).astype(float),
        )
    for image, one in enumerate(detections):
        boxes, classes = _boxes_and_classes("detections", image, one, count)
        confidence = _confidence(image, one, len(boxes))
        found_rows += _rows(
            image, boxes, classes, score=confidence, area=_areas(boxes), iscrowd=np.zeros(len(boxes), int)
        )
    objects = Counter(row["category_id"] for row in true_rows if not row["iscrowd"])
    if not objects:
        raise ValueError(f"`annotations` of {len(annotations)} images have no object, so there is nothing to score.")
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth, found = (_index(coco.COCO(), rows, len(annotations), class_names) for rows in (true_rows, found_rows))
        result = evaluation.COCOeval(truth, found, "bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
    per_class = {
        name: {**_class_scores(result.eval["precision"], number), "objects": objects[number]}
        for number, name in enumerate(class_names)
    }
    return {name: _score(result.stats[place]) for name, place in STATISTICS.items()} | {"classes": per_class}


def unpad(batch: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
    """Splits a padded batch, of true objects or of detections, into one dict per image without padding.

    Args:
        batch: a dict of arrays or tensors: `boxes` of shape `(batch, most, 4)`, `classes` and, of detections,
            `confidence`, both of shape `(batch, most)`. `classes` may be called `labels`, as in keras-hub. With
            `num_detections`, of shape `(batch,)`, an image has that many; otherwise a box whose class is -1 is padding.

    Returns:
        A dict of NumPy arrays per image: `boxes`, `classes` and the other keys of `batch` but `num_detections`.

    Raises:
        ValueError: `batch` is not a dict with `boxes` and `classes`, or the shapes do not fit together.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.detection import unpad
    >>> batch = {"boxes": np.zeros((1, 2, 4)), "classes": np.array([[3, -1]])}
    >>> unpad(batch)[0]["classes"]
    array([3])
    """
    if isinstance(batch, Mapping) and "classes" not in batch:
        batch = {"classes" if name == "labels" else name: value for name, value in batch.items()}
    if not isinstance(batch, Mapping) or not {"boxes", "classes"} <= set(batch):
        what = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(f"Expected a batch as a dict with `boxes` and `classes`. Received: {what}")
    arrays = {name: keras.ops.convert_to_numpy(value) for name, value in batch.items()}
    counts = arrays.pop("num_detections", None)
    shape = arrays["classes"].shape
    wrong = {name: one.shape for name, one in arrays.items() if one.shape != shape + (4,) * (name == "boxes")}
    if len(shape) != 2 or wrong or (counts is not None and counts.shape != shape[:1]):
        shapes = {name: one.shape for name, one in arrays.items()}
        raise ValueError(
            "Expected a batch with `boxes` of shape (batch, most, 4), and `classes` and `confidence` of shape "
            f"(batch, most). Received: {shapes}"
        )
    is_real = arrays["classes"] != -1 if counts is None else np.arange(shape[1]) < counts[:, None]
    return [{name: one[image][is_real[image]] for name, one in arrays.items()} for image in range(shape[0])]


def _check_lengths(annotations, **others):
    for name, one in others.items():
        if one is not None and len(one) != len(annotations):
            raise ValueError(f"`{name}` must have one entry per image: {len(annotations)}. Received: {len(one)}")


def _check_names(class_names):
    twice = sorted(str(name) for name, times in Counter(class_names).items() if times > 1)
    if twice:
        raise ValueError(f"`class_names` must differ from one another. Received more than once: {', '.join(twice)}")


def _boxes_and_classes(argument, image, one, count):
    """The boxes of an image, as float64, in which widths are exact, and its classes; or an error."""
    try:
        entries = (one["boxes"], one["classes"]) if isinstance(one, Mapping) else (one.boxes, one.classes)
    except (KeyError, AttributeError) as error:
        raise ValueError(
            f"`{argument}[{image}]` must have `boxes` and `classes`. Received: "
            f"{sorted(one) if isinstance(one, Mapping) else type(one).__name__}"
        ) from error
    boxes, classes = (np.asarray(keras.ops.convert_to_numpy(entry), "float64") for entry in entries)
    if not boxes.size and not classes.size:
        boxes, classes = boxes.reshape(0, 4), classes.reshape(0)
    if classes.ndim != 1 or boxes.shape != (len(classes), 4):
        raise ValueError(
            f"`{argument}[{image}]` must have `boxes` of shape (count, 4) and `classes` of shape (count,). Received "
            f"shapes: {boxes.shape} and {classes.shape}"
        )
    _refuse(argument, image, boxes, ~np.isfinite(boxes).all(axis=1), "must be finite")
    left, top, right, bottom = boxes.T
    ordered = "must have left, top, right, bottom in this order, with right and bottom not below left and top"
    _refuse(argument, image, boxes, (right < left) | (bottom < top), ordered)
    if argument == "annotations":
        _refuse(argument, image, boxes, (right == left) | (bottom == top), "must have an area")
    is_class = (classes >= 0) & (classes < count) & (classes == np.rint(classes))
    if not is_class.all():
        place = np.flatnonzero(~is_class)[0]
        raise ValueError(
            f"`{argument}[{image}]`: classes must be integers from 0 to {count - 1}, the last of `class_names`. "
            f"Received: {classes[place]:g} for box {place}"
        )
    return boxes, classes.astype(int)


def _refuse(argument, image, boxes, is_wrong, expected):
    if is_wrong.any():
        place = np.flatnonzero(is_wrong)[0]
        raise ValueError(f"`{argument}[{image}]`: boxes {expected}. Received: {boxes[place].tolist()} as box {place}")


def _own_crowds(one):
    return one.get("is_crowd") if isinstance(one, Mapping) else getattr(one, "is_crowd", None)


def _per_object(name, image, given, otherwise):
    """A value per object of an image: those that are given, or the others."""
    if given is None:
        return otherwise
    values = np.asarray(given)
    if values.shape != otherwise.shape:
        raise ValueError(f"`{name}[{image}]` must have one value per box. Received shape: {values.shape}")
    if not np.isfinite(values.astype(float)).all() or (values < 0).any():
        raise ValueError(f"`{name}[{image}]` must be finite and not negative. Received: {values.tolist()}")
    return values


def _confidence(image, one, count):
    if "confidence" not in one:
        raise ValueError(f"`detections[{image}]` must have `confidence`. Received: {sorted(one)}")
    confidence = np.asarray(keras.ops.convert_to_numpy(one["confidence"]), "float64").reshape(-1)
    if confidence.shape != (count,) or not np.isfinite(confidence).all():
        raise ValueError(
            f"`detections[{image}]` must have one finite `confidence` per box: {count}. Received: {confidence.tolist()}"
        )
    return confidence


def _areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _rows(image, boxes, classes, **columns):
    """The rows of an image in COCO's form, without ids."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return [
        {
            "image_id": image,
            "category_id": int(classes[place]),
            "bbox": [*boxes[place, :2].tolist(), *sides[place].tolist()],
            **{name: column[place].item() for name, column in columns.items()},
        }
        for place in range(len(boxes))
    ]


def _index(coco, rows, images, class_names):
    """Fills a `pycocotools.coco.COCO`, whose own `loadRes` fails without detections."""
    coco.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(class_names)],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, 1)],  # its 0 means "unmatched"
    }
    coco.createIndex()
    return coco


def _class_scores(precision, number):
    """AP and AP50 of a class, by precisions of shape (thresholds, recalls, classes, areas, most detections)."""
    of_class = precision[:, :, number, 0, -1]
    return {"ap": _mean(of_class), "ap50": _mean(of_class[0])}


def _mean(precision):
    return _score(precision.mean() if (precision > -1).all() else -1)


def _score(value):
    """pycocotools has -1 where there is nothing to find."""
    return None if value == -1 else float(value)
