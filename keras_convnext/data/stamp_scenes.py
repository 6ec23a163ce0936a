"""Scenes of photographs: cut-outs with transparency, such as Tux Paint's stamps, scattered over textures."""

import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_convnext.data.bad_records import BadRecords
from keras_convnext.data.image_files import find_images, is_hidden
from keras_convnext.data.images import ImageData, UnreadableImageError, errors_naming
from keras_convnext.data.masks import check_target, for_target
from keras_convnext.data.scenes import OPAQUE, PARTS, count_of, make_scenes, scene_settings
from keras_convnext.extras import require
from keras_convnext.scalars import flag

FEWEST = 3
"""The least number of objects of a class: one for each part."""

VIEWS = re.compile(r"(_mirrorflip|_mirror|_flip)?$|[-_ ]*\d+$")
"""The ends of a file's name that tell another picture of the same object, as Tux Paint's files have them."""


def stamp_scenes(
    folder: str | Path,
    count: int = 1000,
    size: int | Sequence[int] = 128,
    seed: int = 0,
    stamps: Sequence[int] = (1, 4),
    stamp_size: Sequence[float] = (0.25, 0.55),
    target: str = "boxes",
    skip_bad: bool = False,
    verbose: bool = True,
) -> ImageData:
    """Generates images with scattered cut-outs of objects, and their exact boxes and masks.

    The cut-outs are image files with transparency, `folder/CLASS/.../NAME.png`; each folder in `folder` is a class.
    Debian's package tuxpaint-stamps-default has such files in `/usr/share/tuxpaint/stamps`. Files of a class are of
    one object if their names are equal but for a number, `_mirror` or `_flip` at the end, whatever folder they are in.
    All cut-outs of an object are in one part of the data: a fifth of each class's objects is in the test part, and a
    tenth in the validation part, sampled by `seed`. Scenes are made as by `digit_scenes`. Images without transparency
    and classes with fewer than three objects are left out; `left_out` lists their files.

    Args:
        folder: path of the folder.
        count: as for `digit_scenes`. Defaults to 1000.
        size: as for `digit_scenes`. Defaults to 128.
        seed: seed of the parts and of the scenes, 0 or more. Defaults to 0.
        stamps: the least and the largest number of cut-outs in an image. Defaults to `(1, 4)`.
        stamp_size: the least and the greatest longer side of a cut-out, as a share of the image's shorter side, in
            (0, 1]. Defaults to `(0.25, 0.55)`.
        target: as for `digit_scenes`. Defaults to `"boxes"`.
        skip_bad: whether to leave out image files that cannot be read, and list them in `bad_records`. Defaults to
            False.
        verbose: whether to print to standard error what is left out. Defaults to True.

    Returns:
        `ImageData` of `AnnotatedImages`, as from `digit_scenes`.

    Raises:
        ValueError: no such folder, no class with three objects or more, a file that cannot be used, or a value out of
            its range.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import stamp_scenes
    >>> folder = Path(tempfile.mkdtemp())
    >>> for place in ("animals/cat", "animals/dog", "animals/hen", "food/egg", "food/ham", "food/pie"):
    ...     (folder / place).parent.mkdir(exist_ok=True)
    ...     stamp = Image.new("RGBA", (40, 30))
    ...     stamp.paste((200, 90, 20, 255), (5, 5, 35, 25))
    ...     stamp.save(folder / f"{place}.png")
    >>> data = stamp_scenes(folder, count=4, size=64)
    >>> data.class_names, data.train.pixels.shape
    (('animals', 'food'), (4, 64, 64, 3))
    """
    folder = Path(folder)
    check_target(target)
    settings = scene_settings(count, size, seed, stamps, stamp_size)
    bad = BadRecords(flag("skip_bad", skip_bad))
    side = settings["object_size"][1] * min(settings["size"])
    plain: list[Path] = []
    classes = {name: _read(files, side, bad, plain) for name, files in _classes(folder).items()}
    records = bad.finish()
    few = {name: objects for name, objects in classes.items() if len(objects) < FEWEST}
    classes = {name: objects for name, objects in classes.items() if name not in few}
    if not classes:
        raise ValueError(f"{folder}: expected a class with {FEWEST} objects or more, found {', '.join(few) or 'none'}.")
    if plain and verbose:
        print(f"{folder}: {len(plain)} images without transparency are left out", file=sys.stderr)
    if few and verbose:
        print(f"{folder}: classes with fewer than {FEWEST} objects are left out: {', '.join(few)}", file=sys.stderr)
    split = {name: _split(objects, settings["seed"]) for name, objects in classes.items()}
    parts: dict[str, Any] = {}
    for part in PARTS:
        cutouts = StampCutouts([split[name][part] for name in classes])
        parts[part] = make_scenes(cutouts, tuple(classes), part, count_of(part, count), **settings)
    of_few = [file for objects in few.values() for files in objects.values() for file, _ in files]
    left_out = tuple(sorted([*plain, *of_few]))
    return for_target(ImageData(**parts, left_out=left_out, bad_records=records), target)


