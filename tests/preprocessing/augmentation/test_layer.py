"""Steps as keras-cv layers: deterministic given the seed, with any number of workers, and equal to the batches."""

import hashlib
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from keras_convnext.data import AugmentedBatches, Images
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import (
    ImageStep,
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
    augment_sample,
)
from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer


@dataclass(frozen=True)
class Rotated(ImageStep):
    """It does not say where it moves pixels."""

    def augment_image(self, image, generator):
        return image.rotate(90)


STEPS = [RandomResizedCrop(32, 32), RandomFlip(), RandAugment(), RandomErasing()]
ALL = [*STEPS, MixUpOrCutMix()]
OF_0_2_0 = json.loads((Path(__file__).parent / "golden" / "layers_0_2_0.json").read_text())


@pytest.mark.parametrize("package", ["tensorflow", "keras_cv"])
def test_names_the_extra_where_a_package_of_it_is_missing(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, AugmentationLayer.__module__)
    with pytest.raises(ModuleNotFoundError, match=rf'needs {package}, .* pip install "keras-convnext\[cv\]"'):
        importlib.import_module(AugmentationLayer.__module__)


def pipeline(picture, workers, seed=0, epoch=0, count=32):
    layers = [AugmentationLayer(step) for step in STEPS]

    def element(index):
        place = tf.stack([tf.constant(seed, tf.int64), tf.constant(epoch, tf.int64), index])
        inputs = {"images": tf.constant(picture), "labels": tf.one_hot(index % 4, 4), "seed": place}
        for layer in layers:
            inputs = layer(inputs)
        return inputs

    examples = tf.data.Dataset.range(count).map(element, num_parallel_calls=workers)
    batches = examples.batch(8).map(AugmentationLayer(MixUpOrCutMix()))
    return [np.concatenate(parts) for parts in zip(*((b["images"], b["labels"]) for b in batches), strict=True)]


