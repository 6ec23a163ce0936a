"""Docstring examples see what they import, and not the names of the module that they stand in."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULE = '''
import math


def double(x):
    """
    >>> {line}
    6
    """
    return 2 * x
'''


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ("from module import double; double(3)", True),
        ("double(3)", False),
        ("2 * math.floor(3.5)", False),
    ],
)
def test_an_example_has_no_names_but_its_own(tmp_path, line, passes):
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "module.py").write_text(MODULE.format(line=line))
    command = [sys.executable, "-m", "pytest", "--doctest-modules", "-p", "no:cacheprovider", "module.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode == 0) == passes, result.stdout
    assert ("NameError" in result.stdout) != passes
