"""The file of a published checkpoint: downloaded from its publisher, or found in Keras's cache."""

import contextlib
import hashlib
import os
import time
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import keras

from keras_convnext.checkpoints.catalog import CHECKPOINTS, Checkpoint

HUB = "https://huggingface.co/"
PART_BYTES = 1 << 16

STALE_SECONDS = 3600
"""A download that has not grown for this long was interrupted."""

TIMEOUT_SECONDS = 60
"""How long to wait for a server's answer."""


def cached_path(checkpoint: Checkpoint) -> Path:
    """The path of a checkpoint's file in the cache, whether the file exists or not.

    The cache is `models/keras_convnext` in Keras's folder, which is `~/.keras`, or the value of the environment
    variable KERAS_HOME.

    Args:
        checkpoint: `Checkpoint`.

    Example:

    >>> from keras_convnext.checkpoints import CHECKPOINTS, cached_path
    >>> cached_path(CHECKPOINTS["convnext_tiny.in12k"]).name
    'convnext_tiny.in12k.safetensors'
    """
    *_, repository, _, _, file = checkpoint.url.rsplit("/", 4)
    if file == "model.safetensors":  # on the hub every repository has a file of this name
        file = f"{repository}.safetensors"
    return _keras_home() / "models" / "keras_convnext" / file


def cached_file(checkpoint):
    """The cached file of a checkpoint. Downloads it, with a progress bar, if it is not in the cache.

    A file in the cache is complete: an incomplete download has another name. If the publisher gives the SHA-256 of the
    file, it is checked each time. If the hub gives a file only to users who accepted its licence, set the environment
    variable HF_TOKEN to your token.

    Args:
        checkpoint: `Checkpoint`.

    Returns:
        `Path`.

    Raises:
        OSError: there is no connection, the server has an error, the download is incomplete, or the cache is not
            writable. The message has the address, and says where to put the file by hand.
        ValueError: the file is not the published one, and was removed.
    """
    path = cached_path(checkpoint)
    if path.exists():
        _check_digest(path, checkpoint)
        return path
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written; the environment variable KERAS_HOME moves the cache")
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_partials(path)
        _download(checkpoint.url, partial)
        _check_digest(partial, checkpoint)
        partial.replace(path)
    except (OSError, HTTPException) as error:
        advice = _how_to_log_in(checkpoint.url, error) or "Try again,"
        raise OSError(
            f"{checkpoint.url} could not be downloaded: {error}. {advice} or put the file there by hand: {path}"
        ) from error
    finally:
        if partial.exists():
            partial.unlink()
    return path


def published_as(path):
    """Finds the published checkpoint whose name in the cache and SHA-256 a file has; None if there is none.

    How a file is read does not depend on this, but on its content.
    """
    path = Path(path)
    for entry in CHECKPOINTS.values():
        if cached_path(entry).name == path.name and _digest_fits(path, entry):
            return entry
    return None


def _download(url, path):
    request = Request(url, headers={"User-Agent": "keras_convnext"})
    if url.startswith(HUB) and os.environ.get("HF_TOKEN"):  # only to the hub, not to where it redirects
        request.add_unredirected_header("Authorization", f"Bearer {os.environ['HF_TOKEN']}")
    print(f"Downloading data from {url}")
    with urlopen(request, timeout=TIMEOUT_SECONDS) as answer, path.open("xb") as file:
        length = answer.length
        progress = keras.utils.Progbar(length)
        while part := answer.read(PART_BYTES):
            file.write(part)
            progress.update(file.tell())
        if length is not None and answer.length:
            raise OSError(f"retrieval incomplete: got {file.tell()} of {length} bytes")


def _how_to_log_in(url, error):
    """What to do if the hub gives a file only to users who accepted its licence; empty for other errors."""
    if not url.startswith(HUB) or getattr(error, "code", None) not in (401, 403):
        return ""
    page = url.partition("/resolve/")[0]
    return (
        f"The hub gives it only to users who accepted its licence: log in at {page}, accept it, and set the "
        f"environment variable HF_TOKEN to your token from {HUB}settings/tokens,"
    )


def _keras_home():
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _check_digest(path, checkpoint):
    """Removes a file that is not the published one, and then raises ValueError."""
    if not _digest_fits(path, checkpoint):
        path.unlink()
        raise ValueError(
            f"{path}: its SHA-256 does not begin with {checkpoint.sha256[:8]}: it is truncated, or not the published "
            f"file. It was removed; download it again from {checkpoint.url}"
        )


def _digest_fits(path, checkpoint):
    if not checkpoint.sha256:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(checkpoint.sha256)


def _remove_stale_partials(path):
    """Removes the incomplete downloads of processes that were killed."""
    for partial in path.parent.glob(f"{path.name}.*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another process has completed it
            if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                partial.unlink()
