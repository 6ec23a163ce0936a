"""Lists the presets: names that `from_preset` takes. First architectures, then published weights.

`summary` and `train --variant` take the architectures' names; `predict`, `evaluate` and `convert` those of weights.
"""

import json
from dataclasses import asdict

from keras_convnext.checkpoints import CHECKPOINTS, cached_path, list_presets
from keras_convnext.variants import VARIANTS


def add_arguments(parser):
    parser.add_argument("pattern", nargs="?", default="*", help="shell-style, such as 'convnextv2_*' (default: all)")
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
        {"name": name, **row.backbone_arguments(), **row.head_arguments(), "source": row.source}
        for name, row in variants.items()
    ]
    facts += [
        {"name": name, **asdict(entry), "cached_path": str(cached_path(entry))} for name, entry in checkpoints.items()
    ]
    print(json.dumps(facts, indent=2))


def _print(variants, checkpoints):
    if variants:
        print(f"{'architecture':26} {'depths':14} {'dims':22} source")
    for name, row in variants.items():
        depths, dims = ("-".join(map(str, numbers)) for numbers in (row.depths, row.dims))
        print(f"{name:26} {depths:14} {dims:22} {row.source}")
    if variants and checkpoints:
        print()
    if checkpoints:
        width = max(map(len, checkpoints))
        print(f"{'weights':{width}} {'pixels':>6} {'classes':>7} {'top-1':>6} {'top-5':>6} licence of the weights")
    for name, entry in checkpoints.items():
        top1, top5 = ("" if score is None else f"{score:.2f}" for score in (entry.top1, entry.top5))
        print(f"{name:{width}} {entry.image_size:6} {entry.num_classes:7} {top1:>6} {top5:>6} {entry.license}")
