"""The path from ResNet to ConvNeXt: its steps, its blocks, and training it in miniature.

Each subcommand has its own options: see `keras-convnext roadmap SUBCOMMAND --help`.

Example:

    keras-convnext roadmap steps
"""

from keras_convnext.cli.roadmap import blocks, resume, steps, train

SUBCOMMANDS = {"steps": steps, "blocks": blocks, "train": train, "resume": resume}


def add_arguments(parser):
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for name, subcommand in SUBCOMMANDS.items():
        first_line = subcommand.__doc__.partition("\n")[0]
        subcommand.add_arguments(subparsers.add_parser(name, help=first_line, description=subcommand.__doc__))


def prepare(args):
    return SUBCOMMANDS[args.subcommand].prepare(args)
