"""The code of README and docs runs as it stands there: Python, and commands with the output that is printed there.

On torch it runs every time; on the other backends it is a slow test.
"""

import ast
import contextlib
import doctest
import importlib
import io
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_convnext
from keras_convnext import ConvNeXtClassifier, layers, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, cached_path
from keras_convnext.cli import main
from keras_convnext.startup import COMMANDS, command_parser

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
}
PUBLISHED = "convnext_tiny_1k_224_ema"
"""The checkpoint that the pages load. Here it has random weights, and is in Keras's cache."""

MEASURED = ("train", "evaluate", "predict", "export")
"""Commands whose output depends on the backend and the machine."""

FIGURES = r"\d+\.\d+(e-\d+)?|\d+(?= s[;.])|(?<=written with )\w+"
"""What of their output may differ: accuracies, differences, seconds, and the name of the backend."""

MISSING_LINES = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks_of(language):
    """Each page that has fenced blocks of a language, with their contents."""
    found = {
        name: re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE) for name, text in PAGES.items()
    }
    return {name: blocks for name, blocks in sorted(found.items()) if blocks}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / f"{PUBLISHED}.pth"
    save_checkpoint(ConvNeXtClassifier.from_preset("convnext_tiny"), path)
    return path


@pytest.fixture
def folder(published, tmp_path, monkeypatch):
    """The current folder: it has a photograph, a folder of classes, and its own cache with the published checkpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    target = cached_path(CHECKPOINTS[PUBLISHED])
    target.parent.mkdir(parents=True)
    shutil.copy(published, target)
    Image.fromarray(np.zeros((300, 400, 3), "uint8")).save("photo.jpg")
    shutil.copy(ROOT / "examples/three.png", "three.png")
    for part, count in (("train", 6), ("val", 2)):
        for name in ("cat", "dog"):
            place = tmp_path / "pictures" / part / name
            place.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (40, 30), (20 * number, 100, 50)).save(place / f"{number}.jpg")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.filterwarnings("ignore:.*1000 classes and the model 10", "ignore:.*5 classes and the model 3")
@pytest.mark.parametrize("page", blocks_of("python"))
def test_python_runs(page):
    """A page's blocks run from top to bottom, and each imports what it uses: a reader may copy it alone."""
    namespace = {}
    for block in blocks_of("python")[page]:
        exec(block, namespace)
        for name in imported_by(block):
            namespace.pop(name, None)


def imported_by(block):
    """The names that a block imports."""
    imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", blocks_of("console"))
def test_commands_print_what_the_page_shows(page):
    """As in doctests, `...` stands for any text. Figures that were measured may differ."""
    for block in blocks_of("console")[page]:
        command, _, expected = block.removeprefix("$ ").partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "keras-convnext"
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main(arguments) == 0, command
        lines = "".join(line.rpartition("\r")[2] for line in printed.getvalue().splitlines(keepends=True))
        if arguments[0] in MEASURED:
            expected, lines = (re.sub(FIGURES, "0", text) for text in (expected, lines))
        assert doctest.OutputChecker().check_output(expected, lines, MISSING_LINES), f"{command}\n{lines}"


@pytest.mark.parametrize("page", blocks_of("shell"))
def test_command_lines_are_valid(page):
    """Those that are only shown, since they take long or need data: the parser accepts their options."""
    for line in "".join(blocks_of("shell")[page]).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "keras-convnext" not in words[:1]:
            continue
        parser, parsers = command_parser()
        command = importlib.import_module(f"keras_convnext.cli.{words[1]}")
        command.add_arguments(parsers[words[1]])
        parser.parse_args(words[1:])


def test_every_command_has_its_section():
    assert set(re.findall(r"^## (.*)", PAGES["docs/command-line.md"], re.MULTILINE)) == set(COMMANDS)


def test_the_reference_has_every_public_name():
    """What `import keras_convnext` offers, and the layers: each has its entry."""
    documented = set(re.findall(r"^::: (\S+)", "\n".join(PAGES.values()), re.MULTILINE))
    entries = {name.rpartition(".")[2] for name in documented}
    public = {name for room in (keras_convnext, layers) for name in room.__all__ if callable(getattr(room, name))}
    assert public - entries == set()
    for name in documented:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
