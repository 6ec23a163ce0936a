"""Measures what the guide "Large data" states: how fast images are read, augmented and sharded, and a large index.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python docs/measure_shards.py [--rounds 9]

Run it by hand; CI does not run it. It makes 2000 JPEG files of 500 x 375 pixels in a temporary folder: crops of
scikit-image's photographs with noise, about as large as ImageNet's files. Files and shards are measured in turn. The
rates are images per second of processor time of one core, which depend less on other programs than those by the clock.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data as photographs

from keras_convnext.data import load_shards, read_image, split_validation, write_shards
from keras_convnext.data.augment_workers import augmented_images
from keras_convnext.data.folder import find_folder
from keras_convnext.data.shard_format import INDEX, archive_bytes, bytes_in_archive, index_content, write_description
from keras_convnext.data.shard_plan import plan_shards
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import ImageFormat

COUNT = 2000
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry", "retina", "hubble_deep_field")
IMAGENET_22K = 14_197_122
CLASSES = 21_841


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        measure_plan(Path(folder) / "many")  # first: later on, it would get memory that was taken and given back
        measure_rates(Path(folder), rounds)
        measure_index(Path(folder) / "index")


def measure_rates(folder, rounds):
    """Prints the rates for files and for shards."""
    write_photographs(folder / "files")
    write(folder / "files", folder / "shards")
    found = {
        "files": find_folder(folder / "files", verbose=False).data.train,
        "shards": load_shards(folder / "shards").train,
    }
    augmentation = Augmentation().for_images(ImageFormat(224, 224, 3))
    steps = augmentation.steps_on("images"), augmentation.steps_on("arrays")
    rates = defaultdict(list)
    for number in range(rounds):
        order = np.random.default_rng(number).permutation(COUNT)
        for name in sorted(found, reverse=bool(number % 2)):
            images = found[name]
            sources = [images.pixels[place] for place in order]
            seeds = [(0, number, int(place)) for place in order]
            measure(rates["cached bytes", name], 500, read, sources[:500])
            measure(rates["decoded", name], 300, decode, sources[:300])
            measure(
                rates["augmented to 224", name], 160, augmented_images, sources[:160], seeds[:160], *steps, (224, 224)
            )
            evict(images)
            measure(rates["from the disk, 1 thread", name], 500, read, sources[:500])
            evict(images)
            measure(rates["from the disk, 8 threads", name], COUNT, read, sources, 8)
        measure(rates["sharded", "files"], COUNT, write, folder / "files", folder / "new")
        shutil.rmtree(folder / "new")
    for (what, name), measured in sorted(rates.items()):
        per_core, by_clock = (statistics.median(one) for one in zip(*measured, strict=True))
        print(f"{what:26}{name:8}{per_core:8.0f} images/s per core{by_clock:8.0f} by the clock")


def write_photographs(folder):
    random = np.random.default_rng(0)
    pictures = [Image.fromarray(getattr(photographs, name)()[..., :3]) for name in PHOTOGRAPHS]
    for number in range(COUNT):
        picture = pictures[number % len(pictures)]
        width = random.uniform(0.6, 1.0) * min(picture.width, picture.height * 4 / 3)
        left, top = random.uniform(0, picture.width - width), random.uniform(0, picture.height - width * 3 / 4)
        box = (int(left), int(top), int(left + width), int(top + width * 3 / 4))
        pixels = np.asarray(picture.crop(box).resize((500, 375))) + random.normal(0, 7.5, (375, 500, 1))
        place = folder / f"class{number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(place / f"{number:05d}.jpg", quality=95)
    size = sum(path.stat().st_size for path in folder.rglob("*.jpg")) / COUNT
    print(f"{COUNT} files of {size / 1000:.0f} kB on average")


def measure(rates, count, function, *arguments):
    clock, processor = time.perf_counter(), time.process_time()
    function(*arguments)
    rates.append((count / (time.process_time() - processor), count / (time.perf_counter() - clock)))


def read(images, threads=1):
    """Reads the content of image files, or of images in shards."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda one: len(one.read_bytes() if isinstance(one, Path) else one.open().read()), images))


def decode(images):
    for image in images:
        read_image(image)


def write(files, shards):
    write_shards(files, shards, shard_bytes=2**25, verbose=False)


def evict(images):
    """Removes the files of images from the system's cache."""
    for path in getattr(images.pixels, "shards", images.pixels):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def measure_plan(folder):
    """Prints what finding the files of a large folder takes."""
    for number in range(50_000):
        if number % 500 == 0:
            place = folder / f"n{number:08d}"
            place.mkdir(parents=True)
        (place / f"{place.name}_{number}.JPEG").write_bytes(b"a")
    before, started = memory(), time.process_time()
    plan = plan_shards(folder, folder.with_name("none"), verbose=False)
    seconds, taken = time.process_time() - started, memory() - before
    print(f"finding files: {seconds / plan.images * 1e6:.0f} us and {taken / plan.images:.0f} bytes of memory per file")


def memory():
    """The bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_index(folder):
    """Prints what loading shards like those of ImageNet-22k takes: true indexes, and archives that are holes."""
    folder.mkdir()
    random = np.random.default_rng(0)
    labels = np.arange(IMAGENET_22K) % CLASSES
    shards = []
    for first in range(0, IMAGENET_22K, 9_400):
        count = min(9_400, IMAGENET_22K - first)
        index = np.zeros(count, INDEX)
        index["size"], index["label"] = random.integers(60_000, 124_000, count), labels[first : first + count]
        index["offset"] = np.cumsum(bytes_in_archive(index["size"]))
        archive = folder / f"train-{len(shards):06d}.tar"
        size, rows = archive_bytes(index["size"]), index_content(index)
        archive.with_suffix(".npy").write_bytes(rows)
        archive.touch()
        os.truncate(archive, size)
        shards.append({"file": archive.name, "images": count, "bytes": size, "index_crc32": zlib.crc32(rows)})
    names = [f"n{number:08d}" for number in range(CLASSES)]
    write_description(
        folder, {"complete": True, "plan": "", "class_names": names, "parts": {"train": shards}, "skipped": []}
    )
    del labels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    images = timed("load_shards", lambda: load_shards(folder).train)
    train, _ = timed("split_validation", lambda: split_validation(images))
    timed("order of an epoch", lambda: train.shuffled_order(0, 0))
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    print(
        f"{len(shards)} shards, {IMAGENET_22K:,} images: {peak:.0f} MiB at the peak, above {before / 2**10:.0f} before"
    )


def timed(name, function):
    started = time.perf_counter()
    result = function()
    print(f"{name}: {time.perf_counter() - started:.1f} s")
    return result


if __name__ == "__main__":
    main()
