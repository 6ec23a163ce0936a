"""Prints a variant's stages: output shape, parameters, multiply-accumulates (MACs) and activation memory of each.

Memory is what the outputs of all layers take for one image in float32.
"""

import json

from keras_convnext.cli.arguments import positive
from keras_convnext.models import ConvNeXtClassifier
from keras_convnext.profiling import profile
from keras_convnext.variants import get_variant

COUNTS = ("params", "macs", "activation_bytes")


def add_arguments(parser):
    parser.add_argument("variant", help="an architecture that `keras-convnext list` prints")
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    parser.add_argument("--channels", type=positive, default=3, help="of the images (default: 3)")
    parser.add_argument("--classes", type=int, default=1000, help="of the head (default: 1000)")
    parser.add_argument("--stem", type=positive, help="stride of the stem (default: the variant's)")
    parser.add_argument(
        "--elementwise",
        action="store_true",
        help="as MACs, count one for each number that norms and pooling give too",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    published = get_variant(args.variant)
    size = args.size or published.image_size
    changes = {} if args.stem is None else {"stem_patch_size": args.stem}
    model = ConvNeXtClassifier.from_preset(
        args.variant,
        num_classes=args.classes,
        input_shape=(size, size, args.channels),
        data_format="channels_last",
        **changes,
    )
    return lambda: _print(args.variant, model, profile(model, elementwise=args.elementwise), args.json)


def _print(variant, model, result, as_json):
    stages = {}
    for row in result.rows:
        part = row.path.split("/")[0]
        name = "_".join(part.split("_")[:2]) if part.startswith("stage_") else part.partition("_")[0]
        if any(getattr(row, count) for count in COUNTS):
            stage = stages.setdefault(name, {"name": name, **dict.fromkeys(COUNTS, 0)})
            for count in COUNTS:
                stage[count] += getattr(row, count)
            stage["output_shape"] = list(row.output_shape)
    if as_json:
        facts = {"variant": variant, "input_shape": list(model.input_shape[1:]), "stages": list(stages.values())}
        print(json.dumps({**facts, **{count: getattr(result, count) for count in COUNTS}}, indent=2))
        return
    print(f"{variant}, images {' x '.join(map(str, model.input_shape[1:]))}\n")
    total = {"name": "total", "output_shape": (), **{count: getattr(result, count) for count in COUNTS}}
    print(f"{'stage':13} {'output shape':15} {'parameters':>14} {'MACs':>18} {'activations, MiB':>17}")
    for stage in [*stages.values(), total]:
        shape = " x ".join(map(str, stage["output_shape"]))
        memory = stage["activation_bytes"] / 2**20
        print(f"{stage['name']:13} {shape:15} {stage['params']:14,} {stage['macs']:18,} {memory:17,.2f}")
