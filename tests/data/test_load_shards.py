"""Reading shards: batches, the order of an epoch, and damaged files, which are named."""

import os
import pickle

import numpy as np
import pytest

from keras_convnext.data import (
    AugmentedBatches,
    Batches,
    check_shards,
    load_data,
    load_folder,
    load_shards,
    read_image,
    split_validation,
    write_shards,
)
from keras_convnext.data.images import UnreadableImageError
from keras_convnext.data.order import shuffled_order, windowed_order
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.preprocessing.augmentation import RandomFlip


@pytest.fixture
def folder(write_folder):
    names = [f"{part}/{name}/{number}.png" for part in ("train", "val") for name in "abc" for number in range(8)]
    return write_folder(*names, "test/a/0.jpg", "test/b/1.jpg")


@pytest.fixture
def shards(folder, tmp_path):
    """Shards of the folder: several for each part."""
    write_shards(folder, tmp_path / "shards", shard_bytes=9_000, verbose=False)
    return tmp_path / "shards"


def rows(pixels, labels):
    """A row of numbers per image, with its label, so that images can be compared in any order."""
    flat = np.concatenate([pixels.reshape(len(pixels), -1), labels], axis=1)
    return flat[np.lexsort(flat.T)]


def epoch_of(batches):
    parts = [batches[step] for step in range(len(batches))]
    return rows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def test_an_epoch_has_the_images_and_labels_of_the_folder(folder, shards):
    images, sharded = load_folder(folder, verbose=False).train, load_data(shards).train
    resize = ResizeAndCrop(4, 4)
    for shuffle in (False, True):
        one, other = (Batches(some, 8, resize, shuffle=shuffle) for some in (images, sharded))
        np.testing.assert_array_equal(epoch_of(one), epoch_of(other))


def test_augmented_batches_are_those_of_the_same_images_as_arrays_of_paths(folder, shards, tmp_path):
    """Order and augmentation depend on the seed, the epoch and the index alone: of shards as of files."""
    sharded = load_shards(shards).train
    files = []
    for number, image in enumerate(sharded.pixels):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(image.open().read())
    images = type(load_folder(folder, verbose=False).train)(files, sharded.labels, sharded.class_names)
    both = [AugmentedBatches(one, (6, 6), Augmentation(), 8, seed=2, workers=1) for one in (images, sharded)]
    try:
        for one, other in zip(*(batches[1] for batches in both), strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        for batches in both:
            batches.close()


@pytest.mark.parametrize(
    "augmentation", [Augmentation(), pytest.param(Augmentation([RandomFlip()]), marks=pytest.mark.slow)]
)
def test_the_shares_of_two_processes_are_the_whole_batch(shards, augmentation):
    """Each process loads the shards itself; windows are small, so that they matter."""
    whole, *shares = (
        AugmentedBatches(load_shards(shards, 2000).train, (6, 6), augmentation, 8, seed=3, workers=1) for _ in range(3)
    )
    try:
        for index, share in enumerate(shares):
            share.take_share(index, 2)
        for epoch in (0, 1):
            for batches in (whole, *shares):
                batches.epoch = epoch
            parts = [share[1] for share in shares]
            together = rows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
            np.testing.assert_allclose(together, rows(*whole[1]), atol=1e-4)
    finally:
        for batches in (whole, *shares):
            batches.close()


def test_taking_images(shards):
    images = load_shards(shards).train
    chosen = images.take([5, 2, 7]).take(np.array([2, 0]))
    assert [image.number for image in chosen.pixels] == [7, 5]
    np.testing.assert_array_equal(chosen.labels, images.labels[[7, 5]])
    np.testing.assert_array_equal(read_image(chosen.pixels[0]), read_image(images.pixels[7]))
    train, validation = split_validation(images)
    assert sorted(image.number for part in (train, validation) for image in part.pixels) == list(range(24))


def test_what_is_sent_to_a_process_is_small(shards):
    images = load_shards(shards).train
    assert len(pickle.dumps([images.pixels[place] for place in range(16)])) < 2_000


def test_a_window_with_all_images_gives_the_order_of_any_other_images(shards):
    images = load_shards(shards).train
    np.testing.assert_array_equal(images.shuffled_order(1, 2), shuffled_order(1, 2, 24))


@pytest.mark.parametrize("split", [False, True])
def test_windows(shards, split):
    """Each window is of whole shards and within the limit; its images are mixed, and other ones in each epoch."""
    images = load_shards(shards, window_bytes=1500).train
    images = split_validation(images, fraction=0.3)[0] if split else images
    numbers, sizes = images.pixels.shard_numbers, images.pixels.sizes
    firsts = []
    for epoch in range(3):
        order = images.shuffled_order(4, epoch)
        assert sorted(order) == list(range(len(images)))
        np.testing.assert_array_equal(order, images.shuffled_order(4, epoch))
        seen = numbers[order]
        edges = [place for place in range(1, len(seen)) if not set(seen[:place]) & set(seen[place:])]
        windows = np.split(order, edges)  # a window that is of several shards is not cut
        assert all(sizes[window].sum() <= 1500 or len(set(numbers[window])) == 1 for window in windows)
        assert len(windows) > 1
        firsts.append(set(seen[:4]))
    assert firsts[0] != firsts[1] or firsts[1] != firsts[2]


def test_windows_of_many_shards():
    rng = np.random.default_rng(0)
    shards = np.repeat(np.arange(40), 25)
    sizes = rng.integers(50, 150, 1000)
    order = windowed_order(0, 0, shards, sizes, window_bytes=20_000)
    assert sorted(order) == list(range(1000))
    bytes_of = np.bincount(shards, weights=sizes)
    open_shards, most = set(), 0
    left = dict(enumerate(np.bincount(shards)))
    for image in order:
        open_shards.add(shards[image])
        left[shards[image]] -= 1
        most = max(most, sum(bytes_of[shard] for shard in open_shards))
        open_shards -= {shard for shard in open_shards if not left[shard]}
    assert 10_000 < most <= 20_000
    neighbours = np.mean(shards[order][1:] == shards[order][:-1])
    assert neighbours < 0.25  # of about eight shards that are mixed


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_is_found_when_the_image_is_read(shards):
    images = load_shards(shards).train
    bad = images.pixels[3]
    flip(shards / os.path.basename(bad.shard), bad.offset + bad.size // 2)
    images = load_shards(shards).train
    name = os.path.basename(bad.shard)
    with pytest.raises(
        UnreadableImageError, match=rf"{name}: image 00000003: not a readable image \(the shard is corrupt"
    ):
        read_image(images.pixels[3])
    batches = AugmentedBatches(images, (6, 6), Augmentation(), 8, workers=1)
    try:
        with pytest.raises(UnreadableImageError, match=f"{name}: image 00000003"):
            for step in range(len(batches)):
                batches[step]
    finally:
        batches.close()
    assert check_shards(shards, verbose=False) == [f"{name} is corrupt: image 00000003"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            lambda path: os.truncate(path / "train-000001.tar", 6_000),
            r"train-000001.tar has 6,000 bytes in place of 10,240",
        ),
        (lambda path: (path / "train-000001.tar").unlink(), "train-000001.tar is missing"),
        (lambda path: (path / "validation-000001.npy").unlink(), "validation-000001.npy is missing"),
        (lambda path: flip(path / "train-000001.npy", -3), "train-000001.npy is corrupt"),
        (lambda path: flip(path / "train-000001.npy", 2), "train-000001.npy cannot be read"),
        (lambda path: (path / "train-000001.npy").write_bytes(b""), "train-000001.npy cannot be read"),
    ],
)
def test_damaged_files_are_named(shards, damage, problem):
    damage(shards)
    with pytest.raises(
        ValueError, match=f"shards: {problem}. Restore these files, or call `keras-convnext shard` again"
    ):
        load_data(shards)
    assert check_shards(shards, verbose=False) == [problem]


