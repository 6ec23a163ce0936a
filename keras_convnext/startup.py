"""The command `keras-convnext` while it starts: what ends it takes one line, and no traceback.

Keras and its backend are imported with this package, for seconds, before `cli.main` could catch anything.
"""

import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

REFUSED = 2


def is_command():
    """Whether this process is `keras-convnext` or `python -m keras_convnext`, and not one that imports the package."""
    argv = getattr(sys, "argv", [])
    if argv[:1] == ["-m"]:  # so it is while the interpreter looks for the module
        return any(argument in ("keras_convnext", "-mkeras_convnext") for argument in sys.orig_argv)
    return bool(argv) and Path(argv[0]).stem in ("keras-convnext", "keras-convnext-script")


def keep_interrupts():
    """Has Ctrl-C end the command at once, until `give_interrupts_back`; in any other process this does nothing.

    A `KeyboardInterrupt` amid an import can be swallowed there, or come out as another error. Nothing is lost by ending
    here: a command that still starts has written nothing.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if is_command() and in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def give_interrupts_back():
    """Has Ctrl-C raise `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def in_one_line():
    """Ends the command with one line and exit code 2 where Keras cannot be imported; elsewhere the error goes on."""
    try:
        yield
    except (ImportError, ValueError) as error:
        if not is_command():
            raise
        print(f"keras-convnext: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        sys.exit(REFUSED)


def _end(number, frame):
    os.write(2, b"\nkeras-convnext: interrupted.\n")  # print is not safe here
    os._exit(INTERRUPTED)
