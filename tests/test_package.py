"""The package as a whole: who imports whom, what `import keras_convnext` needs, and what it brings."""

import ast
import graphlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_convnext"

# room -> the rooms that its files may import, itself aside. A new room needs a row.
MAY_IMPORT = {
    "variants": set(),
    "normalization": set(),
    "extras": set(),
    "drawing": {"extras"},
    "parser": set(),
    "processes": set(),
    "new_paths": set(),
    "version": set(),
    "log_lines": set(),
    "startup": {"extras", "log_lines", "parser", "version"},
    "kernels": set(),
    "layers": {"kernels"},
    "profiling": {"layers", "variants"},
    "benchmarking": {
        *("profiling", "models", "training", "data", "preprocessing", "export"),
        *("variants", "extras", "processes"),
    },
    "roadmap": {"training", "profiling", "layers", "data", "normalization", "extras"},
    "checkpoints": {"variants", "normalization", "extras"},
    "models": {"kernels", "layers", "variants", "normalization", "checkpoints", "extras"},
    "preprocessing": {"kernels", "checkpoints", "variants", "normalization", "extras"},
    "data": {"preprocessing", "extras", "processes"},
    "detection": {"models", "data", "checkpoints", "variants", "extras", "drawing"},
    "segmentation": {
        "kernels",
        "layers",
        "models",
        "data",
        "preprocessing",
        "checkpoints",
        "variants",
        "extras",
        "drawing",
    },
    "export": {
        *("kernels", "layers", "models", "segmentation", "preprocessing", "data", "checkpoints"),
        *("extras", "processes", "new_paths", "version"),
    },
    "training": {
        *("kernels", "preprocessing", "data", "variants", "models", "extras", "version", "new_paths"),
        *("detection", "segmentation"),
    },
}
MAY_IMPORT = {room: rooms | {"scalars", "dataclass_fields", "typing"} for room, rooms in MAY_IMPORT.items()}
MAY_IMPORT |= {"scalars": set(), "dataclass_fields": {"scalars"}, "typing": set()}
BELOW_CLI = set(MAY_IMPORT)
MAY_IMPORT |= {"__init__": BELOW_CLI, "cli": BELOW_CLI | {"__init__"}, "__main__": {"cli"}}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(parts):
    """`("layers", "block")` -> "layers"; `()` and `("__version__",)`, names of the package itself -> "__init__"."""
    if not parts or not ((PACKAGE / parts[0]).is_dir() or (PACKAGE / f"{parts[0]}.py").is_file()):
        return "__init__"
    return parts[0]


def rooms_imported(file):
    """The rooms of ours that a file imports, anywhere in it."""
    rooms = set()
    here = file.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        rooms |= {room_of(tuple(name[1:])) for name in names if name[0] == PACKAGE.name}
    return rooms


def room_of_file(file):
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file):
    room = room_of_file(file)
    assert room in MAY_IMPORT, f"{room} needs a row in MAY_IMPORT"
    assert rooms_imported(file) - {room} <= MAY_IMPORT[room]


def test_the_table_has_no_circle_and_nothing_imports_cli():
    tuple(graphlib.TopologicalSorter(MAY_IMPORT).static_order())
    assert [room for room, to in MAY_IMPORT.items() if "cli" in to] == ["__main__"]


def test_imports_are_seen_in_every_form(tmp_path, monkeypatch):
    """A check of the check: of plain, from, relative and late imports."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    package = tmp_path / "keras_convnext"
    monkeypatch.setitem(globals(), "PACKAGE", package)
    for room in ("cli", "data", "layers", "models", "training"):
        (package / room).mkdir(parents=True)
    file = package / "models" / "some.py"
    file.write_text(
        "import keras_convnext.data.digits\nfrom keras_convnext import cli, __version__\n"
        "from keras_convnext.layers import a\nfrom .backbone import b\ndef late():\n    from ..training import fit\n"
    )
    assert rooms_imported(file) == {"data", "cli", "__init__", "layers", "models", "training"}


# Files outside of kernels/ that may ask for the backend or the device: to name it to the user, to start a process on it
# or to time it; in training/, to run the training; in export/, to choose who writes a format, and on which device.
MAY_ASK = [
    "benchmarking/device.py",
    "cli/benchmark.py",
    "cli/train.py",
    "data/augment_workers.py",
    "export/export_model.py",
    "export/torch_programs.py",
    "export/write_and_check.py",
    "training/build.py",
    "training/engine/__init__.py",
    "training/engine/keras_distribution.py",
    "training/engine/torch_processes.py",
    "training/fit.py",
]
TELLS_BACKEND_OR_DEVICE = re.compile(
    r"backend\.backend\(|get_visible_devices|default_backend\(|jax_platforms|\.is_cuda|cuda\.is_available|\.device\.type"
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_kernels_alone_ask_which_backend_or_device_runs(file):
    name = file.relative_to(PACKAGE)
    asks = bool(TELLS_BACKEND_OR_DEVICE.search(file.read_text()))
    assert not asks or name.parts[0] == "kernels" or str(name) in MAY_ASK


@pytest.mark.parametrize("name", MAY_ASK)
def test_what_may_ask_does(name):
    assert TELLS_BACKEND_OR_DEVICE.search((PACKAGE / name).read_text())


def test_brings_no_module_but_its_own(run_python, backend):
    program = (
        "import sys, keras\nbefore = set(sys.modules)\nimport keras_convnext\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    new = set(run_python(program, backend).split())
    assert new - set(sys.stdlib_module_names) - {"keras", "numpy", "h5py", backend} == {"keras_convnext"}
