"""The process that times one case, given as JSON.

It prints one line of JSON when the model is built and warm. Then it reads numbers of steps. For each number, it takes
one step that does not count, then that many steps, and prints one line with the seconds of each step, measured until
its result is ready, and with the bytes per step that crossed the loopback interface. At the end of its input it prints
its peak memory.
"""

import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path

WARM_UP_STEPS = 2


def main(case: str) -> None:
    """Runs the process; see the module's docstring."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print goes to stderr
    from keras_convnext.benchmarking import device, engines
    from keras_convnext.benchmarking.case import Case
    from keras_convnext.benchmarking.packages import PACKAGES

    case = Case(**json.loads(case))
    backend = device.backend_of(case)
    device.prepare_device(case.device, backend)
    imported = _memory("VmRSS")
    started = time.perf_counter()
    compute = PACKAGES[case.package].build(case)

    def step():
        device.synchronize(backend, compute())

    for _ in range(WARM_UP_STEPS):
        step()
    _forget_what_building_took()
    device.reset_peak_device_bytes(case.device, backend)
    print(json.dumps({"start_seconds": time.perf_counter() - started}), file=answers)
    for line in sys.stdin:
        seconds = []
        step()  # not counted: it finds caches and memory as the other processes left them
        crossed = engines.loopback_bytes()
        for _ in range(int(line)):
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
        now = engines.loopback_bytes()
        crossed = None if crossed is None or now is None else (now - crossed) // len(seconds)
        print(json.dumps({"seconds": seconds, "loopback_bytes": crossed}), file=answers)
    peak = device.peak_device_bytes(case.device, backend)
    if case.device == "cpu" and imported is not None:
        peak = _memory("VmHWM") - imported
    print(json.dumps({"peak_bytes": peak}), file=answers)


def _memory(field):
    """A field of /proc/self/status in bytes; None if there is no such file."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(rows[field].split()[0]) * 1024


def _forget_what_building_took():
    """Resets the peak, since building and compiling may take more memory than a step, and returns free memory."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")
