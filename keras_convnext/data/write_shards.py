"""Writing shards: the images of a folder, in archives of about equal size, each with images of all classes.

An archive, and its index after it, is written under another name and renamed. Writing that was interrupted therefore
continues after the last complete archive. `shard_plan` says which image goes where, `shard_format` describes the files.
"""

import io
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_convnext.data.images import IMAGE_SUFFIXES, ImageData, UnreadableImageError, errors_naming, read_pil
from keras_convnext.data.shard_format import (
    INDEX,
    PARTIAL,
    archive_bytes,
    image_key,
    index_content,
    new_file,
    read_description,
    read_index,
    write_description,
)
from keras_convnext.data.shard_plan import SHARD_BYTES, PlannedShard, ShardPlan, plan_shards
from keras_convnext.data.shards import load_shards
from keras_convnext.extras import require

AHEAD = 64
"""The number of images that are read before they are written."""

Content = tuple[bytes, str, UnreadableImageError | None]
"""The content of an image file, its ending in lower case, and None; or the error of one that cannot be read."""


def write_shards(
    folder: str | Path,
    output: str | Path,
    shard_bytes: int = SHARD_BYTES,
    seed: int = 0,
    skip_unreadable: bool = False,
    verbose: bool = True,
) -> ImageData:
    """Writes the images of a folder into shards, or continues where writing was interrupted.

    Each image is read and decoded once to check it. Its file is stored as it is.

    Args:
        folder: a folder that `load_folder` or `load_imagenet` takes.
        output: a new or empty folder for the shards; or one in which writing these shards was interrupted.
        shard_bytes: bytes of a shard, about, 1 or more. Defaults to 1 GiB.
        seed: seed by which the images are shuffled over the shards, 0 or more. Defaults to 0.
        skip_unreadable: whether to leave out images that cannot be read, and list them in `skipped`. Defaults to False.
        verbose: whether to show a progress bar, and to print how many files are left out. Defaults to True.

    Returns:
        The `ImageData` of the shards, as `load_shards` loads them.

    Raises:
        ValueError: the folder is none of images, `output` holds something else or lies in `folder`, or there is too
            little space on the disk.
        UnreadableImageError: an image that cannot be read. The shards that are complete are kept.
        OSError: the shards cannot be written. Those that are complete are kept.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import write_shards
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / "pictures" / name).mkdir(parents=True)
    ...     Image.new("RGB", (8, 8)).save(folder / "pictures" / name / "1.png")
    >>> data = write_shards(folder / "pictures", folder / "shards", verbose=False)
    >>> sorted(path.name for path in (folder / "shards").iterdir())
    ['shards.json', 'train-000000.npy', 'train-000000.tar']
    """
    write_plan(plan_shards(folder, output, shard_bytes, seed, verbose), skip_unreadable, verbose)
    return load_shards(output)


def write_plan(plan: ShardPlan, skip_unreadable: bool = False, verbose: bool = True) -> None:
    """Writes the shards of a plan that are not complete, and `shards.json` at last.

    Args:
        plan: what `plan_shards` returned.
        skip_unreadable: as for `write_shards`.
        verbose: whether to show a progress bar. Defaults to True.

    Raises:
        UnreadableImageError: as for `write_shards`.
        OSError: as for `write_shards`.
    """
    complete = {shard.name for shard in plan.complete()}
    missing = [shard for shard in plan.all_shards if shard.name not in complete]
    done = plan.images - sum(len(shard.files) for shard in missing)
    progress = keras.utils.Progbar(plan.images, unit_name="image", verbose=int(verbose))

    def tell():
        nonlocal done
        done += 1
        if done % 100 == 0 or done == plan.images:
            progress.update(done)

    pool = ThreadPoolExecutor()
    try:
        plan.output.mkdir(parents=True, exist_ok=True)
        described = read_description(plan.output)
        if described is None or not described["complete"]:
            write_description(plan.output, {"complete": False, **plan.facts})
        contents = read_ahead(pool, (file for shard in missing for file in shard.files))
        for shard in missing:
            _write_shard(plan.output, shard, contents, skip_unreadable, tell)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{error} {plan.what_is_left()}") from error
    except OSError as error:
        raise OSError(f"{plan.output}: {error.strerror or error}. {plan.what_is_left()}") from error
    finally:
        pool.shutdown(cancel_futures=True)
    _describe(plan)


