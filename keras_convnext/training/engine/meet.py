"""Waits until all processes of a training have started, or says which of them did not."""

import socket
import sys
import time
from contextlib import closing, suppress

from keras_convnext.training.engine.launch import Launch

SECONDS = 300
"""How long a process waits for the others. Schedulers start them minutes apart."""

PATIENCE_SECONDS = 10
"""After this time a process says for which it waits."""

PAUSE = 0.2
GREETING_SECONDS = 5
READY = b"ready"


def meet(launch: Launch, seconds: float | None = None) -> None:
    """Returns in all processes once each of them has called this function.

    The backends wait too, but end the process, or raise an error that names neither address nor process.

    Args:
        launch: the `Launch`. Process 0 listens at its address's port, which is free again afterwards.
        seconds: how long to wait. Defaults to None: `SECONDS`.

    Raises:
        RuntimeError: process 0 cannot listen at its port, or cannot be reached there, or others did not come in time.

    Example:

    >>> from keras_convnext.training.engine.launch import Launch
    >>> from keras_convnext.training.engine.meet import meet
    >>> meet(Launch())
    """
    if launch.processes == 1:
        return
    seconds = SECONDS if seconds is None else seconds
    host, _, port = str(launch.address).rpartition(":")
    until = time.monotonic() + seconds
    if launch.index == 0:
        _wait_for_others(launch, int(port), until, seconds)
    else:
        _report_to_first(launch, host, int(port), until, seconds)


def _wait_for_others(launch, port, until, seconds):
    try:
        server = socket.create_server(("", port), backlog=launch.processes)
    except OSError as error:
        raise RuntimeError(
            f"Process 0 cannot listen at port {port} ({error.strerror}). Give the launcher another port."
        ) from error
    arrived: dict[int, socket.socket] = {}
    told = time.monotonic() + PATIENCE_SECONDS
    try:
        with server:
            while len(arrived) < launch.processes - 1:
                server.settimeout(max(0.01, min(told, until) - time.monotonic()))
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    if time.monotonic() >= until:
                        raise
                    _tell(f"waiting for {_names(_missing(launch, arrived))} of {launch.processes}")
                    told = until
                    continue
                connection.settimeout(GREETING_SECONDS)
                with suppress(OSError):  # anything may connect to a port
                    index = int.from_bytes(connection.recv(4), "big")
                    if 0 < index < launch.processes:
                        arrived[index] = connection
                        continue
                connection.close()
        for connection in arrived.values():
            with suppress(OSError):
                connection.sendall(READY)
                connection.recv(1)  # until the other side has closed: the port is then free at once
    except TimeoutError as error:
        raise RuntimeError(
            f"Of {launch.processes} processes, {_names(_missing(launch, arrived))} did not connect to process 0 at "
            f"{launch.address} within {seconds:.0f} seconds. See what they printed, and whether their hosts reach it."
        ) from error
    finally:
        for connection in arrived.values():
            connection.close()


def _report_to_first(launch, host, port, until, seconds):
    problem: OSError | str = "it did not answer"
    told = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            left = max(0.01, until - time.monotonic())
            with closing(socket.create_connection((host, port), timeout=min(GREETING_SECONDS, left))) as first:
                first.settimeout(left)
                first.sendall(launch.index.to_bytes(4, "big"))
                if first.recv(len(READY)) == READY:
                    return
        except OSError as error:  # not started yet, or its host's name is not known yet
            problem = error.strerror or error
        if time.monotonic() > told:
            _tell(f"waiting for process 0 at {launch.address} ({problem})")
            told = until
        time.sleep(PAUSE)
    raise RuntimeError(
        f"Process {launch.index} of {launch.processes} could not reach process 0 at {launch.address} within "
        f"{seconds:.0f} seconds ({problem}). Check that process 0 runs there, and that its port is open."
    )


def _tell(line):
    print(f"keras-convnext: {line}", file=sys.stderr, flush=True)


def _missing(launch, arrived):
    return sorted(set(range(1, launch.processes)) - set(arrived))


def _names(indices):
    return f"process{'es' if len(indices) > 1 else ''} {', '.join(map(str, indices[:8]))}" + (
        " ..." if len(indices) > 8 else ""
    )
