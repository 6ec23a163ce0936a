"""Processes that wait for each other before a training."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_convnext.training.engine.launch import Launch
from keras_convnext.training.engine.meet import meet

pytestmark = pytest.mark.once


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def launches(count, port):
    return [Launch(count, index, index, f"localhost:{port}") for index in range(count)]


def test_all_return_once_the_last_one_came_and_the_port_is_free(port):
    first, *others, last = launches(5, port)
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(meet, one, 60) for one in (*others, first)]
        until = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("localhost", port)) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1")
                break
            except ConnectionRefusedError:
                assert time.monotonic() < until
                time.sleep(0.01)
        assert not any(one.done() for one in waiting)
        meet(last, 60)
        for one in waiting:
            one.result(60)
    socket.create_server(("", port)).close()


def test_process_0_names_those_that_did_not_come(port):
    first, second, *_ = launches(4, port)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(meet, second, 2)
        with pytest.raises(
            RuntimeError, match=f"Of 4 processes, processes 2, 3 did not connect .*:{port} within 1 sec"
        ):
            meet(first, 1)
        with pytest.raises(
            RuntimeError, match=f"Process 1 of 4 could not reach process 0 at localhost:{port} within 2 s"
        ):
            waiting.result()


def test_an_unknown_host_and_a_port_in_use(port):
    with pytest.raises(
        RuntimeError, match=r"process 0 at no.such.host.invalid:1 within 0 seconds \(.*(known|resolution)"
    ):
        meet(Launch(2, 1, 1, "no.such.host.invalid:1"), 0.3)
    with (
        socket.create_server(("", port)),
        pytest.raises(RuntimeError, match=f"cannot listen at port {port} .Address alr"),
    ):
        meet(launches(2, port)[0], 1)
