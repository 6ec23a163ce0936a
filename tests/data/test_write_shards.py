"""Writing shards: what is in them, that interrupted writing continues, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import webdataset

from keras_convnext.data import check_shards, load_folder, load_imagenet, load_shards, write_shards
from keras_convnext.data.images import UnreadableImageError

pytestmark = pytest.mark.once

KIB = 2**10
PROGRAM = "import sys\nfrom keras_convnext.data import write_shards\nwrite_shards(*sys.argv[1:3], shard_bytes=20_000)"


@pytest.fixture
def folder(write_folder):
    """A folder of three parts, with images in several formats and file names that an archive would not take."""
    names = [f"{part}/{name}/{number}.png" for part in ("train", "val") for name in "ab" for number in range(8)]
    return write_folder(*names, "train/a/ä photo.of a cat.JPEG", "train/b/x.gif", "test/a/0.png", "test/b/1.bmp")


@pytest.fixture
def shards(folder, tmp_path):
    """Shards of the folder, of few images each."""
    write_shards(folder, tmp_path / "shards", shard_bytes=10 * KIB, verbose=False)
    return tmp_path / "shards"


def contents(folder):
    """The content of each file of a folder, by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def samples(images):
    """The content of each image and the name of its class, in no order."""

    def content(pixels):
        return (pixels.open("rb") if hasattr(pixels, "read_bytes") else pixels.open()).read()

    found = zip(images.pixels, images.labels, strict=True)
    return sorted((content(pixels), images.class_names[label]) for pixels, label in found)


def test_files_and_labels_are_those_of_the_folder(folder, shards):
    data, sharded = load_folder(folder, verbose=False), load_shards(shards)
    assert sharded.class_names == data.class_names
    for part in ("train", "validation", "test"):
        assert samples(getattr(sharded, part)) == samples(getattr(data, part))
    assert len(list(shards.glob("train-*.tar"))) > 3


def test_webdataset_reads_the_same(folder, shards):
    """The library of the format, as a peer."""
    data = load_folder(folder, verbose=False)
    urls = sorted(str(path) for path in shards.glob("train-*.tar"))
    found = []
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        (image,) = (value for name, value in sample.items() if name not in ("cls",) and not name.startswith("__"))
        found.append((image, data.class_names[int(sample["cls"])]))
    assert sorted(found) == samples(data.train)
    decoded = webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8")
    assert all(isinstance(sample["cls"], int) for sample in decoded)


def test_pythons_tarfile_reads_it(shards):
    with tarfile.open(shards / "test-000000.tar") as archive:
        names = archive.getnames()
    assert sorted(names) == ["00000000.bmp", "00000000.cls", "00000001.cls", "00000001.png"] or sorted(names) == [
        "00000000.cls",
        "00000000.png",
        "00000001.bmp",
        "00000001.cls",
    ]


def test_an_image_without_a_known_ending_has_that_of_its_format(write_folder, tmp_path):
    folder = write_folder("a/1.png", "b/2.png")
    (folder / "a" / "1.png").rename(folder / "a" / "photo.2024")
    write_shards(folder, tmp_path / "shards", verbose=False)
    with tarfile.open(tmp_path / "shards" / "train-000000.tar") as archive:
        assert {name.partition(".")[2] for name in archive.getnames()} == {"png", "cls"}


def test_each_shard_has_about_the_size_and_all_classes(write_folder, tmp_path):
    folder = write_folder(*(f"{name}/{number}.png" for name in "ab" for number in range(60)))
    data = write_shards(folder, tmp_path / "shards", shard_bytes=50 * KIB, verbose=False)
    numbers = data.train.pixels.shard_numbers
    for shard in range(numbers.max() + 1):
        assert set(data.train.labels[numbers == shard]) == {0, 1}
    assert all(path.stat().st_size <= 62 * KIB for path in (tmp_path / "shards").glob("*.tar"))


