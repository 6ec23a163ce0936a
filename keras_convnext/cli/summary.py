"""Prints a model's stages: output shape, parameters, multiply-accumulates (MACs) and activation memory of each.

For the name of published weights, the architecture is shown with the checkpoint's number of classes and image size;
nothing is downloaded. Activation memory is the size of all layer outputs for one image in float32.

Examples:

    keras-convnext summary convnext_tiny
    keras-convnext summary convnext_atto --size 64 --stem 2 --classes 10
"""

import json

from keras_convnext.cli.arguments import not_negative, positive
from keras_convnext.cli.source import load
from keras_convnext.models import ConvNeXtClassifier, find_model, variant_of
from keras_convnext.models.image_input import image_axes, is_channels_first
from keras_convnext.profiling import profile
from keras_convnext.variants import get_variant

HELP = "a name that `keras-convnext list` prints, a file of weights, or a run folder"

COUNTS = ("params", "macs", "activation_bytes")

IMAGE_SIZE = 224
"""Side of the images in pixels, for a file that neither fixes it nor tells the variant."""


def add_arguments(parser):
    parser.add_argument("model", metavar="NAME_OR_RUN", help=HELP)
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    parser.add_argument("--channels", type=positive, help="number of image channels (default: 3)")
    parser.add_argument(
        "--classes",
        type=not_negative,
        help="number of classes; 0 for no classifier layer (default: the checkpoint's, or 1000)",
    )
    parser.add_argument("--stem", type=positive, help="stride of the stem (default: the variant's)")
    parser.add_argument(
        "--elementwise",
        action="store_true",
        help="also count norms, activations and pooling: one MAC per output value",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    named = find_model(args.model)
    if named.path is None:
        model, size = _of_preset(args, named), None
    else:
        model, size = _of_file(args, named.path)
    variant = named.variant or variant_of(model)
    shape = tuple(side or size for side in model.input_shape[1:])
    result = profile(model, shape, elementwise=args.elementwise)  # refuses sizes that the model does not take
    return lambda: _print(args, variant, shape, result)


def _of_preset(args, named):
    size = args.size or (named.checkpoint or get_variant(named.variant)).image_size
    changes = {} if args.stem is None else {"stem_patch_size": args.stem}
    return ConvNeXtClassifier.from_preset(
        args.model,
        num_classes=args.classes,
        load_weights=False,
        input_shape=(size, size, args.channels or 3),
        data_format="channels_last",
        **changes,
    )


def _of_file(args, path):
    """The model of a file, made trainable so that all parameters count, and the image size where it fixes none."""
    given = [name for name in ("channels", "classes", "stem") if getattr(args, name) is not None]
    if given:
        raise ValueError(f"--{given[0]} applies to names; the model in {path} already has its architecture.")
    model, _, variant, _ = load(path)
    sides = image_axes(model.input_shape[1:], is_channels_first(model))[:2]
    if args.size and None not in sides and sides != (args.size, args.size):
        raise ValueError(f"--size {args.size}: the model takes images of {sides[0]} x {sides[1]} pixels.")
    for trainable in (False, True):  # a model that is trainable already ignores True
        model.trainable = trainable
    return model, args.size or (get_variant(variant).image_size if variant else IMAGE_SIZE)


def _print(args, variant, shape, result):
    stages = {}
    for row in result.rows:
        part = row.path.split("/")[0]
        name = "_".join(part.split("_")[:2]) if part.startswith("stage_") else part.partition("_")[0]
        if any(getattr(row, count) for count in COUNTS):
            stage = stages.setdefault(name, {"name": name, **dict.fromkeys(COUNTS, 0)})
            for count in COUNTS:
                stage[count] += getattr(row, count)
            stage["output_shape"] = list(row.output_shape)
    if args.json:
        facts = {"name": args.model, "variant": variant, "input_shape": list(shape), "stages": list(stages.values())}
        print(json.dumps({**facts, **{count: getattr(result, count) for count in COUNTS}}, indent=2))
        return
    of_variant = f" ({variant})" if variant not in (None, args.model) else ""
    print(f"{args.model}{of_variant}, images {' x '.join(map(str, shape))}\n")
    total = {"name": "total", "output_shape": (), **{count: getattr(result, count) for count in COUNTS}}
    print(f"{'stage':13} {'output shape':15} {'parameters':>14} {'MACs':>18} {'activations, MiB':>17}")
    for stage in [*stages.values(), total]:
        shape = " x ".join(map(str, stage["output_shape"]))
        memory = stage["activation_bytes"] / 2**20
        print(f"{stage['name']:13} {shape:15} {stage['params']:14,} {stage['macs']:18,} {memory:17,.2f}")
