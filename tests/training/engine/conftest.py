"""Trainings of several processes and devices on this machine."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext.data import load_digits

WITH_TINY = Path(__file__).with_name("with_tiny.py")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A file of 160 digits to train on and 33 to test on, whose batches of 16 are ten, and two and an odd one."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    data = load_digits()
    train, test = data.train.take(range(193)), data.test.take(range(21))
    np.savez(path, x_train=train.pixels, y_train=train.labels, x_test=test.pixels, y_test=test.labels)
    return path


@pytest.fixture(scope="session")
def launch():
    """A function: starts `keras-convnext train` in several processes, as torchrun does; returns them.

    `launch(processes, devices, *arguments)`; each process has that many devices.
    """

    def start(processes, devices, *arguments, **environment):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
        common = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": flags}
        common |= {"KERAS_BACKEND": keras.backend.backend(), "TF_DEVICES": str(devices), **environment}
        common["PYTHONPATH"] = os.pathsep.join(sys.path)
        if processes > 1:
            common |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        return [
            subprocess.Popen(
                [sys.executable, WITH_TINY, "train", *map(str, arguments)],
                env=common | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(processes)
        ]

    return start


@pytest.fixture(scope="session")
def outputs_of():
    """A function: waits for processes, and returns what each of them printed. All must end with the given code."""

    def wait(processes, code=0, seconds=300):
        printed = [process.communicate(timeout=seconds)[0] for process in processes]
        assert [process.returncode for process in processes] == [code] * len(processes), "\n\n".join(printed)[-6000:]
        return printed

    return wait


@pytest.fixture
def settings(tmp_path, digits):
    """A function: writes settings of a training into a file, and returns its path."""

    def write(variant="tiny", **changes):
        recipe = {
            **{"source": "tests", "epochs": 1, "batch_size": 16, "learning_rate": 2e-3, "warmup_epochs": 0.2},
            **{"drop_path_rate": 0.0, "ema": 0.8, "clip_norm": 0.5, "weight_decay": 0.1, **changes},
        }
        path = tmp_path / f"settings-{len(list(tmp_path.glob('settings-*')))}.json"
        path.write_text(json.dumps({"data": str(digits), "variant": variant, "recipe": recipe}))
        return path

    return write
