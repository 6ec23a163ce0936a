"""Processes that read and augment images: Python and Pillow use one core per process.

Such a process runs `serve`: it reads pickled jobs from its standard input, writes the pickled results to its standard
output, and ends with the process that started it. It uses no Keras backend, and imports the lightest one that is
installed. Steps whose classes such a process cannot import, such as those of a notebook, run in threads instead.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import keras
import numpy as np

from keras_convnext.data.images import UnreadableImageError, read_pil
from keras_convnext.extras import is_installed
from keras_convnext.preprocessing.augmentation.pipeline import (
    as_bytes,
    through_array_steps,
    through_image_steps,
    to_pil,
)
from keras_convnext.processes import python_command

NUMPY_BACKEND_IMPORTS = ("scipy", "jax", "jaxlib")
"""What Keras's NumPy backend imports (keras 3.15: `src/backend/numpy/linalg.py` and `nn.py`)."""

CLOSED = "These batches were closed and give no more items. Make new ones."

LAST_LINES = 15
"""The number of lines that an error quotes from the end of what a process wrote."""


def augmented_images(sources, seeds, image_steps, array_steps, size):
    """Reads images and augments them.

    Args:
        sources: paths of image files, or arrays of shape `(height, width, channels)` in 0..255.
        seeds: for each image, three integers: the training's seed, the epoch, and the index of the image.
        image_steps: sequence of `preprocessing.augmentation.ImageStep`.
        array_steps: sequence of `preprocessing.augmentation.ArrayStep`.
        size: `(height, width)` of the results.

    Returns:
        `(pixels, patches)`: a uint8 array of shape `(count, height, width, channels)`, the images after the steps on
        images; and a list of `(index, top, left, patch)`, the float32 rectangles in which steps on arrays changed them.

    Raises:
        UnreadableImageError: an image that cannot be read.
        ValueError: a step whose result has another shape.
    """
    images = (to_pil(as_bytes(one)) if isinstance(one, np.ndarray) else read_pil(one) for one in sources)
    pixels = [through_image_steps(image, seed, image_steps, size) for image, seed in zip(images, seeds, strict=True)]
    patches = []
    for index, (before, seed) in enumerate(zip(pixels, seeds, strict=True)):
        after = through_array_steps(before, seed, array_steps)
        if after is not before:
            patches += [(index, *patch) for patch in _changed_rectangle(before, after)]
    return np.stack(pixels), patches


def _changed_rectangle(before, after):
    """The rectangle outside of which two images are equal: a list of one `(top, left, patch)`, or of none."""
    height, width, channels = before.shape
    differs = before.reshape(height, -1) != after.reshape(height, -1)  # NumPy reduces short last axes slowly
    rows = np.flatnonzero(differs.any(axis=1))
    columns = np.flatnonzero(differs.any(axis=0).reshape(width, channels).any(axis=1))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    return [(top, left, after[top : rows[-1] + 1, left : columns[-1] + 1].copy())]


def start_workers(count, steps):
    """Workers for an augmentation: processes, or threads where a process could not import the class of a step.

    Args:
        count: int, how many.
        steps: sequence of `preprocessing.augmentation.Step`.
    """
    return AugmentWorkers(count) if all(_is_importable(type(step)) for step in steps) else AugmentThreads(count)


def _is_importable(kind):
    """Whether another process finds a class by its module and name, as pickle looks for it."""
    module = sys.modules.get(kind.__module__)
    return kind.__module__ != "__main__" and getattr(module, kind.__qualname__, None) is kind


class AugmentThreads:
    """Calls `augmented_images` in threads of this process.

    Args:
        count: int, how many.
    """

    def __init__(self, count):
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="augment")

    def submit(self, *job):
        """A future of what `augmented_images` returns, or raises, for these arguments."""
        return self._threads.submit(augmented_images, *job)

    def close(self):
        """Ends the threads after the images that they work on."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class AugmentWorkers:
    """Calls `augmented_images` in processes, which start at the first calls and are ended by `close`.

    Args:
        count: int, how many.
    """

    def __init__(self, count):
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="augment")
        self._idle = queue.SimpleQueue()
        self._processes = []
        self._starting = threading.Lock()
        self._is_closed = False

    def submit(self, *job):
        """A future of what `augmented_images` returns, or raises, for these arguments."""
        return self._threads.submit(self._call, job)

    def _call(self, job):
        message = pickle.dumps(job, protocol=5)
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = self._start()
        try:
            process.stdin.write(message)
            process.stdin.flush()
            result = pickle.load(process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise RuntimeError(CLOSED if self._is_closed else _how_it_ended(process)) from error
        self._idle.put(process)
        if isinstance(result, ValueError):
            raise result
        return result

    def _start(self):
        with self._starting:
            if self._is_closed:
                raise RuntimeError(CLOSED)
            process = _Process()
            self._processes.append(process)
        return process

    def close(self):
        """Ends the processes at once, whatever they work on."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            self._is_closed = True
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            with suppress(OSError):  # data that was not sent yet cannot be sent any more
                process.stdin.close()
            process.messages.close()


class _Process(subprocess.Popen):
    """A process that runs `serve`. What it writes to standard error is kept in a file: a pipe would fill up."""

    def __init__(self):
        self.messages = tempfile.TemporaryFile()  # noqa: SIM115, it is closed with the process's other files
        super().__init__(
            python_command(f"{__name__}:serve"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            env=environment(),
        )


def environment():
    """The environment of the processes: no accelerator, and Keras's NumPy backend where its packages are installed."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "numpy" if all(map(is_installed, NUMPY_BACKEND_IMPORTS)) else keras.backend.backend(),
    }


def _how_it_ended(process):
    """The message about a process that gave no answer: how it ended, and the last lines that it wrote."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    if process.poll() is None:
        process.kill()
        return "A process that augments images gave an answer that cannot be read, and was stopped."
    code = process.returncode
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    process.messages.seek(0)
    lines = process.messages.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
    if not lines:
        return f"A process that augments images ended {how}, without a message."
    return "\n".join([f"A process that augments images ended {how}. The end of its messages:", *lines])


def serve():
    """The program of such a process; see the module's docstring."""
    jobs, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        try:
            job = pickle.load(jobs)
        except (EOFError, pickle.UnpicklingError):  # the other process has ended, perhaps during a job
            return
        try:
            result = augmented_images(*job)
        except UnreadableImageError as error:
            result = error
        except ValueError as error:
            result = ValueError(str(error))
        try:
            pickle.dump(result, results, protocol=5)
            results.flush()
        except BrokenPipeError:
            os._exit(0)  # it has ended; a normal exit would flush the pipe once more
