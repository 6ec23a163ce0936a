"""What commands share: options in the place of arguments in messages."""

import importlib
import re
import shlex
from argparse import Namespace

import pytest

from keras_convnext.cli.arguments import OPTIONS, in_options
from keras_convnext.startup import COMMANDS, command_parser


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`learning_rate` must be positive.", "--lr must be positive."),
        ("Leave them out with `skip_unreadable=True`.", "Leave them out with --skip-unreadable."),
        ("Take `epochs=3`.", "Take --epochs 3."),
        ("Take `output='runs'`.", "Take --output runs."),
        ("Choose another `output`.", "Choose another --output."),
        ("`warmup_epochs` and `stem` are no options here.", "`warmup_epochs` and `stem` are no options here."),
        ("Received: epochs=3", "Received: epochs=3"),
    ],
)
def test_names_options_that_the_command_has(message, expected):
    args = Namespace(epochs=None, learning_rate=None, skip_unreadable=False, output=None)
    assert in_options(message, args) == expected


def test_with_a_file_of_settings_it_names_options_that_were_given():
    args = Namespace(epochs=3, learning_rate=None, settings="settings.json")
    assert in_options("`epochs` and `learning_rate`", args) == "--epochs and `learning_rate`"


@pytest.mark.parametrize("command", ["train", "evaluate", "convert", "augment", "summary", "predict"])
def test_each_option_is_one_that_the_command_prints(command, capsys):
    """And each option that has its argument's name is in the table."""
    module = __import__(f"keras_convnext.cli.{command}", fromlist=["add_arguments"])
    parser = command_parser()[1][command]
    module.add_arguments(parser)
    for action in parser._actions:
        if action.dest in OPTIONS and action.option_strings:
            assert OPTIONS[action.dest] in action.option_strings


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_that_parse(command):
    """Of the command and of its subcommands."""
    module = importlib.import_module(f"keras_convnext.cli.{command}")
    for shown in [module, *getattr(module, "SUBCOMMANDS", {}).values()]:
        examples = re.findall(r"^    (keras-convnext .*)", shown.__doc__, re.MULTILINE)
        assert examples, shown.__name__
        for example in examples:
            parser, parsers = command_parser()
            module.add_arguments(parsers[command])
            assert parser.parse_args(shlex.split(example)[1:]).command == command
