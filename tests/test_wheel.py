"""The wheel: built, installed on its own, and used from another place."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

USE = """
import keras_convnext
from keras_convnext.data import load_digits
print(keras_convnext.__file__)
print(keras_convnext.__version__)
print(len(load_digits().train))
"""


def run(*command, **options):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources: building leaves files beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "keras_convnext", source / "keras_convnext", ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    run(sys.executable, "-m", "pip", "wheel", *options, source)
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder that the wheel alone is installed in."""
    folder = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def test_holds_every_file_of_the_package_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "keras_convnext"
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert held == {path.relative_to(ROOT).as_posix() for path in files}
    assert "keras_convnext/data/digits.npz" in held


def test_declares_the_command(site):
    (entry_points,) = site.glob("keras_convnext-*.dist-info/entry_points.txt")
    assert entry_points.read_text().split() == ["[console_scripts]", "keras-convnext", "=", "keras_convnext.cli:main"]


def test_needs_no_backend_and_no_optional_package(site):
    (metadata,) = site.glob("keras_convnext-*.dist-info/METADATA")
    needed = [line for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist:")]
    always = [line.removeprefix("Requires-Dist: ").partition(">")[0] for line in needed if "extra ==" not in line]
    assert sorted(always) == ["h5py", "keras", "numpy"]
    for extra in ("cli", "cv", "hub", "tensorflow", "jax", "torch", "all"):
        assert any(f'extra == "{extra}"' in line for line in needed), extra


@pytest.mark.slow
def test_is_imported_from_where_it_is_installed_and_finds_the_digits(site, tmp_path):
    out = run(sys.executable, "-c", USE, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)})
    file, version, count = out.split()
    assert Path(file).is_relative_to(site)
    assert f"keras_convnext-{version}.dist-info" in [path.name for path in site.iterdir()]
    assert count == "1438"


@pytest.mark.slow
def test_its_command_runs(site, tmp_path):
    out = run(site / "bin" / "keras-convnext", "list", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)})
    assert "convnext_tiny" in out
