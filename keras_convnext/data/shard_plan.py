"""Which image of a folder goes into which shard, and what of that is done already.

The images of a part are shuffled by a seed, and cut into shards of about equal size: each is a random sample. The same
files and settings give the same plan; a digest of them tells whether shards belong to it.
"""

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_convnext.data.folder import check_is_folder, find_folder
from keras_convnext.data.image_files import describe_left_out
from keras_convnext.data.imagenet_folder import find_imagenet, is_imagenet
from keras_convnext.data.shard_format import (
    DESCRIPTION,
    INDEX,
    PARTIAL,
    PARTS,
    archive_bytes,
    bytes_in_archive,
    read_description,
    read_index,
    shard_name,
)
from keras_convnext.extras import require
from keras_convnext.scalars import integer

SHARD_BYTES = 2**30
"""The bytes of a shard by default: 1 GiB, about 9,000 images of ImageNet."""


class PlannedShard(NamedTuple):
    """A shard, and the image files that it is to hold.

    Attributes:
        name: the name of its files, without an ending.
        first: the number of its first image in its part.
        files: paths of the image files.
        labels: the class of each.
        bytes: the bytes of its archive if all images can be read.
    """

    name: str
    first: int
    files: list[Path]
    labels: np.ndarray
    bytes: int


@dataclass(frozen=True, eq=False)
class ShardPlan:
    """The shards that a folder of images becomes.

    Attributes:
        folder: the folder of images.
        output: the folder of shards.
        class_names: the names of the classes.
        shards: the shards of each part.
        digest: a digest of the settings and of the names, sizes and classes of all files.
        shard_bytes: as for `write_shards`.
        seed: as for `write_shards`.
    """

    folder: Path
    output: Path
    class_names: tuple[str, ...]
    shards: dict[str, list[PlannedShard]]
    digest: str
    shard_bytes: int
    seed: int

    @property
    def facts(self) -> dict:
        """What `shards.json` says of the plan."""
        return {"plan": self.digest, "shard_bytes": self.shard_bytes, "seed": self.seed}

    @property
    def all_shards(self) -> list[PlannedShard]:
        """The shards of all parts."""
        return [shard for shards in self.shards.values() for shard in shards]

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(len(shard.files) for shard in self.all_shards)

    def complete(self) -> list[PlannedShard]:
        """The shards that are there already."""
        return [shard for shard in self.all_shards if self.is_complete(shard)]

    def is_complete(self, shard: PlannedShard) -> bool:
        """Whether a shard is there, and its archive has the size that its index tells.

        Args:
            shard: the shard.
        """
        archive = self.output / f"{shard.name}.tar"
        try:
            index, crc32 = read_index(archive.with_suffix(".npy"))
            size = archive.stat().st_size
        except (OSError, ValueError):
            return False
        kept = index["size"] > 0
        return (
            len(index) == len(shard.files)
            and size == archive_bytes(index["size"])
            and np.array_equal(index["label"][kept], shard.labels[kept])
            and self._described.get(f"{shard.name}.tar", crc32) == crc32
        )

    @cached_property
    def _described(self):
        """The CRC-32 of each index by the name of its archive, if the shards were complete before."""
        described = read_description(self.output) or {}
        shards = [shard for of_part in described.get("parts", {}).values() for shard in of_part]
        return {shard["file"]: shard["index_crc32"] for shard in shards}

    def check_space(self) -> None:
        """Raises a ValueError if the disk has too little space for the shards that are still to be written."""
        complete = {shard.name for shard in self.complete()}
        needed = sum(
            shard.bytes + INDEX.itemsize * len(shard.files) for shard in self.all_shards if shard.name not in complete
        )
        around = next(place for place in (self.output, *self.output.absolute().parents) if place.exists())
        free = shutil.disk_usage(around).free
        if needed > free:
            raise ValueError(
                f"{self.output}: the shards need {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free."
            )

    def what_is_left(self) -> str:
        """A sentence about the shards that are complete."""
        return (
            f"{len(self.complete())} of {len(self.all_shards)} shards are complete and are kept: the same call "
            "continues after them."
        )


