"""Generated scenes: exact boxes and masks, one seed one set, and parts without common objects."""

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import digit_scenes, load_digits, mask_boxes, stamp_scenes
from keras_convnext.data.digit_scenes import DigitCutouts
from keras_convnext.data.scenes import make_scenes, scene_settings

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def scenes():
    return digit_scenes(count=40, size=(64, 80), seed=3)


def test_parts_and_classes(scenes):
    assert [len(part) for part in (scenes.train, scenes.validation, scenes.test)] == [40, 4, 8]
    assert scenes.train.pixels.shape == (40, 64, 80, 3) and scenes.train.pixels.dtype == np.uint8
    assert scenes.class_names == tuple("0123456789")
    counts = [len(one.classes) for one in scenes.train.annotations]
    assert set(counts) == {1, 2, 3}


def test_boxes_surround_the_masks_and_masks_do_not_overlap(scenes):
    for one in scenes.train.annotations:
        np.testing.assert_array_equal(one.boxes, mask_boxes(one.masks))
        assert one.masks.sum(axis=0).max() == 1 and one.masks.shape[1:] == (64, 80)


def background_alone(images):
    """The same scenes without objects: the texture comes first of all that is sampled."""
    settings = scene_settings(40, (64, 80), 3, (0, 0), (0.2, 0.45))
    return make_scenes(None, images.class_names, "train", 40, **settings).pixels


def test_masks_are_where_the_pixels_changed(scenes):
    """But for the few pixels of a digit that have the texture's colour."""
    textures = background_alone(scenes)
    for image, texture, one in zip(scenes.train.pixels, textures, scenes.train.annotations, strict=True):
        changed = (image != texture).any(axis=-1)
        mask = one.masks.any(axis=0)
        assert not (changed & ~mask).any()
        assert (changed & mask).sum() > 0.98 * mask.sum()


def test_objects_stay_visible():
    """Most of the digit that is pasted first can still be seen in a crowd."""
    data = digit_scenes(count=20, size=64, digits=(8, 8), digit_size=(0.2, 0.45))
    assert np.mean([len(one.classes) for one in data.train.annotations]) > 3
    assert min(one.masks.sum(axis=(1, 2)).min() for one in data.train.annotations) > 8


def test_label_map_view_is_of_the_same_scenes(scenes):
    data = digit_scenes(count=40, size=(64, 80), seed=3, target="label_map")
    assert data.class_names == ("background", *"0123456789")
    np.testing.assert_array_equal(data.test.pixels, scenes.test.pixels)
    for one, expected in zip(data.test.annotations, scenes.test.annotations, strict=True):
        label_map = (expected.masks * (expected.classes + 1)[:, None, None]).sum(axis=0)
        np.testing.assert_array_equal(one.label_map, label_map)


def test_one_seed_is_one_set(scenes):
    again, longer, other = (digit_scenes(count, (64, 80), seed) for count, seed in ((40, 3), (50, 3), (40, 4)))
    for data in (again, longer):
        np.testing.assert_array_equal(data.train.pixels[:40], scenes.train.pixels)
        np.testing.assert_array_equal(data.test.pixels[:8], scenes.test.pixels)
    assert (other.train.pixels != scenes.train.pixels).any(axis=(1, 2, 3)).all()
    assert (scenes.validation.pixels != scenes.train.pixels[:4]).any(axis=(1, 2, 3)).all()


def test_parts_have_digits_of_their_own(monkeypatch):
    sampled = {}

    def note(self, *arguments):
        sampled.setdefault(len(self.images), self.images.pixels)
        return paste(self, *arguments)

    paste = DigitCutouts.__call__
    monkeypatch.setattr(DigitCutouts, "__call__", note)
    digit_scenes(count=10, size=32)
    digits = [{image.tobytes() for image in pixels} for pixels in sampled.values()]
    assert [len(pixels) for pixels in sampled.values()] == [1295, 143, 359]
    test = {image.tobytes() for image in load_digits().test.pixels}
    assert digits[2] == test and not digits[0] & digits[1] and not (digits[0] | digits[1]) & digits[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "`count` must be an integer, at least 1"),
        ({"size": 8}, "`size` must be an integer, at least 16"),
        ({"size": (32, 32, 32)}, r"`size` must be the side of a square or \(height, width\)"),
        ({"seed": -1}, "`seed` must be an integer, at least 0"),
        ({"digits": (3, 2)}, "the least and the largest number of objects"),
        ({"digit_size": (0.2, 1.5)}, "`object_size` must be two positive numbers"),
        ({"target": "masks"}, "`target` must be boxes or label_map"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        digit_scenes(**settings)


@pytest.fixture
def stamps(tmp_path):
    """Stamps of one colour each, whose red is their class's, and whose green is their object's."""
    for red, name in enumerate(("animals", "food")):
        for green in range(6):
            for view in ("", "_mirror", "-2"):
                write_stamp(tmp_path / name / ("sub", "")[green % 2] / f"{'abcdef'[green]}{view}.png", red, green)
    return tmp_path


def write_stamp(path, red, green):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((20, 30, 4), "uint8")
    pixels[4:16, 3:27] = (50 + 100 * red, 40 * green, 0, 255)
    Image.fromarray(pixels).save(path)


def test_an_object_is_in_one_part_alone(stamps):
    """Seen in the pixels: an object's green, in the middle of its box, and its class's red."""
    data = stamp_scenes(stamps, count=60, size=48, stamps=(1, 1), seed=2)
    assert data.class_names == ("animals", "food") and data.left_out == data.bad_records == ()
    found = []
    for part in (data.train, data.validation, data.test):
        objects = set()
        for image, one in zip(part.pixels, part.annotations, strict=True):
            left, top, right, bottom = one.boxes[0]
            red, green, _ = image[int(top + bottom) // 2, int(left + right) // 2]
            assert round((red - 50) / 100) == one.classes[0]
            objects.add((int(one.classes[0]), round(green / 40)))
        found.append(objects)
    assert [len(objects) for objects in found] == [8, 2, 2]
    assert len(set.union(*found)) == 12


def test_left_out_stamps(stamps, capsys):
    write_stamp(stamps / "toys" / "ball.png", 0, 0)
    Image.new("RGB", (9, 9)).save(stamps / "food" / "photo.png")
    Image.new("RGBA", (9, 9)).save(stamps / "food" / "nothing.png")
    data = stamp_scenes(stamps, count=1, size=32)
    assert data.class_names == ("animals", "food")
    assert [path.name for path in data.left_out] == ["nothing.png", "photo.png", "ball.png"]
    printed = capsys.readouterr().err
    assert (
        "2 images without transparency are left out" in printed and "fewer than 3 objects are left out: toys" in printed
    )


def test_refuses_folders_of_stamps(stamps):
    with pytest.raises(ValueError, match="nowhere: expected a folder with a folder per class, found nothing"):
        stamp_scenes(stamps / "nowhere")
    with pytest.raises(ValueError, match="expected a class with 3 objects or more, found none"):
        stamp_scenes(stamps / "food" / "sub")
    (stamps / "food" / "bad.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.png: not a readable image.*`skip_bad=True`"):
        stamp_scenes(stamps)
    assert len(stamp_scenes(stamps, count=1, size=32, skip_bad=True).bad_records) == 1
