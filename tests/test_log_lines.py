"""What the command lets through of what TensorFlow prints while it is imported: all but its log lines."""

import os
import subprocess
import sys

import pytest

from keras_convnext import log_lines
from keras_convnext.log_lines import LEVEL, LOG_LINE, keep_log_lines_away, pass_on

INITIALIZED = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
ONEDNN = "I0000 00:00:1795750267.291765   16765 port.cc:153] oneDNN custom operations are on. You may see slightly"

# A package `tensorflow` that prints as TensorFlow's C++ code does, past sys.stderr; then what the test says.
TENSORFLOW = f"""
import os
os.write(2, b"{INITIALIZED}\\n{ONEDNN}\\nthe first line of an error\\n")
os.write(2, b"E0000 00:00:1795750267.291765   16765 cuda.cc:1] an error\\nno end")
"""
PROGRAM = """
import importlib.util, os, sys
sys.path.insert(0, sys.argv[1])
from keras_convnext.log_lines import keep_log_lines_away
keep_log_lines_away()
assert importlib.util.find_spec("tensorflow").origin.startswith(sys.argv[1])  # looking for it imports nothing
assert "tensorflow" not in sys.modules
import tensorflow
os.write(2, b"\\nI0000 00:00:1795750267.291765   16765 port.cc:153] afterwards\\n")
"""


def run(tmp_path, module, **environment):
    """What a process prints to stderr that imports such a `tensorflow`, and its exit code."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(module)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={**{name: value for name, value in os.environ.items() if name != LEVEL}, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stderr.splitlines(), done.returncode


def test_log_lines_of_the_import_are_left_out_and_nothing_else(tmp_path):
    lines, code = run(tmp_path, TENSORFLOW)
    assert code == 0
    assert lines == [
        "the first line of an error",
        "E0000 00:00:1795750267.291765   16765 cuda.cc:1] an error",
        "no end",
        "I0000 00:00:1795750267.291765   16765 port.cc:153] afterwards",
    ]


def test_a_crash_amid_the_import_loses_no_line(tmp_path):
    lines, code = run(tmp_path, TENSORFLOW + "os.abort()\n")
    assert code < 0
    assert lines[:3] == [
        "the first line of an error",
        "E0000 00:00:1795750267.291765   16765 cuda.cc:1] an error",
        "no end",
    ]


def test_an_error_of_the_import_comes_through(tmp_path):
    lines, code = run(tmp_path, TENSORFLOW + "raise ImportError('a library is missing')\n")
    assert code == 1
    assert lines[-1] == "ImportError: a library is missing"


@pytest.mark.slow
def test_who_asks_for_all_log_lines_gets_them(tmp_path):
    lines, _ = run(tmp_path, TENSORFLOW, **{LEVEL: "0"})
    assert lines[:2] == [INITIALIZED, ONEDNN]


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        (INITIALIZED, True),
        (ONEDNN, True),
        (
            "W0000 00:00:1795750267.291765   16765 computation_placer.cc:177] computation placer already registered",
            True,
        ),
        ("2024-03-01 10:20:30.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.", True),
        ("To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow", True),
        ("E0000 00:00:1.5   1 cuda_fft.cc:477] Unable to register cuFFT factory: Attempting to register", True),
        ("E0000 00:00:1795750998.446491   20562 cuda_platform.cc:52] failed call to cuInit: INTERNAL", False),
        ("F0000 00:00:1795750998.446491   20562 env.cc:1] Check failed: false", False),
        ("2024-03-01 10:20:30.123456: F tensorflow/core/platform/cpu_feature_guard.cc:1] needs AVX", False),
        ("Illegal instruction (core dumped)", False),
        ("", False),
    ],
)
def test_which_lines_are_log_lines(line, left_out):
    assert bool(LOG_LINE.match(line.encode())) is left_out


def test_lines_come_through_however_they_are_cut(tmp_path):
    reading, writing = os.pipe()
    text = f"{ONEDNN}\nfirst\n{INITIALIZED}\nlast".encode()
    for start in range(0, len(text), 7):
        os.write(writing, text[start : start + 7])
    os.close(writing)
    with (tmp_path / "out").open("wb") as out:
        pass_on(reading, out.fileno())
    os.close(reading)
    assert (tmp_path / "out").read_text() == "first\nlast"


@pytest.mark.parametrize(("has_driver", "level"), [(True, "2"), (False, "3")])
def test_errors_are_logged_where_there_is_a_gpu(monkeypatch, tmp_path, has_driver, level):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(log_lines, "DRIVER", tmp_path if has_driver else tmp_path / "nowhere")
    monkeypatch.setenv(LEVEL, "1")
    keep_log_lines_away()
    assert os.environ[LEVEL] == "1"
    monkeypatch.delenv(LEVEL)
    keep_log_lines_away()
    assert os.environ[LEVEL] == level
    assert [type(finder).__name__ for finder in sys.meta_path].count("QuietTensorFlow") == 1
