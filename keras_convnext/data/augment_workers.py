"""Processes that read and augment pictures: Python and Pillow need one for each core.

Such a process runs `serve`: it reads pickled jobs from its standard input, writes the pickled results to its standard
output, and ends with the process that started it. It computes nothing, and imports the lightest of Keras's backends
that is there.
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

from keras_convnext.data.images import read_picture
from keras_convnext.extras import is_installed
from keras_convnext.processes import python_command

NUMPY_BACKEND_IMPORTS = ("scipy", "jax", "jaxlib")
"""What Keras's NumPy backend imports (keras 3.15: `src/backend/numpy/linalg.py` and `nn.py`)."""

CLOSED = "These batches were closed: no more of them can be had."

LAST_LINES = 15
"""Of what a process wrote before it ended, how many lines an error quotes."""


def augmented_pictures(sources, seeds, steps, erasing):
    """Reads images and augments them.

    Args:
        sources: paths of image files, or arrays of shape `(height, width, channels)` in 0..255.
        seeds: for each, three whole numbers.
        steps: sequence of `preprocessing.augmentation.PictureStep`, which give all images one size.
        erasing: `preprocessing.augmentation.RandomErasing`.

    Returns:
        `(pixels, patches)`: a uint8 array of shape `(count, height, width, channels)`, and what is to be pasted into
        it as float32, a list of `(index, top, left, patch)`.

    Raises:
        ValueError: an image that cannot be read.
    """
    from keras_convnext.preprocessing.augmentation import augment_picture, picture_of

    pictures = (picture_of(as_bytes(one)) if isinstance(one, np.ndarray) else read_picture(one) for one in sources)
    pixels = np.stack([augment_picture(picture, seed, steps) for picture, seed in zip(pictures, seeds, strict=True)])
    drawn = (erasing.drawn(pixels.shape[1:], erasing.generator(seed)) for seed in seeds)
    return pixels, [(index, *patch) for index, patch in enumerate(drawn) if patch is not None]


def as_bytes(image):
    """An array with numbers in 0..255 as whole ones of 8 bits, rounded."""
    return image if image.dtype == np.uint8 else np.clip(np.rint(image), 0, 255).astype("uint8")


class AugmentWorkers:
    """Calls `augmented_pictures` in processes that start at the first calls, and are ended by `close`.

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
        """A future of what `augmented_pictures` returns, or raises, for these arguments."""
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
        """Ends the processes; those that still work are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            self._is_closed = True
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            with suppress(OSError):  # what was not sent yet cannot be any more
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
    """That of the processes, without an accelerator: Keras's NumPy backend where all that it imports is there."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "numpy" if all(map(is_installed, NUMPY_BACKEND_IMPORTS)) else keras.backend.backend(),
    }


def _how_it_ended(process):
    """What there is to say of a process that gave no answer: how it ended, and what it wrote last."""
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
    """What the process does; see above."""
    jobs, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        try:
            job = pickle.load(jobs)
        except (EOFError, pickle.UnpicklingError):  # the other process ended, maybe amid a job
            return
        try:
            result = augmented_pictures(*job)
        except ValueError as error:
            result = ValueError(str(error))
        try:
            pickle.dump(result, results, protocol=5)
            results.flush()
        except BrokenPipeError:
            os._exit(0)  # the same; the interpreter's own end would try to write once more
