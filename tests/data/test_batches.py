"""Batches: their contents, and the order in which `fit` itself sees the images."""

from itertools import chain

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import Batches, EpochOrder, Images


def numbered(count=22, classes=3):
    """Images of one pixel that carry their own number as its value."""
    labels = np.arange(count) % classes
    return Images(np.arange(count, dtype="uint8").reshape(-1, 1, 1, 1), labels, tuple(map(str, range(classes))))


def numbers(pixels):
    return keras.ops.convert_to_numpy(pixels)[:, 0, 0, 0].astype(int).tolist()


def shuffled(epoch=0, seed=0, threads=1):
    """Batches of four of `numbered()` in the order of an epoch."""
    batches = Batches(numbered(), 4, shuffle=True, seed=seed, threads=threads)
    batches.epoch = epoch
    return batches


def order(batches):
    """The numbers of the images of an epoch, a list a batch."""
    return [numbers(batches[index][0]) for index in range(len(batches))]


def flat(batches):
    """The numbers of the images of an epoch, in one tuple."""
    return tuple(chain.from_iterable(order(batches)))


class Witness(keras.Sequential):
    """A model that notes down each batch that a training step is given."""

    def __init__(self):
        super().__init__([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        self.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True)

    def train_step(self, *arguments):
        x, y = arguments[-1]
        numbers_seen = numbers(x)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(y).argmax(-1), np.array(numbers_seen) % 3)
        self.seen.append(numbers_seen)
        return super().train_step(*arguments)

    def see(self, batches, **options):
        """What `fit` gives to the training steps, a list an epoch."""
        self.seen = []
        self.fit(batches, verbose=0, **options)
        steps = iter([list(batch) for batch in self.seen])
        return [[next(steps) for _ in range(len(batches))] for _ in range(len(self.seen) // len(batches))]


def test_without_shuffling_gives_all_in_order():
    batches = Batches(numbered(10), 4)
    assert order(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    batches.epoch = 3
    assert order(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("count, length", [(8, 2), (9, 3), (3, 1), (1, 1)])
def test_length_without_shuffling(count, length):
    assert len(Batches(numbered(count), 4)) == length


@pytest.mark.parametrize("count, length", [(8, 2), (11, 2), (4, 1), (3, 1), (1, 1)])
def test_shuffled_leaves_out_the_last_smaller_batch(count, length):
    batches = Batches(numbered(count), 4, shuffle=True)
    seen = order(batches)
    assert len(batches) == len(seen) == length
    assert {len(batch) for batch in seen} == {min(count, 4)}


def test_an_epoch_has_every_image_once():
    assert sorted(flat(Batches(numbered(20), 5, shuffle=True))) == list(range(20))


def test_over_epochs_every_image_comes():
    batches = Batches(numbered(22), 4, shuffle=True)
    seen = set()
    for epoch in range(10):
        batches.epoch = epoch
        seen |= set(flat(batches))
    assert seen == set(range(22))


def test_the_order_follows_from_seed_and_epoch():
    orders = {(seed, epoch): flat(shuffled(epoch, seed)) for seed in range(4) for epoch in range(4)}
    assert len(set(orders.values())) == 16
    batches = shuffled(seed=2)
    for epoch in (3, 0, 1):
        batches.epoch = epoch
        assert flat(batches) == orders[2, epoch]


def test_the_order_is_not_that_of_the_global_random_state():
    orders = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        orders.append(order(Batches(numbered(), 4, shuffle=True)))
    assert orders[0] == orders[1]


def test_labels_are_one_hot():
    x, y = Batches(numbered(5), 5)[0]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(y, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_pixels_are_as_they_were(rng):
    pixels = rng.integers(0, 256, (6, 4, 5, 2), dtype="uint8")
    x, _ = Batches(Images(pixels, np.arange(6) % 2, ("a", "b")), 6)[0]
    np.testing.assert_array_equal(x, pixels)


def test_transform_is_called_on_each_image(rng):
    pixels = rng.integers(0, 256, (6, 4, 5, 2), dtype="uint8")
    x, _ = Batches(Images(pixels, np.arange(6) % 2, ("a", "b")), 4, transform=lambda image: image[:3, ::-1])[1]
    np.testing.assert_array_equal(x, pixels[4:, :3, ::-1])


@pytest.fixture
def files(tmp_path, rng):
    """Six picture files and their pixels."""
    pixels = rng.integers(0, 256, (6, 4, 5, 3), dtype="uint8")
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return Images(paths, np.arange(6) % 2, ("a", "b")), pixels


def test_files_are_read(files):
    images, pixels = files
    x, y = Batches(images, 4)[0]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, pixels[:4])
    np.testing.assert_array_equal(y.argmax(-1), [0, 1, 0, 1])


def test_files_are_shuffled_with_their_labels_and_transformed(files):
    images, pixels = files
    batches = Batches(images, 3, transform=lambda image: image[1:3, 1:3], shuffle=True)
    for index in range(2):
        for image, label in zip(*batches[index], strict=True):
            (number,) = np.flatnonzero((pixels[:, 1:3, 1:3] == image).all((1, 2, 3)))
            assert label.argmax() == number % 2


@pytest.mark.parametrize("threads", [1, 3])
def test_fit_sees_the_order_of_each_epoch(threads):
    batches = shuffled(seed=5, threads=threads)
    seen = Witness().see(batches, epochs=3, shuffle=False, callbacks=[EpochOrder(batches)])
    assert seen == [order(shuffled(epoch, seed=5)) for epoch in range(3)]


@pytest.mark.parametrize("threads", [1, 3])
def test_fit_resumed_sees_the_order_of_an_uninterrupted_one(threads):
    batches = shuffled(threads=threads)
    options = {"epochs": 4, "initial_epoch": 2, "shuffle": False, "callbacks": [EpochOrder(batches)]}
    assert Witness().see(batches, **options) == [order(shuffled(epoch)) for epoch in (2, 3)]


def test_a_second_fit_on_the_same_batches_goes_on_with_their_order():
    batches, model = shuffled(), Witness()
    options = {"shuffle": False, "callbacks": [EpochOrder(batches)]}
    model.see(batches, epochs=1, **options)
    assert model.see(batches, epochs=2, initial_epoch=1, **options) == [order(shuffled(1))]


def test_fit_that_shuffles_by_itself_sees_the_same_batches():
    """Keras's `shuffle=True`, its default, puts the batches in another order, but leaves them whole."""
    batches = shuffled()
    for epoch, seen in enumerate(Witness().see(batches, epochs=2, callbacks=[EpochOrder(batches)])):
        assert sorted(seen) == sorted(order(shuffled(epoch)))


def test_without_the_callback_each_epoch_has_another_order_and_every_image_once():
    batches = Batches(numbered(20), 4, shuffle=True)
    epochs = Witness().see(batches, epochs=3, shuffle=False)
    assert [sorted(chain.from_iterable(epoch)) for epoch in epochs] == [list(range(20))] * 3
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_validation_leaves_the_training_order_alone():
    batches = shuffled()
    options = {"epochs": 2, "shuffle": False, "callbacks": [EpochOrder(batches)]}
    seen = Witness().see(batches, validation_data=Batches(numbered(7), 4), **options)
    assert seen == [order(shuffled(epoch)) for epoch in range(2)]


@pytest.mark.parametrize("threads", [1, 3])
def test_predict_gives_all_in_order(threads):
    outputs = Witness().predict(Batches(numbered(), 4, threads=threads), verbose=0)
    assert len(outputs) == 22
    differences = np.diff(outputs, axis=0)
    np.testing.assert_allclose(differences, np.broadcast_to(differences[:1], differences.shape), atol=1e-4)
