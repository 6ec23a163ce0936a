"""Throughput of the training augmentation in images per second, in turn, in separate processes.

Ours, in processes beside the training, is compared with timm's, or with our engine `"keras_cv"`, a tf.data graph.

Each process runs `main`: for each line that it reads, it transforms all images once and prints the seconds it took.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from keras_convnext.benchmarking.spread import spread_of
from keras_convnext.processes import python_command

PASS = 512
"""Images per measurement."""

WORKERS = 2
DECODED = (375, 500)
"""Height and width of images that are decoded beforehand: about the average of ImageNet."""


def compare(
    folder: str | Path,
    image_size: int = 224,
    rounds: int = 15,
    from_files: bool = False,
    progress: Callable[[str], None] = print,
    against: str = "timm",
) -> dict:
    """Times our training augmentation and another one on the images of a folder.

    Args:
        folder: a folder of images with one sub-folder per class. Unreadable images are left out.
        image_size: side of the results in pixels. Defaults to 224.
        rounds: number of turns of each of both. Defaults to 15.
        from_files: whether images are read from their files. Otherwise they are decoded beforehand. Defaults to False.
        progress: called with a line of text after each round. Defaults to `print`.
        against: what ours is compared with: `"timm"`, or `"keras_cv"`, the same steps as keras-cv layers in a tf.data
            graph. Defaults to `"timm"`.

    Returns:
        A dict for JSON: `ours` and the name of the other one, images per second in each round; `ratio`, the median over
        the rounds of our speed divided by the other's; and its `spread` over the rounds.

    Raises:
        ValueError: `against` is not one of the two.
        RuntimeError: a process ended early.
    """
    if against not in OTHERS:
        raise ValueError(f"`against` must be one of {', '.join(OTHERS)}. Received: against={against!r}")
    arguments = [str(folder), str(image_size), "files" if from_files else "decoded"]
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(name, *arguments)) for name in ("ours", against)}
        speeds: dict[str, list[float]] = {name: [] for name in workers}
        for turn in range(rounds + 1):
            for name, worker in workers.items():
                speed = PASS / _ask(name, worker)
                if turn:  # the first warms up
                    speeds[name].append(speed)
            if turn:
                progress(f"{turn:3}: ours {speeds['ours'][-1]:.0f}, {against} {speeds[against][-1]:.0f} images/s")
    ratios = [ours / theirs for ours, theirs in zip(speeds["ours"], speeds[against], strict=True)]
    return {**speeds, "ratio": median(ratios), "spread": spread_of(ratios)}


@contextlib.contextmanager
def _worker(*arguments):
    """A process that is timed. In the end it is killed, and its pipes are closed."""
    with subprocess.Popen(
        python_command(f"{__name__}:main", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C goes to this process alone, which ends the others
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()
            with contextlib.suppress(BrokenPipeError):  # it has ended, with input still unread
                worker.stdin.close()


def _ask(name, worker):
    with contextlib.suppress(BrokenPipeError):  # it has ended: the missing answer says so
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for line in worker.stdout:
        if line.startswith("seconds "):
            return float(line.split()[1])
    raise RuntimeError(f"The timed process of {name} ended early; its message is printed above.")


def _images(folder, from_files):
    """`PASS` images of a folder, repeated if there are fewer."""
    from keras_convnext.data import Images, load_data, read_image
    from keras_convnext.preprocessing import ResizeAndCrop

    found = load_data(folder, skip_unreadable=True, verbose=False).train
    images = found.take([number % len(found) for number in range(PASS)])
    if from_files:
        return images
    resize = ResizeAndCrop(*DECODED)
    return Images(np.stack([resize(read_image(path)) for path in images.pixels]), images.labels, images.class_names)


def _ours(images, size):
    from keras_convnext.data import AugmentedBatches
    from keras_convnext.preprocessing import Augmentation

    batches = AugmentedBatches(images, (size, size), Augmentation(), batch_size=64, workers=WORKERS)

    def run():
        for index in range(len(batches)):
            batches[index]

    return run


def _keras_cv(images, size):
    """The same steps as `_ours`, with MixUp and CutMix too, as keras-cv layers in a tf.data graph."""
    from dataclasses import replace

    from keras_convnext.preprocessing import Augmentation
    from keras_convnext.training import RECIPES

    recipe = replace(RECIPES["small_images"], augmentation=Augmentation(), image_size=(size, size), batch_size=64)
    dataset = replace(recipe, workers=WORKERS).dataset(images, engine="keras_cv")

    def run():
        for _ in dataset:
            pass

    return run


def _timms(images, size):
    """timm's transform with the paper's settings, in as many processes, without MixUp and CutMix."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    import torch
    from PIL import Image, ImageOps
    from timm.data import auto_augment, create_transform

    from keras_convnext.data.images import read_pil

    def posterize(image, bits, **options):  # 0 bits gave a black image in older versions of Pillow, and now an error
        return ImageOps.posterize(image, bits) if bits else Image.new(image.mode, image.size)

    auto_augment.NAME_TO_OP["PosterizeIncreasing"] = posterize

    transform = create_transform(
        size,
        is_training=True,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        re_prob=0.25,
        re_mode="pixel",
        re_count=1,
    )

    class Dataset(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            pixels = images.pixels[index]
            image = read_pil(pixels) if images.are_files else Image.fromarray(pixels)
            return transform(image), int(images.labels[index])

    loader = torch.utils.data.DataLoader(
        Dataset(), 64, shuffle=True, num_workers=WORKERS, persistent_workers=True, drop_last=True
    )

    def run():
        for _ in loader:
            pass

    return run


OTHERS = {"timm": _timms, "keras_cv": _keras_cv}
"""What ours is compared with, by name."""


def main(kind: str, folder: str, size: str, source: str) -> None:
    """Runs the process that is timed; see the module's docstring."""
    run = {"ours": _ours, **OTHERS}[kind](_images(folder, source == "files"), int(size))
    for _ in sys.stdin:
        started = time.perf_counter()
        run()
        print(f"seconds {time.perf_counter() - started}", flush=True)
