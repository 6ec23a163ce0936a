"""Writes the images of a folder into shards, which `train --data` takes, or checks shards.

A few hundred archives take the place of millions of files, and load in seconds: each image is read once to check it
while they are written, and not before each training. An interrupted command continues when it is called again.
With --check it reads shards whole, and names those that are corrupt.

Examples:

    keras-convnext shard folder shards
    keras-convnext shard imagenet /data/imagenet-shards --skip-unreadable
    keras-convnext shard --check shards
"""

import sys
from pathlib import Path

from keras_convnext.cli.arguments import INTERRUPTED, not_negative, positive
from keras_convnext.data.check_shards import check_shards
from keras_convnext.data.shard_plan import SHARD_BYTES, plan_shards
from keras_convnext.data.shards import complete_description, load_shards
from keras_convnext.data.write_shards import write_plan

MIB = 2**20


def add_arguments(parser):
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="a folder with a sub-folder per class, or with train, val and test; or Kaggle's ImageNet as it unpacks",
    )
    parser.add_argument("output", nargs="?", metavar="OUT", help="new folder for the shards")
    parser.add_argument(
        "--shard-size",
        type=positive,
        metavar="MIB",
        help=f"about how many MiB a shard has (default: {SHARD_BYTES // MIB})",
    )
    parser.add_argument(
        "--seed", type=not_negative, help="seed by which the images are shuffled over the shards (default: 0)"
    )
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave out image files that cannot be read, and list them"
    )
    parser.add_argument("--check", metavar="OUT", help="read the shards in this folder and name the corrupt ones")


def prepare(args):
    if args.check is not None:
        given = [
            *(["FOLDER"] if args.folder is not None else []),
            *(
                f"--{name.replace('_', '-')}"
                for name in ("shard_size", "seed", "skip_unreadable")
                if _is_given(args, name)
            ),
        ]
        if given:
            raise ValueError(f"{given[0]}: not with --check, which takes a folder of shards alone.")
        complete_description(Path(args.check))
        return lambda: _check(args.check)
    if args.output is None:
        raise ValueError("expected FOLDER and OUT: the folder of images, and a new folder for the shards.")
    plan = plan_shards(args.folder, args.output, (args.shard_size or SHARD_BYTES // MIB) * MIB, args.seed or 0)
    return lambda: _write(plan, args.skip_unreadable)


def _is_given(args, name):
    value = getattr(args, name)
    return value is not None and value is not False


def _write(plan, skip_unreadable):
    kept, count = len(plan.complete()), len(plan.all_shards)
    try:
        write_plan(plan, skip_unreadable)
    except KeyboardInterrupt:
        print(f"\n{plan.what_is_left()}", file=sys.stderr)
        return INTERRUPTED
    data = load_shards(plan.output)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    images = ", ".join(f"{len(images):,} {part}" for part, images in parts.items() if images is not None)
    size = sum(shard.bytes for shard in plan.all_shards)
    skipped = f"; {len(data.skipped)} unreadable skipped, which shards.json lists" if data.skipped else ""
    print(
        f"{plan.output}: {images} images of {len(data.class_names):,} classes in {count:,} "
        f"shard{'s' if count > 1 else ''}, {size / MIB:,.1f} MiB{skipped}"
    )
    if kept:
        print(f"{kept} of them {'were' if kept > 1 else 'was'} complete, and not read again; --check reads them")
    return 0


def _check(folder):
    problems = check_shards(folder)
    for problem in problems:
        print(f"keras-convnext shard: {folder}: {problem}", file=sys.stderr)
    if problems:
        print(
            "Remove these files, as far as they are there, and call `keras-convnext shard FOLDER OUT` again as before: "
            "it writes them again.",
            file=sys.stderr,
        )
        return 1
    print(f"{folder}: all shards are whole")
    return 0
