"""The command line: `keras-convnext COMMAND`, one file per command; a command with subcommands is a package.

A command's file has `add_arguments(parser)` and `prepare(args)`, and is imported when its command is called. `prepare`
checks everything that was given and returns the work, a function without arguments. Bad input ends the command with one
line and exit code 2, before any work is done. A failure during the work, such as a full disk or too little memory, ends
it with one line and exit code 1.
"""

import functools
import importlib
import os
import sys
import warnings

from keras_convnext.cli.arguments import CLOSED_PIPE, BackendError, in_options
from keras_convnext.startup import COMMANDS as COMMANDS
from keras_convnext.startup import INTERRUPTED, command_parser, is_command, restore_interrupts


def main(argv=None):
    """Runs one command and returns its exit code.

    The code is 0 for success, 1 if the work failed, 2 for bad input, 130 after Ctrl-C, and 141 if the program that
    reads the output has ended.

    Args:
        argv: list of str. Defaults to the process's arguments.
    """
    restore_interrupts()
    _print_any_name()
    if is_command():
        warnings.showwarning = _show_in_a_line
        # keras-cv's detectors name their input, and are given it without its name
        warnings.filterwarnings("ignore", "The structure of `inputs` doesn't match", UserWarning)
    try:
        try:
            return _parse_and_run(sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            if sys.stdout:  # None where the shell closed it
                sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        return CLOSED_PIPE
    except OSError as error:  # of the flush: a full disk
        _close_stdout()
        print(f"keras-convnext: {error}", file=sys.stderr)
        return 1


def _print_any_name():
    """Makes stdout print file names that are not UTF-8 as they are, and characters that it lacks as escapes."""
    if hasattr(sys.stdout, "reconfigure") and sys.stdout.errors == "strict":
        is_unicode = sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if is_unicode else "backslashreplace")


def _show_in_a_line(message, category, filename, lineno, file=None, line=None):
    """Prints a warning in one line, without the code that raised it, and only once."""
    _print_once(f"keras-convnext: warning: {' '.join(str(message).split())}")


@functools.cache
def _print_once(line):
    print(line, file=sys.stderr)


def _close_stdout():
    """Discards what is not printed yet. Python would try to print it at its end, and fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse_and_run(argv):
    parser, parsers = command_parser()
    name = next((word for word in argv if word in COMMANDS), None)
    if name is not None:
        command = importlib.import_module(f"keras_convnext.cli.{name}")
        parsers[name].description = command.__doc__
        command.add_arguments(parsers[name])
    args = parser.parse_args(argv)
    try:
        work = command.prepare(args)
    except BrokenPipeError:
        raise
    except (ValueError, OSError, MemoryError, ModuleNotFoundError) as error:
        return _failed(args, error, 2)
    except BackendError as error:
        return _failed(args, error, 1)
    try:
        return work() or 0
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, BackendError) as error:
        return _failed(args, error, 1)


def _failed(args, error, code):
    message = "not enough memory" if isinstance(error, MemoryError) else " ".join(str(error).split())
    print(f"keras-convnext {args.command}: {in_options(message, args)}", file=sys.stderr)
    return code
