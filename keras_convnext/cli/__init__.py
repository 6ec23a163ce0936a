"""The command line: `keras-convnext COMMAND`, one file a command.

A command's file has `add_arguments(parser)` and `prepare(args)`. `prepare` checks everything that was given and returns
the work, a function without arguments; what it refuses becomes one line and exit code 2, before any work is done.
"""

import argparse
import sys

from keras_convnext.cli import augment, benchmark, convert, evaluate, predict, roadmap, summary, train
from keras_convnext.cli import list as list_command
from keras_convnext.startup import INTERRUPTED, give_interrupts_back

COMMANDS = {
    "list": list_command,
    "summary": summary,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "convert": convert,
    "augment": augment,
    "benchmark": benchmark,
    "roadmap": roadmap,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, without the usage before it."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv=None):
    """Runs one command and returns its exit code: 0, 2 for bad input, 130 when interrupted.

    Args:
        argv: list of str. Defaults to the process's arguments.
    """
    give_interrupts_back()
    parser = _Parser(prog="keras-convnext", description="ConvNeXt for Keras 3.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary_line = command.__doc__.partition("\n")[0]
        subparser = subparsers.add_parser(name, help=summary_line, description=command.__doc__)
        command.add_arguments(subparser)
    args = parser.parse_args(argv)
    try:
        return _run(args)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(args):
    try:
        work = COMMANDS[args.command].prepare(args)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"keras-convnext {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return work() or 0
