"""Reading shards whole, to find those that are corrupt."""

import tarfile
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras

from keras_convnext.data.shards import complete_description, open_shard


def check_shards(path: str | Path, verbose: bool = True) -> list[str]:
    """Reads all shards of a folder, and compares each image with its CRC-32 and each class with the index.

    Args:
        path: path of the folder of shards.
        verbose: whether to show a progress bar. Defaults to True.

    Returns:
        What is wrong, one line for each corrupt shard, which begins with the name of its file. Empty if all is well.

    Raises:
        ValueError: not a folder of shards, or one that is not complete.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from keras_convnext.data import check_shards, write_shards
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / "pictures" / name).mkdir(parents=True)
    ...     Image.new("RGB", (8, 8)).save(folder / "pictures" / name / "1.png")
    >>> data = write_shards(folder / "pictures", folder / "shards", verbose=False)
    >>> check_shards(folder / "shards", verbose=False)
    []
    """
    path = Path(path)
    parts = complete_description(path)["parts"]
    total = sum(len(shards) for shards in parts.values())
    progress = keras.utils.Progbar(total, unit_name="shard", verbose=int(verbose))
    problems: list[str] = []
    pool = ThreadPoolExecutor()
    try:
        jobs = deque(pool.submit(_problem, path, shard) for shards in parts.values() for shard in shards)
        for count in range(1, total + 1):
            if problem := jobs.popleft().result():
                problems.append(problem)
            progress.update(count)
    finally:
        pool.shutdown(cancel_futures=True)
    return problems


def _problem(folder, shard):
    """What is wrong with a shard, or None."""
    index, problem = open_shard(folder, shard)
    if problem:
        return problem
    corrupt = []
    try:
        with tarfile.open(folder / shard["file"], "r:") as archive:
            for row in index[index["size"] > 0]:
                image, label = archive.next(), archive.next()
                if image is None or label is None or image.offset_data != row["offset"] or image.size != row["size"]:
                    return f"{shard['file']} is corrupt: it has other files than its index"
                is_whole = zlib.crc32(archive.extractfile(image).read()) == row["crc32"]
                if not is_whole or archive.extractfile(label).read() != str(row["label"]).encode():
                    corrupt.append(Path(image.name).stem)
    except (OSError, tarfile.TarError) as error:
        return f"{shard['file']} is corrupt ({error})"
    if not corrupt:
        return None
    more = f" and {len(corrupt) - 1} more" if len(corrupt) > 1 else ""
    return f"{shard['file']} is corrupt: image {corrupt[0]}{more}"