def test_the_same_seed_gives_the_same_bytes(folder, shards, tmp_path):
    write_shards(folder, tmp_path / "again", shard_bytes=10 * KIB, verbose=False)
    assert contents(tmp_path / "again") == contents(shards)
    write_shards(folder, tmp_path / "other", shard_bytes=10 * KIB, seed=1, verbose=False)
    assert contents(tmp_path / "other") != contents(shards)
    assert samples(load_shards(tmp_path / "other").train) == samples(load_shards(shards).train)


def test_imagenet_as_kaggle_has_it(tmp_path, write_image):
    for name in ("n01", "n02"):
        write_image(tmp_path / f"in/ILSVRC/Data/CLS-LOC/train/{name}/{name}_1.JPEG")
        write_image(tmp_path / f"in/ILSVRC/Data/CLS-LOC/val/val_{name}.JPEG")
    (tmp_path / "in/LOC_val_solution.csv").write_text("ImageId,PredictionString\nval_n01,n02 1\nval_n02,n01 1\n")
    data = write_shards(tmp_path / "in", tmp_path / "out", verbose=False)
    expected = load_imagenet(tmp_path / "in", verbose=False)
    assert samples(data.train) == samples(expected.train)
    assert samples(data.validation) == samples(expected.validation)


def many(write_image, tmp_path, count=300):
    """A folder of enough images that writing their shards can be interrupted."""
    for number in range(count):
        write_image(tmp_path / "many" / "ab"[number % 2] / f"{number}.png", size=(48, 48))
    return tmp_path / "many"


def start(*arguments, before=""):
    return subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_writing_that_was_killed_continues_and_ends_with_the_same_bytes(write_image, tmp_path):
    folder, output = many(write_image, tmp_path), tmp_path / "killed"
    write_shards(folder, tmp_path / "whole", shard_bytes=20_000, verbose=False)
    counts = []
    for least in (1, 20):
        process = start(folder, output)
        until = time.monotonic() + 120
        while len(list(output.glob("*.npy"))) < least:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        counts.append(len(list(output.glob("*.npy"))))
        with pytest.raises(ValueError, match=r"not complete\. Call `keras-convnext shard` again"):
            load_shards(output)
    kept = {path: path.stat().st_mtime_ns for path in output.glob("*.npy")}
    assert counts == sorted(counts)
    assert counts[-1] < len(list((tmp_path / "whole").glob("*.npy")))
    write_shards(folder, output, shard_bytes=20_000, verbose=False)
    assert contents(output) == contents(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_full_disk_keeps_the_complete_shards(write_image, tmp_path):
    """A limit on the size of files stands in for a full disk: one shard, with a large image, is above it."""
    folder = many(write_image, tmp_path, 40)
    write_image(folder / "a" / "large.png", size=(200, 200))
    limit = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
    )
    process = start(folder, tmp_path / "full", before=limit)
    _, err = process.communicate()
    last = err.decode().strip().splitlines()[-1]
    assert process.returncode == 1
    assert last.startswith(f"OSError: {tmp_path / 'full'}: File too large. ")
    assert "shards are complete and are kept: the same call continues after them" in last
    assert not list((tmp_path / "full").glob("*.part"))
    write_shards(folder, tmp_path / "full", shard_bytes=20_000, verbose=False)
    write_shards(folder, tmp_path / "whole", shard_bytes=20_000, verbose=False)
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")


def test_an_unreadable_image_is_named_and_left_out_when_writing_continues(folder, tmp_path):
    bad = folder / "train/a/3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    output = tmp_path / "shards"
    with pytest.raises(UnreadableImageError, match=r"3\.png: not a readable image.*`skip_unreadable=True`.*complete"):
        write_shards(folder, output, shard_bytes=10 * KIB, verbose=False)
    kept = {path: path.read_bytes() for path in output.glob("*.tar")}
    data = write_shards(folder, output, shard_bytes=10 * KIB, skip_unreadable=True, verbose=False)
    assert data.skipped == (bad,)
    assert {path: path.read_bytes() for path in kept} == kept
    assert samples(data.train) == samples(load_folder(folder, skip_unreadable=True, verbose=False).train)
    assert check_shards(output, verbose=False) == []


