"""Files of COCO's format, compared with pycocotools' own reader; and their faults, each of which is named."""

import json
import math
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from keras_convnext.data import as_segmentation, load_coco

pytestmark = pytest.mark.once

HEIGHT, WIDTH = 24, 32


def polygon_of(box):
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height / 2]


def run_lengths(mask, is_compressed):
    if is_compressed:
        rle = coco_mask.encode(np.asfortranarray(mask.astype("uint8")))
        return {"size": rle["size"], "counts": rle["counts"].decode()}
    flat = np.concatenate([[0], mask.reshape(-1, order="F").astype(int), [2]])
    changes = np.flatnonzero(np.diff(flat))
    return {"size": list(mask.shape), "counts": np.diff(np.concatenate([[0], changes])).tolist()}


def annotation(key, image=1, category=7, box=(4, 5, 10, 8), **changes):
    record = {"id": key, "image_id": image, "category_id": category, "bbox": list(box), "iscrowd": 0, "area": 40}
    return {**record, "segmentation": [polygon_of(box)], **changes}


def content():
    """Two images with objects and an empty one; ids of categories with gaps, in no order."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:9, 20:30] = mask[5:20, 24:26] = True
    return {
        "images": [{"id": key, "file_name": f"{key}.png", "height": HEIGHT, "width": WIDTH} for key in (3, 1, 2)],
        "annotations": [
            annotation(10),
            annotation(11, category=2, segmentation=run_lengths(mask, is_compressed=False), iscrowd=1),
            annotation(12, image=2, category=90, segmentation=run_lengths(mask, is_compressed=True)),
            annotation(13, image=2, box=(0.5, 1.25, 20.5, 9.75)),
        ],
        "categories": [{"id": 90, "name": "zebra"}, {"id": 2, "name": "person"}, {"id": 7, "name": "apple"}],
    }


@pytest.fixture
def write(tmp_path):
    """A function: writes `train.json` of a content, with its images; returns the path of the file."""

    def write(content, name="train"):
        (tmp_path / name).mkdir(exist_ok=True)
        for key in (1, 2, 3):
            Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name / f"{key}.png")
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    return write


def load(path, **options):
    return load_coco(path, verbose=False, **options)


def test_equals_pycocotools(write, capsys):
    path = write(content())
    images, reference = load(path).train, COCO(str(path))
    assert images.class_names == ("person", "apple", "zebra")
    assert [path.name for path in images.pixels] == ["3.png", "1.png", "2.png"]
    for image, one in zip(images.pixels, images.annotations, strict=True):
        expected = reference.loadAnns(reference.getAnnIds(int(image.stem)))
        assert [images.class_names[index] for index in one.classes] == [
            reference.cats[record["category_id"]]["name"] for record in expected
        ]
        assert one.is_crowd.tolist() == [record["iscrowd"] for record in expected]
        for box, mask, record in zip(one.boxes, one.masks, expected, strict=True):
            x, y, width, height = record["bbox"]
            assert box.tolist() == [x, y, x + width, y + height]
            np.testing.assert_array_equal(mask, reference.annToMask(record))
    assert images.annotations[0].masks.shape == (0, HEIGHT, WIDTH)


def test_label_maps_of_coco(write):
    data = as_segmentation(load(write(content())))
    assert data.class_names == ("background", "person", "apple", "zebra")
    empty, first, second = (one.label_map for one in data.train.annotations)
    assert not empty.any() and set(np.unique(first)) == {0, 1, 2} and set(np.unique(second)) == {0, 2, 3}


def test_an_image_has_masks_if_each_object_has_a_segmentation(write):
    changed = content()
    changed["annotations"][0]["segmentation"] = []
    del changed["annotations"][3]["segmentation"]
    changed["annotations"][2]["segmentation"] = None
    assert [one.has_masks for one in load(write(changed)).train.annotations] == [True, False, False]


def with_image(**changes):
    found = content()
    found["images"][1].update(changes)
    return found


def with_annotation(**changes):
    found = content()
    found["annotations"][0].update(changes)
    return found


BAD_RECORDS = {
    "NaN": (with_annotation(bbox=[1, 2, math.nan, 4]), "annotation 10: expected a bbox of four finite numbers"),
    "Inf": (with_annotation(bbox=[-math.inf, 2, 3, 4]), "annotation 10: expected a bbox of four finite numbers"),
    "text": (with_annotation(bbox=["1", 2, 3, 4]), r"annotation 10: .*four finite numbers.*got \['1', 2, 3, 4\]"),
    "three numbers": (with_annotation(bbox=[1, 2, 3]), "annotation 10: .*four finite numbers"),
    "no box": (with_annotation(bbox=None), "annotation 10: .*four finite numbers.*got None"),
    "no area": (with_annotation(bbox=[1, 2, 3, 0]), "annotation 10: expected a bbox with a positive width and height"),
    "negative area": (with_annotation(bbox=[9, 9, -3, -3]), "annotation 10: .*positive width and height"),
    "outside": (with_annotation(bbox=[32, 0, 4, 4]), r"annotation 10: .*within its image of 32x24 pixels"),
    "left of it": (with_annotation(bbox=[-9, 0, 9, 4]), "annotation 10: expected a bbox within its image"),
    "class": (with_annotation(category_id=3), "annotation 10: expected the id of one of the categories.* got 3"),
    "image": (with_annotation(image_id=77), "annotation 10: expected the id of one of the images.*got 77"),
    "id": (with_annotation(id=11), "annotation 11: an annotation with the same id"),
    "crowd": (with_annotation(iscrowd=2), "annotation 10: expected an iscrowd of 0 or 1, got 2"),
    "two points": (with_annotation(segmentation=[[1, 2, 3, 4]]), "annotation 10: invalid segmentation: .*three points"),
    "odd": (with_annotation(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 10: invalid segmentation"),
    "NaN point": (with_annotation(segmentation=[[1, 2, 3, 4, 5, math.nan]]), "annotation 10: invalid segmentation"),
    "RLE's size": (
        with_annotation(segmentation={"size": [32, 24], "counts": [768]}),
        r"annotation 10: invalid segmentation: expected an RLE of size \[24, 32\]",
    ),
    "RLE's sum": (
        with_annotation(segmentation={"size": [24, 32], "counts": [7, 8]}),
        "annotation 10: .*sum is 768, got 15",
    ),
    "RLE's counts": (
        with_annotation(segmentation={"size": [24, 32]}),
        "annotation 10: .*expected the counts of an RLE",
    ),
    "no object": ({**content(), "annotations": [5]}, r"annotations\[0\]: expected an object, got 5"),
    "missing file": (with_image(file_name="nowhere.png"), "image 1: No such file or folder: .*nowhere.png"),
    "no file": (with_image(file_name=None), "image 1: expected a file_name, got None"),
    "no id": (with_image(id=None), r"images\[1\]: expected an id, an integer or a string, got None"),
    "image's id": (with_image(id=3), "image 3: an image with the same id"),
    "size": (with_image(height=32, width=24), "image 1: .*height 24 and width 32, got height 32 and width 24"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_bad_record_is_refused_and_named_or_skipped_and_listed(write, bad, message):
    path = write(bad)
    with pytest.raises(ValueError, match=rf"train\.json: {message}") as raised:
        load(path)
    assert str(raised.value).endswith("Fix or remove them, or leave them out with `skip_bad=True`.")
    data = load(path, skip_bad=True)
    assert data.bad_records
    assert np.isfinite(np.concatenate([one.boxes for one in data.train.annotations])).all()
    assert sum(len(one.boxes) for one in data.train.annotations) < 4


def test_counts_bad_records(write):
    bad = with_annotation(bbox=[1, 2, 3, 0])
    bad["annotations"][3]["category_id"] = 5
    with pytest.raises(ValueError, match=r"annotation 10: .*; .*annotation 13: .*got 5\. Fix"):
        load(write(bad))
    data = load(write(bad), skip_bad=True)
    assert [record.partition(": ")[2][:13] for record in data.bad_records] == ["annotation 10", "annotation 13"]
    bad["annotations"] += [{"id": key, "image_id": 1, "category_id": 5} for key in range(20, 27)]
    with pytest.raises(ValueError, match=r"annotation 20: [^;]*; and 6 more\. Fix"):
        load(write(bad))


def test_for_boxes_an_invalid_segmentation_does_not_matter(write):
    path = write(with_annotation(segmentation=[[1, 2, 3]]))
    data = load(path, target="boxes")
    whole = load(write(content(), "whole"))
    assert not data.bad_records
    for one, other in zip(data.train.annotations, whole.train.annotations, strict=True):
        assert one.boxes.tolist() == other.boxes.tolist()
    assert [one.has_masks for one in data.train.annotations].count(False) == 1


@pytest.mark.parametrize("change", [{"segmentation": [[1, 2, 3]]}, {"segmentation": None}, {"category_id": 99}])
def test_for_label_maps_an_image_with_an_unknown_object_is_left_out(write, change):
    """Its pixels would become background."""
    path = write(with_annotation(**change))
    with pytest.raises(ValueError, match="annotation 10: "):
        load(path, target="label_map")
    data = load(path, target="label_map", skip_bad=True)
    assert len(data.bad_records) == 1 and len(data.train) == len(load(path, skip_bad=True).train) - 1
    assert all(one.has_masks for one in data.train.annotations)


def test_an_image_cut_off_is_a_bad_record(write):
    path = write(content())
    file = path.parent / "train" / "1.png"
    file.write_bytes(file.read_bytes()[:45])
    with pytest.raises(ValueError, match=r"image 1: .*1\.png: not a readable image"):
        load(path)
    assert len(load(path, check_images=False).train) == 3
    assert len(load(path, skip_bad=True).train) == 2


def test_boxes_partly_outside_are_clipped_and_counted(write):
    changed = with_annotation(bbox=[-5, 20, 10, 10])
    changed["annotations"][1]["bbox"] = [31.5, 0, 1, 5]
    data = load(write(changed))
    boxes = data.train.annotations[1].boxes
    assert boxes.tolist() == [[0, 20, 5, 24], [31.5, 0, 32, 5]] and data.clipped_boxes == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", r"train\.json: not a readable JSON file"),
        ("[" * 5000, r"train\.json: not a readable JSON file"),
        ('[{"image_id": 1, "score": 0.5}]', r"Found a list, as in files of results\."),
        ("3", r"Found 3\."),
        ('{"images": [], "annotations": {}}', r"Missing: annotations, categories\."),
    ],
)
def test_refuses_other_files(write, text, message):
    path = write(content())
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load(path, skip_bad=True)


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([], "expected one category or more"),
        ([{"id": 2, "name": "a"}, {"id": 2, "name": "b"}], "two categories have the id 2"),
        ([{"id": 2, "name": "a"}, {"id": 3, "name": "a"}], "two categories have the name 'a'"),
        ([{"id": 2}], "expected an id and a name in each category, got {'id': 2}"),
        ([{"id": 2, "name": "a"}, {"id": "3", "name": "b"}], "all integers or all strings"),
    ],
)
def test_refuses_categories(write, categories, message):
    with pytest.raises(ValueError, match=message):
        load(write({**content(), "categories": categories}), skip_bad=True)


def test_refuses_a_file_without_usable_images(write):
    with pytest.raises(ValueError, match="expected one image or more that can be used, found none"):
        load(write({**content(), "images": [], "annotations": []}), skip_bad=True)


def test_folder_as_coco_comes(write, tmp_path):
    for name in ("train2017", "val2017"):
        path = write(content(), name)
        path.rename(tmp_path / f"instances_{name}.json")
    (tmp_path / "annotations").mkdir()
    for path in tmp_path.glob("*.json"):
        path.rename(tmp_path / "annotations" / path.name)
    (tmp_path / "annotations" / "captions_train2017.json").write_text("{}")
    data = load(tmp_path)
    assert data.train.pixels[0] == tmp_path / "train2017" / "3.png"
    assert data.validation.pixels[0] == tmp_path / "val2017" / "3.png" and data.test is None


def test_folder_of_the_simpler_form(write, tmp_path):
    for name in ("train", "valid", "test"):
        write(content(), name)
    data = load(tmp_path)
    assert [part.pixels[0].parent.name for part in (data.train, data.validation, data.test)] == [
        "train",
        "valid",
        "test",
    ]


def test_refuses_parts_with_other_categories(write, tmp_path):
    write(content())
    write({**content(), "categories": content()["categories"][::-1]}, "val")
    load(tmp_path)
    write({**content(), "categories": [*content()["categories"], {"id": 1, "name": "x"}]}, "val")
    with pytest.raises(ValueError, match=r"val\.json: expected the categories of .*train\.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("val",), r"expected annotations/instances_train\*\.json or train\*\.json.*Found: val\.json"),
        (("train2014", "train2017"), r"both train2014\.json and train2017\.json are there; keep one"),
    ],
)
def test_refuses_folders(write, tmp_path, names, message):
    for name in names:
        write(content(), name)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_images_may_be_elsewhere(write, tmp_path):
    path = write(content())
    (tmp_path / "train").rename(tmp_path / "photos")
    with pytest.raises(ValueError, match=r"expected its images in the folder .*train, .*Set `images_folder`"):
        load(path)
    assert len(load(path, images_folder=tmp_path / "photos").train) == 3
    with pytest.raises(ValueError, match="`images_folder` is for a single file"):
        load(tmp_path, images_folder=tmp_path / "photos")


class Without:
    """A finder of modules that finds no pycocotools."""

    def find_spec(self, name, *arguments):
        if name.partition(".")[0] == "pycocotools":
            raise ModuleNotFoundError(name="pycocotools")


def test_names_the_extra_that_decodes_masks(write, monkeypatch):
    """Boxes need no pycocotools; masks say what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycocotools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(), *sys.meta_path])
    annotation = load(write(content())).train.annotations[1]
    assert len(annotation.boxes) == 2
    with pytest.raises(ModuleNotFoundError, match=r'pip install "keras-convnext\[coco\]"'):
        _ = annotation.masks
