"""One JSON file of COCO's format: read, and checked record by record."""

import json
import math
from pathlib import Path

import numpy as np

from keras_convnext.data.annotated_images import AnnotatedImages, Annotation
from keras_convnext.data.bad_records import BadRecords
from keras_convnext.data.coco_masks import CocoMasks, compact, problem_of
from keras_convnext.data.image_files import find_sizes
from keras_convnext.data.images import UnreadableImageError
from keras_convnext.data.letterbox import clip_boxes

LISTS = ("images", "annotations", "categories")
"""The lists that a file of COCO's format has."""

CLIPPED = 1.0
"""Pixels by which a box may reach out of its image before it is counted: COCO's boxes are rounded."""

SMALLEST = 0.01
"""The least width and height of a box within its image, in pixels, which float32 still tells from 0."""


class CocoFile:
    """A file of COCO's format.

    Args:
        path: its path.
        folder: the folder of its images.

    Attributes:
        categories: a tuple of `(id, name)` in the order of the ids.

    Raises:
        ValueError: not JSON of COCO's format, categories that cannot be used, or no such folder.
    """

    def __init__(self, path: Path, folder: Path):
        if not folder.is_dir():
            raise ValueError(
                f"{path}: expected its images in the folder {folder}, which does not exist. Set `images_folder` of "
                "`load_coco`."
            )
        self.path, self.folder = path, folder
        self._lists = _read_lists(path)
        self.categories = _categories(path, self._lists["categories"])

    def annotated_images(
        self, bad: BadRecords, check_images: bool, verbose: bool, target: str | None = None
    ) -> tuple[AnnotatedImages, int]:
        """The images that can be used with their annotations, and how many boxes were clipped by more than a pixel.

        Args:
            bad: where the records are noted that cannot be used.
            check_images: as for `load_coco`.
            verbose: as for `load_coco`.
            target: as for `load_coco`. Defaults to None.

        Raises:
            ValueError: no image can be used.
        """
        images, image_ids = self._images(bad, check_images, verbose)
        if not images:
            bad.finish()
            raise ValueError(f"{self.path}: expected one image or more that can be used, found none.")
        objects: dict = {key: [] for key in images}
        unknown: set = set()  # images of which not every object is known
        known = {"images": image_ids, "categories": {key for key, _ in self.categories}, "annotations": set()}
        for place, record in enumerate(self._lists["annotations"]):
            size = images.get(record["image_id"], (None, None))[1] if _has_id(record, "image_id") else None
            problem = _problem_of_annotation(record, known, size, target)
            if problem:
                bad.add(f"{self._name('annotation', record, place)}: {problem}")
                if size and target == "label_map":
                    unknown.add(record["image_id"])
            elif size:
                objects[record["image_id"]].append(record)
        images = {key: image for key, image in images.items() if key not in unknown}
        if not images:
            bad.finish()
            raise ValueError(f"{self.path}: expected one image or more whose annotations can be used, found none.")
        order = {key: index for index, (key, _) in enumerate(self.categories)}
        annotations, clipped = [], 0
        for key, (path, size) in images.items():
            boxes = _boxes(objects[key])
            inside = clip_boxes(boxes, *size)
            clipped += int((abs(boxes - inside).max(axis=1, initial=0) > CLIPPED).sum())
            annotations.append(_annotation(inside, objects[key], order, size, path))
        paths = [path for path, _ in images.values()]
        return AnnotatedImages(paths, tuple(annotations), tuple(name for _, name in self.categories)), clipped

    def _images(self, bad, check_images, verbose):
        """`(path, (height, width))` of each image that can be used, by its id; and the ids of all images."""
        records = {}
        image_ids = set()
        for place, record in enumerate(self._lists["images"]):
            problem = _problem_of_image(record, image_ids)
            if problem:
                bad.add(f"{self._name('image', record, place)}: {problem}")
            else:
                records[record["id"]] = record
            if _has_id(record, "id"):
                image_ids.add(record["id"])
        paths = {key: self.folder / record["file_name"] for key, record in records.items()}
        sizes = find_sizes(list(paths.values()), check_images, verbose)
        images = {}
        for key, record in records.items():
            size = sizes[paths[key]]
            if isinstance(size, UnreadableImageError):
                bad.add(f"{self._name('image', record)}: {size}")
            elif (told := (record.get("height", size[0]), record.get("width", size[1]))) != size:
                wanted, got = (f"height {one[0]} and width {one[1]}" for one in (size, told))
                bad.add(f"{self._name('image', record)}: expected the size of {paths[key]}, {wanted}, got {got}")
            else:
                images[key] = paths[key], size
        return images, image_ids

    def _name(self, kind, record, place=None):
        """What a message calls a record: the file, and the record's id, or else its place in the list."""
        name = f"{kind} {record['id']!r}" if _has_id(record, "id") else f"{kind}s[{place}]"
        return f"{self.path}: {name}"


