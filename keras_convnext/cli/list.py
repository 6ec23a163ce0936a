"""Lists the presets: names that `summary`, `train --variant` and `from_preset` take."""

import json

from keras_convnext.variants import VARIANTS, list_presets


def add_arguments(parser):
    parser.add_argument("pattern", nargs="?", default="*", help="shell-style, such as 'convnextv2_*' (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    names = list_presets(args.pattern)
    if not names:
        raise ValueError(f"no preset matches {args.pattern!r}; without a pattern all are listed.")
    return lambda: _print(names, args.json)


def _print(names, as_json):
    rows = {name: VARIANTS[name] for name in names}
    if as_json:
        facts = [
            {"name": name, **row.backbone_arguments(), **row.head_arguments(), "source": row.source}
            for name, row in rows.items()
        ]
        print(json.dumps(facts, indent=2))
        return
    print(f"{'name':26} {'depths':14} {'dims':22} source")
    for name, row in rows.items():
        depths, dims = ("-".join(map(str, numbers)) for numbers in (row.depths, row.dims))
        print(f"{name:26} {depths:14} {dims:22} {row.source}")
