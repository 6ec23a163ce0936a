"""Which loader a source with annotations goes to."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import load_annotated

pytestmark = pytest.mark.once


@pytest.fixture
def coco(tmp_path):
    """A folder with `train.json` and an image; one object without a mask."""
    (tmp_path / "train").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "1.png")
    content = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def label_maps(tmp_path):
    """A folder of ADE20K's structure."""
    for kind, shape in (("images", (8, 8, 3)), ("annotations", (8, 8))):
        (tmp_path / kind / "training").mkdir(parents=True)
        Image.fromarray(np.ones(shape, "uint8")).save(tmp_path / kind / "training" / "1.png")
    return tmp_path


def test_digit_scenes():
    data = load_annotated("digit_scenes", count=2, size=32, seed=5)
    assert len(data.train) == 2 and data.train.pixels.shape[1:] == (32, 32, 3) and len(data.class_names) == 10
    assert len(load_annotated("digit_scenes", "label_map", count=2, size=32).class_names) == 11


def test_stamps(tmp_path):
    for name in "abc":
        (tmp_path / "toys").mkdir(exist_ok=True)
        stamp = Image.new("RGBA", (9, 9))
        stamp.paste((255, 0, 0, 255), (2, 2, 7, 7))
        stamp.save(tmp_path / "toys" / f"{name}.png")
    assert load_annotated(f"stamps:{tmp_path}", "label_map", count=1, size=32).class_names == ("background", "toys")


@pytest.mark.parametrize("name", ["", "train.json"])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_coco(coco, name, kind):
    data = load_annotated(kind(coco / name), verbose=False)
    assert data.train.annotations[0].boxes.tolist() == [[1, 1, 5, 5]]
    with pytest.raises(ValueError, match=r"annotations\[0\]: expected a segmentation, from which a label map is"):
        load_annotated(coco / name, "label_map", verbose=False)


def test_tells_which_records_are_left_out(coco, capsys):
    content = json.loads((coco / "train.json").read_text())
    content["annotations"] += [{"id": key, "image_id": 1, "category_id": 2, "bbox": [1, 1, 4, 4]} for key in range(12)]
    (coco / "train.json").write_text(json.dumps(content))
    data = load_annotated(coco, skip_bad=True)
    lines = capsys.readouterr().err.splitlines()
    start = lines.index(f"{coco}: 12 records left out:")
    assert [line.strip() for line in lines[start + 1 : start + 11]] == list(data.bad_records[:10])
    assert lines[start + 11] == "  and 2 more"
    load_annotated(coco, skip_bad=True, verbose=False)
    assert not capsys.readouterr().err


def test_label_maps(label_maps):
    assert load_annotated(label_maps, "label_map", verbose=False).class_names == ("0", "1")
    with pytest.raises(ValueError, match="expected images with boxes, found a folder of label maps"):
        load_annotated(label_maps)


def test_settings_of_scenes_are_refused_elsewhere(coco):
    with pytest.raises(ValueError, match="count, seed are settings of generated scenes"):
        load_annotated(coco, count=3, seed=0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.json", r"No such file or folder: nowhere\.json\. Expected `digit_scenes`, stamps:FOLDER"),
        ("", "^'': expected `digit_scenes`"),
        (__file__, r"test_load_annotated\.py: expected `digit_scenes`.*and found none"),
        ("stamps:nowhere", "nowhere: expected a folder"),
    ],
)
def test_refuses_other_sources(source, message):
    with pytest.raises(ValueError, match=message):
        load_annotated(source)


def test_refuses_a_folder_without_annotations(tmp_path):
    with pytest.raises(ValueError, match="and found none"):
        load_annotated(tmp_path)
    with pytest.raises(ValueError, match="`target` must be boxes or label_map"):
        load_annotated(tmp_path, "masks")