def _write_shard(
    folder: Path, shard: PlannedShard, contents: Iterator[Content], skip_unreadable: bool, tell: Callable[[], None]
) -> None:
    """Writes an archive and then its index. Calls `tell` after each image."""
    index = np.zeros(len(shard.files), INDEX)
    archive = folder / f"{shard.name}.tar"
    place = archive.with_suffix(".npy")
    place.unlink(missing_ok=True)  # of an archive that is no longer whole
    with new_file(archive) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row, label in enumerate(shard.labels):
            content, suffix, error = next(contents)
            if error and not skip_unreadable:
                raise UnreadableImageError(f"{error}. Leave such images out with `skip_unreadable=True`.") from error
            if not error:
                key = image_key(shard.first + row)
                index[row] = (file.tell() + tarfile.BLOCKSIZE, len(content), label, zlib.crc32(content))
                _add(tar, key + suffix, content)
                _add(tar, f"{key}.cls", str(label).encode())
            tell()
    with new_file(place) as file:
        file.write(index_content(index))


def _describe(plan: ShardPlan) -> None:
    """Writes `shards.json` of the complete shards."""
    parts: dict[str, list[dict[str, Any]]] = {}
    skipped: list[str] = []
    for part, shards in plan.shards.items():
        counts = np.zeros(len(plan.class_names), "int64")
        for shard in shards:
            index, crc32 = read_index(plan.output / f"{shard.name}.npy")
            kept = index["size"] > 0
            counts += np.bincount(index["label"][kept], minlength=len(counts))
            skipped += [str(shard.files[row]) for row in np.flatnonzero(~kept)]
            facts = {"images": int(kept.sum()), "bytes": archive_bytes(index["size"]), "index_crc32": crc32}
            parts.setdefault(part, []).append({"file": f"{shard.name}.tar", **facts})
        if part == "train" and not counts.all():
            name = plan.class_names[int(counts.argmin())]
            problem = f"no readable image of class {name!r} to train on"
        elif not counts.any():
            problem = f"no readable {part} image"
        else:
            continue
        raise UnreadableImageError(f"{plan.folder}: {problem}. Mend or remove these, and write into a new folder.")
    for partial in plan.output.glob(f"*{PARTIAL}"):  # of a process that was killed
        partial.unlink()
    names = {"class_names": plan.class_names, "parts": parts, "skipped": sorted(skipped)}
    write_description(plan.output, {"complete": True, **plan.facts, **names})


def read_ahead(pool: ThreadPoolExecutor, files: Iterator[Path]) -> Iterator[Content]:
    """Reads and checks files in parallel, and gives them in their order."""
    waiting: deque = deque()
    for file in files:
        waiting.append(pool.submit(_checked, file))
        if len(waiting) >= AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@dataclass(frozen=True)
class FileInMemory:
    """The content of an image file that was read already."""

    path: Path
    content: bytes

    def __str__(self):
        return str(self.path)

    def open(self):
        return io.BytesIO(self.content)


def _checked(file):
    """Reads an image file, and decodes it once."""
    try:
        with errors_naming(file):
            content = file.read_bytes()
        read_pil(FileInMemory(file, content))
    except UnreadableImageError as error:
        return b"", "", error
    suffix = file.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        with require("PIL.Image", extra="cli").open(io.BytesIO(content)) as image:
            suffix = f".{image.format.lower()}"
    return content, suffix, None


def _add(tar, name, content):
    """Adds a member to an archive, without the time and the owner: the archive depends on the images alone."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