class StampCutouts:
    """Samples a class, then an object of it, then a cut-out of that. See `scenes.Cutouts`.

    Args:
        classes: for each class, a list of objects; each is a list of PIL images.
    """

    def __init__(self, classes):
        self.classes = classes

    def __call__(self, brightness, random):
        of_class = int(random.integers(len(self.classes)))
        objects = self.classes[of_class]
        images = objects[random.integers(len(objects))]
        return images[random.integers(len(images))], of_class


def _classes(folder):
    """The image files of each class, by its name."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: expected a folder with a folder per class, found {'a file' if folder.exists() else 'nothing'}."
        )
    classes = sorted(child for child in folder.iterdir() if child.is_dir() and not is_hidden(child))
    return {child.name: find_images(child)[0] for child in classes}


def object_name(file: Path) -> str:
    """What the files of one object have in common: the name without a number, `_mirror` and `_flip` at the end.

    Example:

    >>> from pathlib import Path
    >>> from keras_convnext.data.stamp_scenes import object_name
    >>> [object_name(Path(name)) for name in ("cats/lion.png", "cats/Lion-2.png", "toys/lion_mirror.png")]
    ['lion', 'lion', 'lion']
    """
    name, before = file.stem.lower(), None
    while name != before:
        name, before = VIEWS.sub("", name) or name, name
    return name


def _read(files, side, bad, plain):
    """`(file, PIL image)` of each cut-out, in a list per object. Files without transparency are added to `plain`."""

    def read(file):
        try:
            return _cutout(file, side)
        except UnreadableImageError as error:
            return error

    objects = defaultdict(list)
    with ThreadPoolExecutor() as pool:
        for file, found in zip(files, pool.map(read, files), strict=True):
            if isinstance(found, UnreadableImageError):
                bad.add(found)
            elif found is None:
                plain.append(file)
            else:
                objects[object_name(file)].append((file, found))
    return dict(objects)


def _cutout(file, side):
    """A file's opaque part as a PIL image of mode RGBA, whose longer side is at most twice `side`; None if it has none.

    Neither has an image without transparency: all of it is opaque, its background too.
    """
    pillow = require("PIL.Image", extra="cli")
    with errors_naming(file), pillow.open(file) as image:
        has_opacity = "A" in image.getbands() or "transparency" in image.info
        image = image.convert("RGBA")
    is_opaque = image.getchannel("A").point(lambda value: 255 * (value >= OPAQUE))
    box = is_opaque.getbbox()
    if not has_opacity or box is None:
        return None
    image = image.crop(box)
    scale = 2 * side / max(image.size)
    size = [max(1, round(scale * one)) for one in image.size]
    return image.resize(size, pillow.Resampling.LANCZOS) if scale < 1 else image


def _split(objects, seed):
    """The cut-outs of a class by part: a list of PIL images per object."""
    names = sorted(objects)
    order = np.random.default_rng(seed).permutation(len(names))
    test = max(1, round(0.2 * len(names)))
    validation = max(1, round(0.1 * len(names)))
    places = {"test": order[:test], "validation": order[test : test + validation], "train": order[test + validation :]}
    return {
        part: [[image for _, image in objects[names[index]]] for index in chosen] for part, chosen in places.items()
    }
