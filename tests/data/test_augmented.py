"""Augmented batches: of arrays and of files, the same again, and ready for `fit` on each backend."""

import importlib
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext.data import (
    AugmentedBatches,
    EpochOrder,
    Images,
    augment_workers,
    augmented,
    augmented_dataset,
    load_digits,
    load_folder,
    read_image,
)
from keras_convnext.data.augment_workers import AugmentThreads, AugmentWorkers, environment
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.preprocessing.augmentation import RandomFlip

pytestmark = pytest.mark.once

NO_CROP = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
NONE = Augmentation(**NO_CROP, flip_probability=0, rand_augment=0, erasing_probability=0, mixup=0, cutmix=0)
PLAIN = {"label_smoothing": 0.0, "workers": 1}
GREY = {"mean": (0.45,), "std": (0.226,)}


@pytest.fixture
def digits():
    return load_digits().train.take(range(70))


def batches_of(dataset):
    return [np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True)]


def test_without_augmentation_each_epoch_has_each_image_at_most_once(digits):
    dataset = augmented_dataset(digits, (8, 8), NONE, batch_size=16, epochs=2, **GREY, **PLAIN)
    assert int(dataset.cardinality()) == 8
    pixels, labels = batches_of(dataset)
    known = {image.tobytes(): label for image, label in zip(digits.pixels, digits.labels, strict=True)}
    for epoch in (slice(0, 64), slice(64, 128)):
        found = [image.astype("uint8").tobytes() for image in pixels[epoch]]
        assert len(set(found)) == 64
        assert [known[image] for image in found] == labels[epoch].argmax(-1).tolist()
    assert (pixels[:64] != pixels[64:]).any()


def test_the_same_again_however_many_workers_and_wherever_it_starts(digits):
    options = {"augmentation": Augmentation(), "batch_size": 16, "seed": 3, **GREY}
    pixels, labels = batches_of(augmented_dataset(digits, (8, 8), epochs=3, workers=1, **options))
    again = batches_of(augmented_dataset(digits, (8, 8), epochs=3, workers=4, **options))
    later = batches_of(augmented_dataset(digits, (8, 8), epochs=2, first_epoch=1, **options))
    np.testing.assert_array_equal(again[0], pixels)
    np.testing.assert_array_equal(again[1], labels)
    np.testing.assert_array_equal(later[0], pixels[64:])
    np.testing.assert_array_equal(later[1], labels[64:])
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-5)


@pytest.fixture
def first_batch(digits):
    """A function: the first of the digits' augmented batches, always the same ones, from new processes."""

    def make():
        batches = AugmentedBatches(digits, (8, 8), Augmentation(), batch_size=16, seed=3, workers=1, **GREY)
        try:
            return batches[0]
        finally:
            batches.close()

    return make


@pytest.mark.parametrize(
    ("installed", "is_enough"),
    [({"scipy", "jax", "jaxlib"}, True), ({"scipy"}, False), ({"jax", "jaxlib"}, False), ({"scipy", "jax"}, False)],
)
def test_the_processes_have_the_numpy_backend_where_all_that_it_imports_is_there(
    installed, is_enough, monkeypatch, backend
):
    monkeypatch.setattr(augment_workers, "is_installed", installed.__contains__)
    assert environment()["KERAS_BACKEND"] == ("numpy" if is_enough else backend)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["scipy", "jax"])
