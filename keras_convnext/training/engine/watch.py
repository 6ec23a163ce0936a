"""Ends the processes of a training when one of them has ended, and says which."""

import atexit
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable

from keras_convnext.training.engine.launch import Launch

KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""After 10 seconds without a byte the system asks for a sign of life every 5 seconds, 4 times: a host that is gone is
noticed after 30 seconds. The end of a process is noticed at once."""

REFUSAL_SECONDS = 30
"""How long a process waits, before the training, after another one has ended: it may refuse the same setting itself."""

FAILED = 1
WELL, LOST = b"well", b"lost"
"""What a process sends before it ends well, and before it ends because another one did, with the number of that one."""


class Watch:
    """Connects each process with process 0, and ends this process if a connection breaks.

    Collectives of gloo, NCCL and XLA cannot be interrupted, and wait for a lost process for minutes. So this process
    ends without unwinding; what a run has written is complete at any moment.

    Args:
        launch: the `Launch`.
        tell: function that gives process 0's value to all processes, such as `Engine.gather`'s first.

    Example:

    >>> from keras_convnext.training.engine.launch import Launch
    >>> from keras_convnext.training.engine.watch import Watch
    >>> Watch(Launch(), tell=lambda value: value).end_well()
    """

    def __init__(self, launch: Launch, tell: Callable[[int], int]):
        self._launch = launch
        self._connections: dict[int, socket.socket] = {}
        self._is_closed = self._has_begun = False
        if launch.processes == 1:
            return
        host = str(launch.address).rpartition(":")[0]
        if launch.index == 0:
            server = socket.create_server(("", 0), backlog=launch.processes)
            tell(server.getsockname()[1])
            with server:
                for _ in range(launch.processes - 1):
                    connection, _ = server.accept()
                    self._connections[int.from_bytes(connection.recv(4), "big")] = connection
        else:
            connection = socket.create_connection((host, tell(0)))
            connection.sendall(launch.index.to_bytes(4, "big"))
            self._connections[0] = connection
        for index, connection in self._connections.items():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE.items():
                if hasattr(socket, name):  # not on every system
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            threading.Thread(target=self._listen, args=(index, connection), daemon=True).start()

        atexit.register(self._close)  # before the backend waits for the others at its own end

    def begin(self) -> None:
        """Says that the training begins. A process that ends from now on was lost, and did not refuse a setting."""
        self._has_begun = True

    def end_well(self) -> None:
        """Tells the others that this process may end from now on."""
        self._send(WELL)

    def _listen(self, index, connection):
        received = b""
        with contextlib.suppress(OSError):
            while part := connection.recv(len(LOST) + 4):
                received += part
        if received.endswith(WELL) or self._is_closed:
            return
        lost = int.from_bytes(received[-4:], "big") if received[:-4].endswith(LOST) else index
        if not self._has_begun:
            time.sleep(REFUSAL_SECONDS)
        self._send(LOST + lost.to_bytes(4, "big"))
        line = f"Process {lost} of {self._launch.processes} (counted from 0) ended"
        if self._has_begun:
            line += ", and with it this training. `train --resume` continues it after its last epoch."
        else:
            line += " before the training began. See what it printed."
        os.write(2, f"\nkeras-convnext: {line}\n".encode())
        os._exit(FAILED)

    def _send(self, message):
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # that process has ended
                connection.sendall(message)

    def _close(self):
        self._is_closed = True
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
