"""Converts a checkpoint of one package into another's, or into a whole Keras model.

Which package names the weights and which variant it is, is seen from what is in the file.
"""

from pathlib import Path

from keras_convnext.checkpoints import WRITTEN, check_target, identify, load_checkpoint, read_arrays, save_checkpoint
from keras_convnext.models import ConvNeXtClassifier, load_classifier


def add_arguments(parser):
    parser.add_argument("source", help=".pth, .safetensors, .h5 of keras.applications, or .keras")
    parser.add_argument("target", help="a new file: .keras, .pth, .safetensors or .h5")
    parser.add_argument("--layout", choices=WRITTEN, help="whose names (default: official; of .h5: keras.applications)")
    parser.add_argument("--variant", help="a name that `keras-convnext list` prints (default: as it is found)")


def prepare(args):
    target = Path(args.target)
    layout = args.layout or ("keras.applications" if target.suffix == ".h5" else "official")
    if target.exists():
        raise ValueError(f"{target}: there is such a file. Give a new name, or move it away.")
    if not target.parent.is_dir():
        raise ValueError(f"{target.parent}: no such folder.")
    if target.suffix == ".keras" and args.layout:
        raise ValueError(f"--layout {args.layout}: a .keras file has names of its own.")
    model, found = _load(args.source, args.variant)
    if target.suffix != ".keras":
        check_target(model, target, layout)
    return lambda: _convert(model, target, layout, f"{args.source}: {found} -> {target}")


def _load(source, variant):
    """The model in a file, and a line about it."""
    if Path(source).suffix == ".keras":
        if variant:
            raise ValueError(f"--variant {variant}: a .keras file is of a model already.")
        model = load_classifier(source)
        return model, f"keras_convnext, {model.num_classes} classes"
    arrays = read_arrays(source)
    try:
        found, classes = identify(arrays)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    model = ConvNeXtClassifier.from_preset(variant or found, num_classes=classes or 0)
    model = model.backbone if classes is None else model
    return model, f"{load_checkpoint(model, source)}, {variant or found}, {classes or 'no'} classes"


def _convert(model, target, layout, line):
    if target.suffix == ".keras":
        model.save(target)
    else:
        save_checkpoint(model, target, layout)
    print(line)
