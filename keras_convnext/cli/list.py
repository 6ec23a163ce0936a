"""Lists the presets, the names that `from_preset` accepts: first variants, then published checkpoints.

A variant is an architecture, randomly initialized. Parameters and multiply-accumulates (MACs, of convolutions and
linear layers, in units of 10^9) are for RGB images of the given side in pixels, and for variants with 1000 classes. MB
is the size of the weights in float32; a file may be a little larger. `summary` accepts all names, `train --variant`
those of variants, and `train --checkpoint`, `predict`, `evaluate` and `convert` those of checkpoints.

Examples:

    keras-convnext list
    keras-convnext list 'convnextv2_*'
"""

import json
from dataclasses import asdict

from keras_convnext.checkpoints import CHECKPOINTS, cached_path, list_presets
from keras_convnext.profiling import count
from keras_convnext.variants import VARIANTS

COUNTS = f"{'parameters':>10} {'GMACs':>6} {'MB':>6}"


def add_arguments(parser):
    parser.add_argument(
        "pattern", nargs="?", default="*", help="a part of the name, or a pattern: 'convnextv2_*' (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    names = list_presets(args.pattern)
    if not names:
        raise ValueError(f"no preset matches {args.pattern!r}; without a pattern all are listed.")
    variants = {name: VARIANTS[name] for name in names if name in VARIANTS}
    checkpoints = {name: CHECKPOINTS[name] for name in names if name in CHECKPOINTS}
    return lambda: _print_json(variants, checkpoints) if args.json else _print(variants, checkpoints)


def _print_json(variants, checkpoints):
    facts = [
        {
            "name": name,
            **row.backbone_arguments(),
            **row.head_arguments(),
            "source": row.source,
            "image_size": row.image_size,
            **_counts(count(row)),
        }
        for name, row in variants.items()
    ]
    facts += [
        {
            "name": name,
            **asdict(entry),
            "output": entry.output,
            **_counts(_count_of(entry)),
            "cached_path": str(cached_path(entry)),
        }
        for name, entry in checkpoints.items()
    ]
    print(json.dumps(facts, indent=2))


def _print(variants, checkpoints):
    if variants:
        print(f"{'variant':26} {'depths':14} {'dims':22} {'pixels':>6} {COUNTS} source")
    for name, row in variants.items():
        depths, dims = ("-".join(map(str, numbers)) for numbers in (row.depths, row.dims))
        print(f"{name:26} {depths:14} {dims:22} {row.image_size:6} {_columns(count(row))} {row.source}")
    if variants and checkpoints:
        print()
    if checkpoints:
        width = max(map(len, checkpoints))
        scores = f"{'top-1':>6} {'top-5':>6}"
        print(f"{'checkpoint':{width}} {'output':19} {'pixels':>6} {COUNTS} {scores} licence of the weights")
    for name, entry in checkpoints.items():
        top1, top5 = ("" if score is None else f"{score:.2f}" for score in (entry.top1, entry.top5))
        print(
            f"{name:{width}} {_output(entry):19} {entry.image_size:6} {_columns(_count_of(entry))} "
            f"{top1:>6} {top5:>6} {entry.license}"
        )


def _output(entry):
    """The output of a checkpoint's model, in words."""
    if entry.output == "classes":
        return f"{entry.num_classes} classes"
    if entry.output == "embedding":
        return f"embedding of {entry.num_classes}"
    if entry.output == "features":
        return f"features of {VARIANTS[entry.variant].dims[-1]}"
    if entry.is_segmenter:
        return f"label map of {entry.num_classes}"
    return entry.output


def _count_of(entry):
    """The counts of a checkpoint's model; None for a segmentation model, whose heads are not counted here."""
    return None if entry.is_segmenter else count(VARIANTS[entry.variant], entry.num_classes, entry.image_size)


def _counts(counted):
    if counted is None:
        return {"params": None, "macs": None, "megabytes": None}
    return {"params": counted.params, "macs": counted.macs, "megabytes": round(counted.megabytes, 1)}


def _columns(counted):
    if counted is None:
        return " " * len(COUNTS)
    gmacs = counted.macs / 1e9
    return f"{counted.params / 1e6:8.2f} M {gmacs:6.{2 if gmacs >= 0.01 else 4}f} {counted.megabytes:6.0f}"