def test_a_file_that_is_gone_is_left_out(folder, tmp_path):
    (folder / "train" / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(UnreadableImageError, match=r"gone\.png"):
        write_shards(folder, tmp_path / "shards", verbose=False)
    data = write_shards(folder, tmp_path / "shards", skip_unreadable=True, verbose=False)
    assert [path.name for path in data.skipped] == ["gone.png"]


def test_what_a_killed_process_began_is_no_obstacle(folder, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "shards.json.1.part").touch()
    write_shards(folder, tmp_path / "shards", verbose=False)
    assert not list((tmp_path / "shards").glob("*.part"))


def test_refuses_a_class_left_without_images(write_folder, tmp_path):
    folder = write_folder("a/1.png", "b/2.png")
    (folder / "b/2.png").write_bytes(b"")
    with pytest.raises(UnreadableImageError, match="no readable image of class 'b' to train on"):
        write_shards(folder, tmp_path / "shards", skip_unreadable=True, verbose=False)


def test_a_second_call_writes_nothing(folder, shards):
    before = {path: path.stat().st_mtime_ns for path in shards.glob("*.tar")}
    write_shards(folder, shards, shard_bytes=10 * KIB, verbose=False)
    assert {path: path.stat().st_mtime_ns for path in shards.glob("*.tar")} == before


def test_writes_a_lost_or_truncated_shard_again(folder, shards):
    whole = contents(shards)
    os.truncate(shards / "train-000001.tar", 5000)
    (shards / "train-000002.npy").unlink()
    (shards / "val.part").write_text("")
    (shards / "validation-000000.tar").unlink()
    write_shards(folder, shards, shard_bytes=10 * KIB, verbose=False)
    assert contents(shards) == {**whole}


@pytest.mark.parametrize("change", ["file", "shard_bytes", "seed"])
def test_refuses_shards_of_other_images_or_settings(folder, shards, change):
    settings = {"shard_bytes": 10 * KIB, "seed": 0}
    if change == "file":
        (folder / "train/a/0.png").unlink()
    else:
        settings[change] += 1
    with pytest.raises(ValueError, match=r"has shards of 0\.0\d+ MiB by the seed 0, or of other.*choose another"):
        write_shards(folder, shards, verbose=False, **settings)


def test_refuses_outputs(folder, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("notes")
    for output, message in (
        (folder / "shards", "cannot be in the folder of the images"),
        (folder, "cannot be in the folder of the images"),
        (tmp_path / "notes", "expected a new or empty folder, or one with shards"),
        (tmp_path / "notes" / "a.txt", "is a file"),
        ("", "got an empty one"),
    ):
        with pytest.raises(ValueError, match=message):
            write_shards(folder, output, verbose=False)
    with pytest.raises(ValueError, match="No such file or folder"):
        write_shards(tmp_path / "nowhere", tmp_path / "new", verbose=False)
    assert not (tmp_path / "new").exists()


def test_refuses_a_disk_with_too_little_space(folder, tmp_path):
    """A file with a hole is larger than any disk, and is not read."""
    os.truncate(folder / "train/a/0.png", 2**43)
    with pytest.raises(ValueError, match=r"the shards need 8,192\.0 GiB, and [\d,.]+ GiB are free"):
        write_shards(folder, tmp_path / "shards", verbose=False)
    assert not (tmp_path / "shards").exists()


def test_the_description(shards):
    described = json.loads((shards / "shards.json").read_text())
    assert described["class_names"] == ["a", "b"]
    assert sum(shard["images"] for shard in described["parts"]["train"]) == 18
    for shard in described["parts"]["validation"]:
        assert (shards / shard["file"]).stat().st_size == shard["bytes"]
        assert len(np.load(shards / shard["file"].replace(".tar", ".npy"))) == shard["images"]
