"""The start of the command `keras-convnext`: the names of its commands, and what it does before Keras is imported.

Importing this package imports Keras and its backend, which takes seconds, before `cli.main` can run. Therefore
`--help`, `--version` and a wrong command are answered first, Ctrl-C and an import that fails print one line and no
traceback, and the backend's log lines are hidden. None of this happens in a process that imports the package as a
library.
"""

import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from keras_convnext.extras import BACKENDS, chosen_backend, is_installed
from keras_convnext.log_lines import keep_log_lines_away
from keras_convnext.parser import Parser
from keras_convnext.version import __version__

INTERRUPTED = 130
"""The exit code after Ctrl-C, as in shells."""

REFUSED = 2

MODULE = Path(__file__).with_name("__main__.py")

COMMANDS = {
    "list": "Lists the presets, the names that `from_preset` accepts: first variants, then published checkpoints.",
    "summary": "Prints a model's stages: output shape, parameters, multiply-accumulates (MACs) and activation memory "
    "of each.",
    "shard": "Writes the images of a folder into shards, which `train --data` takes, or checks shards.",
    "train": "Trains a ConvNeXt on images: the bundled digits, an .npz file, a folder with a sub-folder per class, or "
    "tfds:NAME.",
    "evaluate": "Scores a model on labelled images: accuracy, top-5 accuracy, and the accuracy of each class.",
    "predict": "Prints what a model sees in images: the most likely classes, the objects, or the share of each class.",
    "convert": "Converts a checkpoint into the layout of another package, or into a whole Keras model.",
    "export": "Exports a model to ONNX, LiteRT, OpenVINO, SavedModel or .pt2, and checks the file in its runtime.",
    "augment": "Draws a grid of augmented images, or times the augmentation against timm's or as keras-cv layers.",
    "benchmark": "Times this package's models against those of other packages: in turn, each in a separate process.",
    "roadmap": "The path from ResNet to ConvNeXt: its steps, its blocks, and training it in miniature.",
}
"""The first line of the docstring of each command's file in `cli/`, repeated here so that `--help` imports none."""


def command_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the command line, and one for each command, which has no arguments yet."""
    parser = Parser(prog="keras-convnext", description="ConvNeXt for Keras 3.")
    parser.add_argument("--version", action="version", version=f"keras-convnext {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    return parser, {name: commands.add_parser(name, help=line) for name, line in COMMANDS.items()}


def is_command():
    """Whether this process is `keras-convnext` or `python -m keras_convnext`, and not one that imports the package."""
    argv = getattr(sys, "argv", [])
    if argv[:1] == ["-m"]:  # so it is while the interpreter looks for the module
        return any(argument in ("keras_convnext", "-mkeras_convnext") for argument in sys.orig_argv)
    if not argv:
        return False
    return Path(argv[0]).stem in ("keras-convnext", "keras-convnext-script") or Path(argv[0]) == MODULE


def start_command():
    """In the command's process, does what comes before the import of Keras. In any other process it does nothing.

    `--help`, `--version` and a wrong command end the process here.
    """
    if not is_command():
        return
    exit_on_interrupt()
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        keep_log_lines_away()
        _take_an_installed_backend()
    else:
        command_parser()[0].parse_args(sys.argv[1:])


def exit_on_interrupt():
    """Makes Ctrl-C end the command at once, until `restore_interrupts`. In any other process it does nothing.

    A `KeyboardInterrupt` during an import can be swallowed there, or turn into another error. Nothing is lost by ending
    here: a command that is still starting has written nothing.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if is_command() and in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def restore_interrupts():
    """Makes Ctrl-C raise `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def in_one_line():
    """Ends the command with one line and exit code 2 if Keras cannot be imported. Other processes get the error."""
    try:
        yield
    except (ImportError, ValueError) as error:
        if not is_command():
            raise
        print(f"keras-convnext: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        sys.exit(REFUSED)


def _take_an_installed_backend():
    """If no backend was chosen and Keras's default is not installed, takes one that is installed, and says so."""
    if chosen_backend() is not None or is_installed("tensorflow"):
        return
    found = next((name for name in BACKENDS if is_installed(name)), None)
    if found:
        os.environ["KERAS_BACKEND"] = found
        print(
            f"keras-convnext: TensorFlow is not installed: using {found}. KERAS_BACKEND chooses another.",
            file=sys.stderr,
        )


def _end(number, frame):
    os.write(2, b"\nkeras-convnext: interrupted.\n")  # print is not safe here
    os._exit(INTERRUPTED)
