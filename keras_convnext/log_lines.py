"""Log lines that TensorFlow's C++ code writes while it is imported, kept away from a user's terminal.

TensorFlow writes them to file descriptor 2 before any setting for logs takes effect. A separate process, which runs
this file, reads that descriptor during the import, and at once passes on every line that is not a log line. No error is
lost, even if the import crashes. With the other backends Keras imports TensorFlow too, if it is installed, for
example to set its seed.
"""

import os
import re
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

LEVEL = "TF_CPP_MIN_LOG_LEVEL"

DRIVER = Path("/dev/nvidiactl")
"""This file exists where a GPU of NVIDIA can be used."""

LOG_LINE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|[IW]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\] "  # absl's: severity, time, thread, file and line
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] \S+:\d+\] "  # TensorFlow's own, up to 2.16
    rb"|.* Unable to register cu(?:FFT|DNN|BLAS) factory: "  # logged as errors; nothing is wrong
    rb"|To enable the following instructions: "  # goes on from the line before
)
"""The lines that are left out: messages of the severities I and W. Errors and all other output are passed on."""

SECONDS_TO_END = 2
"""How long the process may take to pass on the last lines."""


def keep_log_lines_away():
    """Makes TensorFlow log only errors, whenever it is imported in this process.

    `TF_CPP_MIN_LOG_LEVEL=0` in the environment turns this off. If the variable is not set, it is set here, also for the
    time after the import: to 2, which logs only errors; or to 3 if there is no GPU driver, because TensorFlow logs the
    missing driver as an error.
    """
    os.environ.setdefault(LEVEL, "2" if DRIVER.exists() else "3")
    if os.environ[LEVEL] != "0" and not any(isinstance(finder, QuietTensorFlow) for finder in sys.meta_path):
        sys.meta_path.insert(0, QuietTensorFlow())


class QuietTensorFlow:
    """An importer that finds TensorFlow as the other importers do, and executes it within `without_log_lines`."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        finders = [finder.find_spec for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (find_spec(name, path, target) for find_spec in finders)), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            execute = spec.loader.exec_module

            def execute_quietly(module):
                with without_log_lines():
                    execute(module)

            spec.loader.exec_module = execute_quietly
        return spec


@contextmanager
def without_log_lines():
    """A context that removes the log lines from what is written to file descriptor 2."""
    if sys.stderr is None:  # the shell closed it
        yield
        return
    sys.stderr.flush()
    # In a separate session, so that Ctrl-C does not end it: what is printed on Ctrl-C must be passed on.
    command = [sys.executable, "-I", "-S", __file__]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    before = os.dup(2)
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        with suppress(subprocess.TimeoutExpired):  # a process that the import left behind holds the pipe open
            reader.wait(SECONDS_TO_END)


def pass_on(source: int, target: int) -> None:
    """Copies lines from one file descriptor to another, without the log lines, until all writers have closed it."""
    rest = b""
    while block := os.read(source, 65536):
        *lines, rest = (rest + block).split(b"\n")
        passed = b"".join(line + b"\n" for line in lines if not LOG_LINE.match(line))
        with suppress(OSError):  # nobody reads it: the import goes on
            os.write(target, passed)
    if not LOG_LINE.match(rest):
        with suppress(OSError):
            os.write(target, rest)


if __name__ == "__main__":
    pass_on(0, 2)