def test_the_processes_need_neither_scipy_nor_jax(first_batch, tmp_path, monkeypatch, backend, package):
    """Keras's NumPy backend imports both; TensorFlow and PyTorch bring neither."""
    if backend == "jax":
        pytest.skip("JAX brings SciPy, and is JAX")
    expected = first_batch()
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{package}'\")")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package, raising=False)  # other tests' imports
    assert environment()["KERAS_BACKEND"] == backend
    for one, other in zip(first_batch(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_processes_start_in_any_folder(first_batch, tmp_path, monkeypatch):
    """Also in one that holds modules of the names that they import."""
    expected = first_batch()
    for name in ("keras", "keras_convnext", "numpy", "PIL", "jax", "scipy", "pickle", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    for one, other in zip(first_batch(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_files_are_read_and_a_model_trains_on_them(tmp_path, digits):
    from PIL import Image

    for number, (image, label) in enumerate(zip(digits.pixels, digits.labels, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).resize((24, 24)).save(tmp_path / str(label) / f"{number}.png")
    images = load_folder(tmp_path, verbose=False).train
    known = {read_image(path).tobytes(): label for path, label in zip(images.pixels, images.labels, strict=True)}
    pixels, labels = batches_of(augmented_dataset(images, (24, 24), NONE, batch_size=20, **PLAIN))
    assert [known[image.astype("uint8").tobytes()] for image in pixels] == labels.argmax(-1).tolist()
    dataset = augmented_dataset(images, (16, 16), Augmentation(), batch_size=20, workers=1)
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    history = model.fit(dataset, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_the_same_as_a_dataset_of_keras(digits):
    """For `fit` without TensorFlow: epochs in any order, and batches too."""
    options = {"augmentation": Augmentation(), "batch_size": 16, "seed": 3, "workers": 2, **GREY}
    pixels, labels = batches_of(augmented_dataset(digits, (8, 8), epochs=2, **options))
    batches = AugmentedBatches(digits, (8, 8), **options)
    assert len(batches) == 4
    for epoch, index in ((1, 2), (0, 0), (0, 3), (0, 1), (1, 0)):
        batches.epoch = epoch
        found = batches[index]
        start = 16 * (4 * epoch + index)
        np.testing.assert_array_equal(found[0], pixels[start : start + 16])
        np.testing.assert_array_equal(found[1], labels[start : start + 16])
    batches.close()


def test_a_model_trains_on_them_epoch_by_epoch(digits):
    batches = AugmentedBatches(digits, (8, 8), Augmentation(), 16, workers=1)
    seen = []
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(batches.epoch))
    history = model.fit(
        batches, epochs=3, initial_epoch=1, shuffle=False, callbacks=[EpochOrder(batches), note], verbose=0
    )
    assert seen == [1, 2]
    assert np.isfinite(history.history["loss"]).all()


def test_an_image_that_cannot_be_read_is_named(tmp_path, digits):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(b"no image")
    batches = AugmentedBatches(Images(paths, np.arange(4) % 2, ("a", "b")), (8, 8), Augmentation(), 4, workers=1)
    with pytest.raises(ValueError, match=r"\d\.png: not a readable image"):
        batches[0]


def test_a_process_that_ends_is_told(digits):
    batches = AugmentedBatches(digits, (8, 8), Augmentation(), 16, workers=1)
    batches[0]
    for process in batches._augmenters._processes:
        process.kill()
    with pytest.raises(RuntimeError, match=r"augments images ended by signal SIGKILL, without a message\.$"):
        [batches[index] for index in range(4)]


def test_a_process_that_fails_is_quoted(first_batch, tmp_path, monkeypatch):
    """Its own error, and no guess at what may be behind it."""
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("raise MemoryError('no room for pictures')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError) as raised:
        first_batch()
    first, *_, last = str(raised.value).splitlines()
    assert first == "A process that augments images ended with exit code 1. The end of its messages:"
    assert last == "MemoryError: no room for pictures"


def test_closed_batches_are_told_and_leave_no_process(digits):
    batches = AugmentedBatches(digits, (8, 8), Augmentation(), 16, workers=2)
    batches[0]
    processes = list(batches._augmenters._processes)
    assert processes
    batches.close()
    batches.close()
    assert all(process.returncode is not None for process in processes)
    with pytest.raises(RuntimeError, match="These batches were closed"):
        batches[1]


def test_a_dataset_ends_its_processes(digits, monkeypatch):
    made = []
    start = AugmentWorkers._start
    monkeypatch.setattr(AugmentWorkers, "_start", lambda self: made.append(start(self)) or made[-1])
    batches_of(augmented_dataset(digits, (8, 8), Augmentation(), 16, workers=1, **GREY))
    assert made
    assert all(process.returncode is not None for process in made)


def test_groups_of_batches_are_whole(digits):
    assert len(AugmentedBatches(digits, (8, 8), Augmentation(), 8, group=3)) == 6
    with pytest.raises(ValueError, match=r"3 batches of 32 images or more\. Received: 70"):
        AugmentedBatches(digits, (8, 8), Augmentation(), 32, group=3)


def test_refuses_fewer_images_than_a_batch(digits):
    with pytest.raises(ValueError, match=r"at least one batch of 128 images\. Received: 70"):
        augmented_dataset(digits, (8, 8), NONE, batch_size=128)


@pytest.mark.slow
def test_one_channel_is_normalized_with_the_average_by_default(digits):
    """With the noise of erased pixels, which follows from it; every image has some of it here."""
    erased = replace(NONE, erasing_probability=1.0)
    pixels, _ = batches_of(augmented_dataset(digits, (8, 8), erased, batch_size=16, workers=1))
    given, _ = batches_of(
        augmented_dataset(digits, (8, 8), erased, batch_size=16, workers=1, mean=(0.449,), std=(0.226,))
    )
    np.testing.assert_allclose(pixels, given, atol=1e-3)
    other, _ = batches_of(augmented_dataset(digits, (8, 8), erased, batch_size=16, workers=1, mean=(0.0,), std=(1.0,)))
    assert (np.abs(pixels - other) > 1).any(axis=(1, 2, 3)).mean() > 0.9


@pytest.mark.slow
def test_float_pixels_are_rounded(digits):
    floats = Images(digits.pixels + np.float32(0.4), digits.labels, digits.class_names)
    for first, second in zip(
        batches_of(augmented_dataset(floats, (8, 8), NONE, 16, **PLAIN)),
        batches_of(augmented_dataset(digits, (8, 8), NONE, 16, **PLAIN)),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "`seed` must be an integer, at least 0"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be at least 0"),
        ({"pixels": np.zeros((70, 8, 8, 4), "uint8")}, "three channels or one"),
    ],
)
def test_refuses_what_would_fail_in_the_middle(digits, changes, message):
    images = replace(digits, pixels=changes.pop("pixels", digits.pixels))
    with pytest.raises(ValueError, match=message):
        augmented_dataset(images, (8, 8), NONE, batch_size=16, **changes)


STEPS_OF_MY_OWN = """
from dataclasses import dataclass

import numpy as np

from keras_convnext.preprocessing.augmentation import ArrayStep, BatchStep, ImageStep


@dataclass(frozen=True)
class Brighten(ImageStep):
    amount: int = 1

    def augment_image(self, image, generator):
        return image.point(lambda value: min(value + self.amount, 255))


@dataclass(frozen=True)
class Noise(ArrayStep):
    def augment_array(self, pixels, generator):
        return pixels + generator.random(pixels.shape, dtype="float32") / 2


@dataclass(frozen=True)
class Dim(BatchStep):
    def augment_batch(self, images, labels, generator):
        return images / 2, labels


@dataclass(frozen=True)
class Cut(ArrayStep):
    def augment_array(self, pixels, generator):
        return pixels[1:]
"""


@pytest.fixture
def own_steps(tmp_path, monkeypatch):
    """A module with steps of a user's own."""
    (tmp_path / "own_steps.py").write_text(STEPS_OF_MY_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_steps")
    del sys.modules["own_steps"]


@pytest.mark.parametrize("module", ["own_steps", "__main__"])
def test_steps_of_a_users_own(digits, own_steps, monkeypatch, module):
    """Of a module they run in processes; of a notebook, in threads."""
    for kind in (own_steps.Brighten, own_steps.Noise, own_steps.Dim):
        monkeypatch.setattr(kind, "__module__", module)
    augmentation = Augmentation([own_steps.Brighten(2), own_steps.Noise(), own_steps.Dim()])
    batches = AugmentedBatches(digits, (8, 8), augmentation, 16, label_smoothing=0.0, workers=2)
    assert type(batches._augmenters) is (AugmentWorkers if module == "own_steps" else AugmentThreads)
    pixels, labels = batches[1]
    batches.close()
    chosen = batches._order[16:32]
    expected = np.minimum(digits.pixels[chosen] + 2.0, 255)
    assert (pixels * 2 >= expected).all() and (pixels * 2 < expected + 0.5).all()
    assert len(np.unique(pixels * 2 - expected)) > 500
    np.testing.assert_array_equal(labels.argmax(-1), digits.labels[chosen])


def test_a_step_that_changes_the_shape_is_named(digits, own_steps):
    batches = AugmentedBatches(digits, (8, 8), Augmentation([own_steps.Cut()]), 16, workers=1)
    with pytest.raises(ValueError, match=r"Cut\.augment_array must return an array of the shape .*\(7, 8, 1\)"):
        batches[0]
    batches.close()


def test_without_a_crop_images_are_resized_as_in_evaluation(rng, monkeypatch):
    monkeypatch.setattr(augmented, "start_workers", lambda count, steps: AugmentThreads(count))
    pixels = rng.integers(0, 256, (4, 20, 24, 3), dtype="uint8")
    images = Images(pixels, np.arange(4) % 2, ("a", "b"))
    found, _ = AugmentedBatches(images, (10, 10), Augmentation([RandomFlip(0.0)]), 4)[0]
    order = AugmentedBatches(images, (10, 10), Augmentation([]), 4)._order
    np.testing.assert_array_equal(found, np.stack([ResizeAndCrop(10, 10)(image) for image in pixels[order]]))