def plan_shards(
    folder: str | Path, output: str | Path, shard_bytes: int = SHARD_BYTES, seed: int = 0, verbose: bool = True
) -> ShardPlan:
    """Finds the images of a folder, and divides them among shards. Nothing is written, and no image is read.

    Args:
        folder: as for `write_shards`.
        output: as for `write_shards`.
        shard_bytes: as for `write_shards`.
        seed: as for `write_shards`.
        verbose: whether to print how many files are left out. Defaults to True.

    Raises:
        ValueError: as for `write_shards`.
    """
    require("PIL", extra="cli")
    shard_bytes, seed = integer("shard_bytes", shard_bytes, 1), integer("seed", seed, 0)
    if not str(output):
        raise ValueError("Expected the path of a folder for the shards, got an empty one.")
    folder, output = Path(folder), Path(output)
    check_is_folder(folder)
    if (folder / DESCRIPTION).is_file():
        raise ValueError(f"{folder}: expected a folder of images, and it has shards already. `train` takes them.")
    _check_output(output, folder)
    found, _ = (find_imagenet if is_imagenet(folder) else find_folder)(folder, verbose=False)
    if found.left_out and verbose:
        print(describe_left_out(found.left_out, folder), file=sys.stderr)
    digest = hashlib.sha256(f"{shard_bytes} {seed} {found.class_names}\n".encode())
    shards = {}
    for part in PARTS:
        images = getattr(found, part)
        if images is not None:
            sizes = np.array([_size(file) for file in images.pixels], "int64")
            for file, size, label in zip(images.pixels, sizes, images.labels, strict=True):
                digest.update(
                    f"{part} {file.relative_to(folder).as_posix()} {size} {label}\n".encode("utf-8", "replace")
                )
            shards[part] = _divide(part, images, sizes, shard_bytes, seed)
    plan = ShardPlan(folder, output, found.class_names, shards, digest.hexdigest(), shard_bytes, seed)
    before = read_description(output)
    if before is not None and before["plan"] != plan.digest:
        raise ValueError(
            f"{output} has shards of {before['shard_bytes'] / 2**20:g} MiB by the seed {before['seed']}, or of other "
            f"files than those in {folder}. Give the same size and seed, or choose another folder for the shards."
        )
    plan.check_space()
    return plan


def _size(file):
    """The bytes of a file; 0 if it cannot be read, which is said when it is."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _check_output(output, folder):
    """Refuses a folder in which no shards can be written."""
    if output.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{output}: the shards cannot be in the folder of the images, {folder}. Choose another one.")
    around = next(place for place in (output, *output.absolute().parents) if place.exists())
    if not around.is_dir():
        raise ValueError(f"{output}: no folder can be made there, since {around} is a file.")
    if not os.access(around, os.W_OK):
        raise ValueError(f"{output}: {around} is not writable.")
    others = any(not file.name.endswith(PARTIAL) for file in output.iterdir()) if around == output else False
    if others and not (output / DESCRIPTION).is_file():
        raise ValueError(f"{output}: expected a new or empty folder, or one with shards, and it holds something else.")


def _divide(part, images, sizes, shard_bytes, seed):
    """The shards of a part: of about equal size, with the images in a random order."""
    order = np.random.default_rng((seed, PARTS.index(part))).permutation(len(images))
    ends = np.cumsum(bytes_in_archive(sizes[order]))
    count = min(len(order), -(-int(ends[-1]) // shard_bytes))
    cuts = np.searchsorted(ends, ends[-1] / count * np.arange(1, count)) + 1
    edges = np.unique([0, *cuts, len(order)]).tolist()
    shards = []
    for number, (first, last) in enumerate(pairwise(edges)):
        chosen = order[first:last]
        files, size = [images.pixels[place] for place in chosen], archive_bytes(sizes[chosen])
        shards.append(PlannedShard(shard_name(part, number), first, files, images.labels[chosen], size))
    return shards
