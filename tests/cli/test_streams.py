"""What commands do where what they print goes nowhere, and on Ctrl-C: each in a separate process."""

import os
import signal
import subprocess
import time

import pytest


@pytest.fixture
def command_in(start):
    """A function: starts a command in a new process group, as a shell does."""
    shell = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "start_new_session": True}
    return lambda *arguments, **options: start(*arguments, **shell, **options)


@pytest.mark.parametrize(
    "command", [["list"], pytest.param(["summary", "convnext_mini", "--json"], marks=pytest.mark.slow)]
)
def test_a_reader_that_ends_early_is_no_error(command_in, command):
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does when it has its lines
    process = command_in(*command, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 141
    assert b"Broken" not in err
    assert b"Traceback" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that Linux has")
def test_a_full_disk_is_said_in_a_line(command_in):
    with open("/dev/full", "w") as full:
        process = command_in("list", stdout=full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.splitlines()[-1].endswith(b"[Errno 28] No space left on device")
    assert b"Traceback" not in err


@pytest.mark.slow
def test_names_that_are_not_utf_8_are_printed_as_they_are(command_in, trained, tmp_path):
    from PIL import Image

    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.new("L", (8, 8)).save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", name)
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}  # as in most locales
    for options, printed in ((["--top", "1"], name), (["--json"], b"caf\\udce9.png")):
        process = command_in("predict", str(trained.path), name, *options, stdout=subprocess.PIPE, env=strict)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert printed in out


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["roadmap", "steps"], b"counting step 2 of 17"),
        pytest.param(
            ["benchmark", "--variant", "convnext_mini", "--against", "", "--rounds", "1000"],
            b"round 2 of",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["augment", "--benchmark", "--rounds", "1000", "--size", "32", "--data", "FOLDER"],
            b"2: ours",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_ctrl_c_ends_a_command_and_its_processes(command_in, write_digits, tmp_path, command, line):
    """Sent to the whole group, as a terminal does. Nobody prints a traceback, and no process stays."""
    folder = write_digits(tmp_path / "pictures")
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        process = command_in(*(str(folder) if word == "FOLDER" else word for word in command), stdout=file)
        try:
            os.set_blocking(process.stderr.fileno(), False)
            err, until = b"", time.monotonic() + 240
            while line not in err + printed.read_bytes():
                assert process.poll() is None, err
                assert time.monotonic() < until, err
                err += process.stderr.read() or b""
                time.sleep(0.05)
            children = descendants(process.pid)
            os.killpg(process.pid, signal.SIGINT)
            os.set_blocking(process.stderr.fileno(), True)
            _, rest = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert b"Traceback" not in err + rest
    until = time.monotonic() + 10
    while children & set(parents()):
        assert time.monotonic() < until
        time.sleep(0.1)


def parents():
    """The parent of each process that runs, by their numbers."""
    rows = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent, state in map(str.split, rows.splitlines()) if state[0] != "Z"}


def descendants(pid):
    """The processes that a process started, and those that they started."""
    parent_of = parents()
    found = {pid}
    while more := {child for child, parent in parent_of.items() if parent in found} - found:
        found |= more
    return found - {pid}