@pytest.mark.parametrize("place", range(0, 250, 10))
def test_an_index_with_a_damaged_byte_is_named_and_written_again(folder, shards, place):
    index = shards / "train-000000.npy"
    before = index.read_bytes()
    flip(index, place)
    with pytest.raises(ValueError, match=r"train-000000\.npy (is corrupt|cannot be read)"):
        load_shards(shards)
    write_shards(folder, shards, shard_bytes=9_000, verbose=False)
    assert index.read_bytes() == before


def test_all_damaged_shards_are_counted(shards):
    for path in shards.glob("*.tar"):
        path.unlink()
    with pytest.raises(ValueError, match=r"missing; .* missing, and \d+ more\. Restore"):
        load_data(shards)


def test_a_label_that_differs_from_the_index_is_found(shards):
    archive = shards / "test-000000.tar"
    content = archive.read_bytes()
    place = content.index(b".cls") - 8 + 512
    flip(archive, place)
    (problem,) = check_shards(shards, verbose=False)
    assert problem.startswith("test-000000.tar is corrupt: image 0000000")


def test_a_damaged_header_is_found(shards):
    flip(shards / "test-000000.tar", 3)
    (problem,) = check_shards(shards, verbose=False)
    assert problem.startswith("test-000000.tar is corrupt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not written by `keras-convnext shard`"),
        ("nonsense", "not written by `keras-convnext shard`"),
        ('{"format": "keras_convnext shards", "version": 9}', r"version 9 of the format.*Update it"),
    ],
)
def test_refuses_other_descriptions(tmp_path, text, message):
    (tmp_path / "shards.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_data(tmp_path)


def test_refuses_what_is_no_folder_of_shards(tmp_path):
    with pytest.raises(ValueError, match=r"expected a folder of shards, with a file shards\.json, and found none"):
        load_shards(tmp_path)
    with pytest.raises(ValueError, match="`window_bytes` must be"):
        load_shards(tmp_path, window_bytes=0)
