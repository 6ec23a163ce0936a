"""Converts a checkpoint into the layout of another package, or into a whole Keras model.

The layout and the variant of the source are recognized from the content of the file.

Examples:

    keras-convnext convert convnext_tiny_1k_224_ema convnext_tiny.keras
    keras-convnext convert runs/folder-convnext_atto-1 timm.safetensors --layout timm
"""

from pathlib import Path

from keras_convnext.checkpoints import WRITTEN, check_target, check_target_path, save_checkpoint
from keras_convnext.cli.arguments import check_new_file
from keras_convnext.cli.source import load


def add_arguments(parser):
    parser.add_argument(
        "source",
        help="a .pth, .safetensors, .keras or keras.applications .h5 file, a run folder, or the name of a checkpoint",
    )
    parser.add_argument("target", help="a new file: .keras, .pth, .safetensors or .h5")
    parser.add_argument(
        "--layout", choices=WRITTEN, help="layout to write (default: official; for .h5 keras.applications)"
    )
    parser.add_argument("--variant", help="a name that `keras-convnext list` prints (default: recognized)")
    parser.add_argument("--ema", action="store_true", help="convert the moving average in a training script's file")


def prepare(args):
    target = Path(args.target)
    layout = args.layout or ("keras.applications" if target.suffix == ".h5" else "official")
    check_new_file(args.target)
    if target.suffix == ".keras" and args.layout:
        raise ValueError(f"--layout {args.layout}: a .keras file has the layout of Keras.")
    if target.suffix != ".keras":
        check_target_path(target, layout)
    model, found = _load(args.source, args.variant, args.ema)
    if target.suffix != ".keras":
        check_target(model, target, layout)
    return lambda: _convert(model, target, layout, f"{args.source}: {found} -> {target}")


def _load(source, variant, ema):
    """The model in a file or of a published checkpoint, and a line about it."""
    model, layout, variant, _ = load(source, variant, ema)
    license = getattr(getattr(model, "backbone", model), "license", None)
    facts = [layout, variant, f"{getattr(model, 'num_classes', 0) or 'no'} classes", license]
    return model, ", ".join(filter(None, facts))


def _convert(model, target, layout, line):
    if target.suffix == ".keras":
        model.save(target)
    else:
        save_checkpoint(model, target, layout)
    print(line)
