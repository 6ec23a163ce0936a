"""Prints the blocks of ResNet, Swin Transformer and ConvNeXt, part by part, as in the paper's Figure 4.

The Swin Transformer is keras-hub's, which must be installed: pip install "keras-convnext[hub]"

Example:

    keras-convnext roadmap blocks --output blocks.png
"""

import json
from dataclasses import asdict

from keras_convnext.cli.arguments import check_new_figure
from keras_convnext.extras import require
from keras_convnext.roadmap.blocks import blocks, totals
from keras_convnext.roadmap.blocks_figure import draw_blocks


def add_arguments(parser):
    parser.add_argument("--output", metavar="PICTURE.png", help="draw the blocks side by side into this new file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    if args.output is not None:
        check_new_figure(args.output)
    require("keras_hub", extra="hub")
    return lambda: _show(args.output, args.json)


def _show(output, as_json):
    three = blocks()
    if output is not None:
        draw_blocks(three, output)
    if as_json:
        facts = [{**asdict(block), "params": block.params, "macs": block.macs} for block in three]
        print(json.dumps({"blocks": facts}, indent=2))
        return
    for block in three:
        print(f"{block.name}, {block.channels} channels: {totals(block)}")
        for part in block.parts:
            shape = " x ".join(map(str, part.output_shape))
            print(f"  {part.label:25} {shape:18} {part.macs:12,} MACs {part.params:7,} parameters")
