"""The parser of the command line. Every error is one line, and says where an option belongs.

It imports only the standard library, so that a command line can be refused before Keras is imported.
"""

import argparse
import re
import sys


class _Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a text separately. One with indented lines, such as an example, stays as it is."""

    def _fill_text(self, text, width, indent):
        fill = super()._fill_text
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(
            text if re.search("^ ", text, re.MULTILINE) else fill(text, width, indent) for text in paragraphs
        )


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` for commands and subcommands, with errors of one line.

    An option of another subcommand is refused with the name of the subcommand that has it. An option before the
    subcommand is refused too.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"formatter_class": _Paragraphs} | kwargs)
        self._subcommands = None

    def add_subparsers(self, **kwargs):
        self._subcommands = super().add_subparsers(**kwargs)
        return self._subcommands

    def error(self, message):
        """Prints one line, without the usage, and exits with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")

    def parse_known_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else list(args)
        if self._subcommands:
            self._refuse_option_first(args)
        namespace, left_over = super().parse_known_args(args, namespace)
        if self._subcommands and left_over:
            self._refuse_left_over(getattr(namespace, self._subcommands.dest), left_over)
        return namespace, left_over

    def _refuse_option_first(self, args):
        """Refuses a missing subcommand, and an option before it, whose value argparse would take for the subcommand."""
        option = args[0].partition("=")[0] if args else "nothing"
        if not args or (option.startswith("-") and option not in self._option_string_actions):
            names = ", ".join(self._subcommands.choices)
            self.error(f"expected a {self._subcommands.metavar} first, one of {names}, got {option}")

    def _refuse_left_over(self, name, left_over):
        option = left_over[0].partition("=")[0]
        having = [
            parser.prog for parser in self._subcommands.choices.values() if option in parser._option_string_actions
        ]
        hint = f"; it is an option of {' and '.join(having)}" if having else ""
        self._subcommands.choices[name].error(f"unrecognized arguments: {' '.join(left_over)}{hint}")