def _read_lists(path):
    """The three lists of a file."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file, object_hook=_compacted)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a readable JSON file ({error}).") from error
    expected = f"{path}: expected COCO's annotations, an object with the lists {', '.join(LISTS)}"
    if isinstance(content, list):
        raise ValueError(f"{expected}. Found a list, as in files of results.")
    if not isinstance(content, dict):
        raise ValueError(f"{expected}. Found {content!r}.")
    missing = [name for name in LISTS if not isinstance(content.get(name), list)]
    if missing:
        raise ValueError(f"{expected}. Missing: {', '.join(missing)}.")
    return content


def _compacted(record):
    """Called on each object of the JSON, so that its lists of numbers are never in memory all at once."""
    if "segmentation" in record:
        record["segmentation"] = compact(record["segmentation"])
    return record


def _categories(path, records):
    for place, record in enumerate(records):
        if not _has_id(record, "id") or not isinstance(record.get("name"), str):
            raise ValueError(f"{path}: expected an id and a name in each category, got {record!r} in place {place}.")
    ids, names = [record["id"] for record in records], [record["name"] for record in records]
    if not records:
        raise ValueError(f"{path}: expected one category or more, found none.")
    for what, values in (("id", ids), ("name", names)):
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise ValueError(f"{path}: two categories have the {what} {twice!r}.")
    if len({type(key) for key in ids}) > 1:
        raise ValueError(f"{path}: expected ids of categories that are all integers or all strings, got {ids}.")
    return tuple(sorted(zip(ids, names, strict=True)))


def _has_id(record, key):
    """Whether a record has an id under this key that can be one."""
    value = record.get(key) if isinstance(record, dict) else None
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _problem_of_image(record, ids):
    """What is wrong with the record of an image; None if nothing is."""
    if not isinstance(record, dict):
        return f"expected an object, got {record!r}"
    if not _has_id(record, "id"):
        return f"expected an id, an integer or a string, got {record.get('id')!r}"
    if record["id"] in ids:
        return "an image with the same id is there already"
    if not isinstance(record.get("file_name"), str) or not record["file_name"]:
        return f"expected a file_name, got {record.get('file_name')!r}"
    return None


def _problem_of_annotation(record, known, size, target):
    """What is wrong with the record of an annotation of an image of this size; None if nothing is."""
    if not isinstance(record, dict):
        return f"expected an object, got {record!r}"
    if _has_id(record, "id"):
        if record["id"] in known["annotations"]:
            return "an annotation with the same id is there already"
        known["annotations"].add(record["id"])
    for key, of in (("image_id", "images"), ("category_id", "categories")):
        if not _has_id(record, key) or record[key] not in known[of]:
            return f"expected the id of one of the {of} as its {key}, got {record.get(key)!r}"
    if record.get("iscrowd", 0) not in (0, 1):
        return f"expected an iscrowd of 0 or 1, got {record['iscrowd']!r}"
    return size and (_problem_of_box(record.get("bbox"), *size) or _problem_of_segmentation(record, *size, target))


def _problem_of_box(box, height, width):
    expected = "expected a bbox of four finite numbers, x, y, width and height"
    is_list = isinstance(box, list) and len(box) == 4
    if not is_list or not all(isinstance(one, (int, float)) and math.isfinite(one) for one in box):
        return f"{expected}, got {box!r}"
    if box[2] <= 0 or box[3] <= 0:
        return f"expected a bbox with a positive width and height, got {box}"
    x, y, across, down = box
    if min(min(x + across, width) - max(x, 0), min(y + down, height) - max(y, 0)) < SMALLEST:
        return f"expected a bbox within its image of {width}x{height} pixels (width x height), got {box}"
    return None


def _problem_of_segmentation(record, height, width, target):
    """What is wrong with an annotation's segmentation; None if nothing is. For boxes, an invalid one is removed."""
    if not record.get("segmentation"):
        return (
            "expected a segmentation, from which a label map is painted, found none" if target == "label_map" else None
        )
    problem = problem_of(record["segmentation"], height, width)
    if problem and target == "boxes":
        del record["segmentation"]
        return None
    return problem and f"invalid segmentation: {problem}"


def _boxes(records):
    """The boxes of annotations: left, top, right, bottom."""
    boxes = np.array([record["bbox"] for record in records], "float64").reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes.astype("float32")


def _annotation(boxes, records, order, size, path):
    masks = None
    if all(record.get("segmentation") for record in records):
        masks = CocoMasks(tuple(record["segmentation"] for record in records), *size, str(path))
    classes = [order[record["category_id"]] for record in records]
    return Annotation(boxes, classes, masks, is_crowd=[record.get("iscrowd", 0) for record in records])
