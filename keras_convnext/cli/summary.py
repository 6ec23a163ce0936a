"""Prints a variant's stages: output shape, parameters and multiply-accumulates of each."""

import json

from keras_convnext.cli.arguments import positive
from keras_convnext.models import ConvNeXtClassifier
from keras_convnext.profiling import profile
from keras_convnext.variants import get_variant


def add_arguments(parser):
    parser.add_argument("variant", help="a name that `keras-convnext list` prints")
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    parser.add_argument("--channels", type=positive, default=3, help="of the images (default: 3)")
    parser.add_argument("--classes", type=int, default=1000, help="of the head (default: 1000)")
    parser.add_argument("--stem", type=positive, help="stride of the stem (default: the variant's)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    size = args.size or get_variant(args.variant).image_size
    changes = {} if args.stem is None else {"stem_patch_size": args.stem}
    model = ConvNeXtClassifier.from_preset(
        args.variant, num_classes=args.classes, input_shape=(size, size, args.channels), **changes
    )
    return lambda: _print(args.variant, model, args.json)


def _print(variant, model, as_json):
    result = profile(model)
    stages = {}
    for row in result.rows:
        part = row.path.split("/")[0]
        name = "_".join(part.split("_")[:2]) if part.startswith("stage_") else part.partition("_")[0]
        if row.params:
            stage = stages.setdefault(name, {"name": name, "params": 0, "macs": 0})
            stage["params"] += row.params
            stage["macs"] += row.macs
            stage["output_shape"] = list(row.output_shape)
    if as_json:
        facts = {"variant": variant, "input_shape": list(model.input_shape[1:]), "stages": list(stages.values())}
        print(json.dumps({**facts, "params": result.params, "macs": result.macs}, indent=2))
        return
    print(f"{variant}, images {' x '.join(map(str, model.input_shape[1:]))}\n")
    print(f"{'stage':10} {'output shape':18} {'parameters':>14} {'MACs':>18}")
    for stage in stages.values():
        shape = " x ".join(map(str, stage["output_shape"]))
        print(f"{stage['name']:10} {shape:18} {stage['params']:14,} {stage['macs']:18,}")
    print(f"{'total':10} {'':18} {result.params:14,} {result.macs:18,}")
