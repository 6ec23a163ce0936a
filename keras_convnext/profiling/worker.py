"""A process that times one case, which it is given as JSON.

It prints a line of JSON when the model is built and warm, and then for each number of steps that it reads a line with
the seconds of each step, after one that does not count. At the end of its input it prints its peak memory.
"""

import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path

WARM_UP_STEPS = 2


def main(case):
    """What the process does; see above."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print goes to stderr
    from keras_convnext.profiling.case import Case
    from keras_convnext.profiling.packages import PACKAGES

    case = Case(**json.loads(case))
    imported = _memory("VmRSS")
    started = time.perf_counter()
    step = PACKAGES[case.package].build(case)
    for _ in range(WARM_UP_STEPS):
        step()
    _forget_what_building_took()
    print(json.dumps({"start_seconds": time.perf_counter() - started}), file=answers)
    for line in sys.stdin:
        seconds = []
        step()  # not counted: it finds caches and memory as the other processes left them
        for _ in range(int(line)):
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
        print(json.dumps({"seconds": seconds}), file=answers)
    peak = _memory("VmHWM")
    print(json.dumps({"peak_bytes": None if peak is None else peak - imported}), file=answers)


def _memory(field):
    """A row of Linux's account of this process's memory in bytes; None on other systems."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(rows[field].split()[0]) * 1024


def _forget_what_building_took():
    """Starts the peak anew: building and compiling may take more than any step. Free memory goes back to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")
