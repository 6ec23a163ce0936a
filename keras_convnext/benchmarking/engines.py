"""Train steps on the engines that distribute a training: what an engine costs in one process, and what two exchange."""

import atexit
import json
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.device import share_cores
from keras_convnext.processes import python_command
from keras_convnext.training.engine import start_engine

PROCESSES = {"distributed": 1, "two-processes": 2}
"""For each form of a case, in how many processes its step is computed. They share the case's batch."""

FOLLOWS = "KERAS_CONVNEXT_BENCHMARK_FOLLOWS"
"""The variable of the environment that tells process 1 which it is."""


def engine_step(case: Case, prepare: Callable[[Case], tuple[keras.Model, Any, Any]]) -> Callable:
    """Returns a train step of a case on its backend's engine. Starts the other process, if there are two.

    Args:
        case: a case whose form is in `PROCESSES`.
        prepare: function of a case that returns a compiled model, images and labels.

    Raises:
        ValueError: the backend does not train in several processes, or the batch cannot be divided.
    """
    processes = PROCESSES[case.form]
    if case.batch % processes:
        raise ValueError(f"a batch of {case.batch} images cannot be divided among {processes} processes")
    if processes > 1:
        if case.device == "gpu":
            raise ValueError("two processes are timed on the CPU alone: on one GPU they would wait for each other")
        if FOLLOWS not in os.environ:
            _start_other(case)
    share_cores(processes, case.backend)
    engine = start_engine("data")
    with engine.scope():
        model, x, y = prepare(replace(case, batch=case.batch // processes))
        engine.prepare(model)

    def step():
        with engine.training_scope():
            return model.train_on_batch(x, y)

    return step


def _start_other(case):
    """Starts process 1, which takes the same steps until this one ends, and makes this one process 0."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    os.environ |= {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    command = python_command(f"{__name__}:follow", json.dumps(asdict(case)))
    variables = {"RANK": "1", "LOCAL_RANK": "1", FOLLOWS: "1"}
    other = subprocess.Popen(command, env=os.environ | variables, stdin=subprocess.DEVNULL)
    atexit.register(other.kill)
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0"}


def follow(case: str) -> None:
    """Runs process 1: it takes steps for as long as process 0 does, with whose end the engine ends it."""
    from keras_convnext.benchmarking.packages import PACKAGES

    kept = Case(**json.loads(case))
    step = PACKAGES[kept.package].build(kept)
    while True:
        step()


def loopback_bytes() -> int | None:
    """Returns the number of bytes that crossed this machine's loopback interface since it started; None if unknown."""
    table = Path("/proc/net/dev")
    if not table.is_file():
        return None
    rows = dict(line.strip().split(":", 1) for line in table.read_text().splitlines() if ":" in line)
    return int(rows["lo"].split()[0])