def test_the_sequence_is_the_same_however_many_map_it(photographs):
    picture = np.asarray(photographs[6])
    images, labels = pipeline(picture, workers=1)
    for workers in (2, 5):
        again = pipeline(picture, workers)
        np.testing.assert_array_equal(again[0], images)
        np.testing.assert_array_equal(again[1], labels)
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.once
def test_the_sequence_is_that_of_augmented_batches(photographs):
    picture = np.asarray(photographs[6])
    batches = AugmentedBatches(
        Images(np.stack([picture] * 32), np.arange(32) % 4, tuple("abcd")), (32, 32), Augmentation(), 8, workers=1
    )
    batches.epoch = 0
    order = batches._order
    ours = {int(place): batches[start // 8][0][start % 8] for start, place in enumerate(order)}
    # Of batches that are mixed, those with the same images would have to be compared: so before they are.
    unmixed = AugmentedBatches(
        batches.images, (32, 32), Augmentation(mixup=0.0, cutmix=0.0), 8, workers=1, label_smoothing=0.0
    )
    found = {int(place): unmixed[start // 8][0][start % 8] for start, place in enumerate(order)}
    layers = [AugmentationLayer(step) for step in STEPS]
    for place in range(6):
        inputs = {"images": picture, "seed": np.array([0, 0, place])}
        for layer in layers:
            inputs = next(iter(tf.data.Dataset.from_tensors(inputs).map(layer)))
        np.testing.assert_array_equal(inputs["images"], found[place])
    assert any((ours[place] != found[place]).any() for place in ours)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_and_another_epoch_give_another_sequence(photographs, changes):
    picture = np.asarray(photographs[6])
    images, _ = pipeline(picture, 2)
    others, _ = pipeline(picture, 2, **changes)
    assert (images != others).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_erasing_gives_float32(dtype):
    images = np.full((8, 8, 3), 100, dtype)
    layer = AugmentationLayer(RandomErasing(probability=1.0))
    found = layer({"images": images, "seed": np.zeros(3, "int64")})["images"]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.once
def test_half_of_the_images_are_mirrored(rng):
    image = rng.integers(0, 256, (4, 5, 3), dtype="uint8")
    seeds = tf.constant([[0, 0, n] for n in range(400)], tf.int64)
    found = AugmentationLayer(RandomFlip())({"images": tf.tile(image[None], (400, 1, 1, 1)), "seed": seeds})["images"]
    found = keras.ops.convert_to_numpy(found)
    mirrored = (found == image[:, ::-1]).all(axis=(1, 2, 3))
    assert ((found == image).all(axis=(1, 2, 3)) == ~mirrored).all()
    assert 160 < mirrored.sum() < 240


@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_configuration_round_trips(step):
    layer = AugmentationLayer(step)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.step == step


@pytest.mark.parametrize("saved", OF_0_2_0, ids=lambda saved: saved["config"]["config"]["name"])
def test_layers_of_version_0_2_0_load(saved):
    """`golden/layers_0_2_0.json` holds configurations that version wrote, with hashes of what the layers returned."""
    layer = keras.saving.deserialize_keras_object(saved["config"])
    rows, columns, numbers = np.ogrid[:20, :16, :6]
    planes = [(rows * (5 + channel) + columns * (3 + 2 * channel) + numbers * 37) % 256 for channel in range(3)]
    pixels = np.stack([plane.transpose(2, 0, 1) for plane in planes], -1).astype("uint8")
    if saved["config"]["config"]["step"]["config"].get("mean") == [0.5]:
        pixels = pixels[..., :1]
    seeds = np.array([[3, 1, index] for index in range(6)])
    found = layer({"images": pixels, "labels": np.eye(6, dtype="float32"), "seed": seeds})
    for name in ("images", "labels"):
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(found[name]))
        assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == saved[name], name


def test_refuses_a_single_image_to_mix():
    with pytest.raises(ValueError, match="MixUpOrCutMix needs a batch of images"):
        AugmentationLayer(MixUpOrCutMix())(
            {"images": tf.zeros((8, 8, 3)), "labels": tf.zeros(2), "seed": tf.zeros(3, tf.int64)}
        )


@pytest.mark.parametrize(
    ("layer", "entries", "message"),
    [
        (AugmentationLayer(RandomFlip()), ["bounding_boxes"], 'bounding_box_format="xyxy"'),
        (AugmentationLayer(RandomFlip()), ["depth"], r"`depth` cannot be moved .* shape \(4, 32, 40, 1\)"),
        (AugmentationLayer(Rotated(), "xyxy"), ["bounding_boxes"], "Rotated cannot move `bounding_boxes`"),
        (AugmentationLayer(MixUpOrCutMix(mixup=0), "xyxy"), ["bounding_boxes"], "cannot mix `bounding_boxes`"),
        (AugmentationLayer(MixUpOrCutMix()), ["segmentation_masks"], "MixUp cannot mix `segmentation_masks`"),
        (AugmentationLayer(MixUpOrCutMix()), [], "needs one-hot `labels` or `segmentation_masks`"),
    ],
)
def test_refuses_what_the_step_cannot_move(layer, entries, message, scenes):
    inputs = {**scenes, "depth": scenes["segmentation_masks"]}
    with pytest.raises(ValueError, match=message):
        layer({name: inputs[name] for name in ["images", *entries]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((8, 8, 4), "uint8")}, r"three channels or one. Received: images of shape \(8, 8, 4\)"),
        ({"seed": 3}, "`seed` must have three integers for each image"),
    ],
)
def test_refuses_other_forms(changes, message):
    with pytest.raises(ValueError, match=message):
        AugmentationLayer(RandomFlip())({"images": np.zeros((8, 8, 3), "uint8"), **changes})


def test_refuses_a_dict_without_images():
    with pytest.raises(ValueError, match=r"a dict with `images`. Received: \['image'\]"):
        AugmentationLayer(RandomFlip())({"image": np.zeros((8, 8, 3), "uint8")})


ANNOTATED = ("images", "bounding_boxes", "segmentation_masks", "keypoints", "seed")


@pytest.fixture
def scenes(rng):
    """A batch of four images with one to three boxes each, padded."""
    corners = np.sort(rng.integers(0, (40, 32), (4, 3, 2, 2)), axis=2)
    boxes = np.concatenate([corners[:, :, 0], corners[:, :, 1] + 1], axis=-1).astype("float32")
    classes = rng.integers(0, 5, (4, 3)).astype("float32")
    for image, objects in enumerate((1, 3, 2, 3)):
        boxes[image, objects:] = classes[image, objects:] = -1
    return {
        "images": rng.integers(0, 256, (4, 32, 40, 3), dtype="uint8"),
        "bounding_boxes": {"boxes": boxes, "classes": classes},
        "segmentation_masks": rng.integers(0, 5, (4, 32, 40, 1), dtype="uint8"),
        "keypoints": rng.integers(0, 32, (4, 5, 2)).astype("float32"),
        "seed": np.array([(2, 1, index) for index in range(4)]),
    }


def ragged(inputs):
    boxes = inputs["bounding_boxes"]
    is_object = boxes["classes"] != -1
    return {**inputs, "bounding_boxes": {name: tf.ragged.boolean_mask(boxes[name], is_object) for name in boxes}}


def first(dataset):
    return keras.tree.map_structure(
        lambda value: value if hasattr(value, "to_list") else value.numpy(), next(iter(dataset))
    )


@pytest.mark.parametrize("form", ["single", "dense", "ragged"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_equals_the_step_on_arrays(step, form, scenes):
    """Single or batched, uint8 or float32, boxes ragged or dense: what `augment_sample` gives."""
    expected = [
        augment_sample(keras.tree.map_structure(lambda value, n=n: value[n], scenes), (2, 1, n), [step])
        for n in range(4)
    ]
    dtype = {"single": "uint8"}.get(form, "float32")
    inputs = {**scenes, "images": scenes["images"].astype(dtype)}
    dataset = tf.data.Dataset.from_tensor_slices(inputs)
    dataset = dataset if form == "single" else dataset.batch(4)
    if form == "ragged":
        dataset = dataset.map(ragged)
    found = list(dataset.map(AugmentationLayer(step, bounding_box_format="xyxy"), num_parallel_calls=2))
    for n, sample in enumerate(expected):
        one = found[n] if form == "single" else keras.tree.map_structure(lambda value, n=n: value[n], found[0])
        for name in ("images", "segmentation_masks", "keypoints"):
            np.testing.assert_array_equal(one[name], sample[name], err_msg=name)
        for name in ("boxes", "classes"):
            np.testing.assert_array_equal(one["bounding_boxes"][name], sample["bounding_boxes"][name])
    expected_dtype = "float32" if step.works_on == "arrays" or form != "single" else "uint8"
    assert found[0]["images"].dtype == expected_dtype
    assert isinstance(found[0]["bounding_boxes"]["boxes"], tf.RaggedTensor) == (form != "single")


@pytest.mark.parametrize("bounding_box_format", ["xyxy", "rel_yxyx", "center_xywh"])
def test_boxes_flip_as_in_keras_cvs_own_layer(bounding_box_format, scenes):
    def boxes_of(layer):
        boxes = keras_cv.bounding_box.convert_format(
            {name: tf.constant(value) for name, value in scenes["bounding_boxes"].items()},
            source="xyxy",
            target=bounding_box_format,
            images=tf.constant(scenes["images"], "float32"),
        )
        inputs = {"images": scenes["images"].astype("float32"), "bounding_boxes": boxes}
        found = first(tf.data.Dataset.from_tensors(inputs).map(layer))
        return found["images"], [found["bounding_boxes"][name].to_list() for name in ("boxes", "classes")]

    images, (boxes, classes) = boxes_of(AugmentationLayer(RandomFlip(1.0), bounding_box_format=bounding_box_format))
    theirs, (their_boxes, their_classes) = boxes_of(
        keras_cv.layers.RandomFlip(rate=1.0, bounding_box_format=bounding_box_format)
    )
    np.testing.assert_array_equal(images, theirs)
    assert classes == their_classes
    for ours, others in zip(boxes, their_boxes, strict=True):
        np.testing.assert_allclose(ours, others, atol=1e-4)


@pytest.mark.parametrize("batched", [False, True])
def test_stands_in_an_augmenter_beside_keras_cvs_layers(batched, scenes):
    augmenter = keras_cv.layers.Augmenter(
        [
            AugmentationLayer(RandomResizedCrop(24, 24), bounding_box_format="xyxy"),
            keras_cv.layers.RandomFlip(bounding_box_format="xyxy"),
            AugmentationLayer(RandAugment(), bounding_box_format="xyxy"),
            keras_cv.layers.RandomBrightness(0.1, value_range=(0, 255)),
            AugmentationLayer(RandomErasing(), bounding_box_format="xyxy"),
        ]
    )
    inputs = {name: scenes[name] for name in ("images", "bounding_boxes", "segmentation_masks")}
    inputs["labels"] = np.eye(4, dtype="float32")
    dataset = tf.data.Dataset.from_tensor_slices(inputs)
    dataset = (dataset.batch(4) if batched else dataset).map(augmenter, num_parallel_calls=2)
    dense = dataset.map(lambda one: keras_cv.bounding_box.to_dense(one["bounding_boxes"], max_boxes=3))
    images, boxes = first(dataset)["images"], first(dense)["boxes"]
    assert images.shape == ((4, 24, 24, 3) if batched else (24, 24, 3))
    assert boxes.shape[-1] == 4 and boxes[..., 2:].max(initial=0) <= 24
    assert not batched or boxes.shape == (4, 3, 4)


def test_without_a_seed_each_image_and_each_epoch_draws_its_own_numbers():
    image = tf.zeros((8, 8, 3))
    layer = AugmentationLayer(RandomErasing(1.0))
    single = tf.data.Dataset.range(6).map(lambda _: layer(image), num_parallel_calls=2)
    batched = tf.data.Dataset.range(1).map(lambda _: layer(tf.stack([image] * 6)), num_parallel_calls=2).unbatch()
    for dataset in (single, batched):
        assert len({one.numpy().tobytes() for _ in range(3) for one in dataset}) == 18


def test_a_layers_own_seed_makes_it_reproducible():
    def pass_over(seed):
        layer = AugmentationLayer(RandomErasing(1.0), seed=seed)
        return b"".join(
            one.numpy().tobytes() for one in tf.data.Dataset.range(4).map(lambda _: layer(tf.zeros((8, 8, 3))))
        )

    assert pass_over(1) == pass_over(1) != pass_over(2)


def test_layers_of_one_class_draw_independently():
    """As the steps of an augmentation do: `repeat` counts those before."""
    inputs = {"images": np.zeros((8, 8, 3), "float32"), "seed": np.array([0, 0, 1])}
    first, second = (AugmentationLayer(RandomErasing(1.0), repeat=repeat)(inputs)["images"] for repeat in (0, 1))
    assert (keras.ops.convert_to_numpy(first) != keras.ops.convert_to_numpy(second)).any()


def test_cutmix_cuts_images_and_label_maps_alike(scenes):
    inputs = {"images": np.repeat(scenes["segmentation_masks"], 3, axis=-1), **{n: scenes[n] for n in ANNOTATED[2:3]}}
    found = first(tf.data.Dataset.from_tensors(inputs).map(AugmentationLayer(MixUpOrCutMix(mixup=0.0))))
    np.testing.assert_array_equal(found["images"][..., :1], found["segmentation_masks"])
    assert found["segmentation_masks"].dtype == "uint8"


@pytest.mark.parametrize("step", [RandomFlip(1.0), RandomResizedCrop(24, 24)], ids=lambda step: type(step).__name__)
def test_images_of_several_sizes(step, scenes):
    sizes = [(32, 40), (20, 30)]
    samples = [{"images": scenes["images"][n, :h, :w].astype("float32")} for n, (h, w) in enumerate(sizes)]
    specification = {"images": tf.TensorSpec((None, None, 3), "float32")}
    dataset = tf.data.Dataset.from_generator(lambda: iter(samples), output_signature=specification).ragged_batch(2)
    found = next(iter(dataset.map(AugmentationLayer(step))))["images"]
    if isinstance(step, RandomFlip):
        for one, before in zip(found, samples, strict=True):
            np.testing.assert_array_equal(one.to_tensor(), before["images"][:, ::-1])
    else:
        assert isinstance(found, tf.Tensor) and found.shape == (2, 24, 24, 3)


def test_a_keras_file_keeps_the_layer(tmp_path, recwarn):
    layer = AugmentationLayer(RandomFlip(0.25), bounding_box_format="xywh", seed=3, repeat=1)
    keras.Sequential([layer]).save(tmp_path / "model.keras")
    (again,) = keras.saving.load_model(tmp_path / "model.keras").layers
    assert again.get_config() == layer.get_config()
    assert (again.step, again.bounding_box_format, again.seed, again.repeat) == (RandomFlip(0.25), "xywh", 3, 1)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (RandomFlip, r"write `RandomFlip\(\)`"),
        ("flip", "Expected a step that derives from"),
        (RandomResizedCrop(), "needs a size here: give its `height` and `width`"),
    ],
)
def test_refuses_at_once(step, message):
    with pytest.raises(ValueError, match=message):
        AugmentationLayer(step)
