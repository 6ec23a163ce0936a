"""Load a checkpoint of any known package into a Keras model, and write that in the layouts of all packages.

    python examples/convert_weights.py CHECKPOINT FOLDER
    python examples/convert_weights.py --smoke

It prints a row for each file: the layout, the number of arrays, and how far the logits are from the model's.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from keras_convnext import ConvNeXtClassifier, load_checkpoint, save_checkpoint
from keras_convnext.checkpoints import WRITTEN, identify, read_arrays


def make_checkpoint(path):
    """Writes a small, randomly initialized checkpoint, for `--smoke`."""
    save_checkpoint(ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", nargs="?", type=Path, help="such as convnext_tiny_1k_224_ema.pth")
    parser.add_argument("folder", nargs="?", type=Path, help="folder for the new files")
    parser.add_argument("--smoke", action="store_true", help="convert a small random checkpoint in a temporary folder")
    args = parser.parse_args()
    if not args.smoke and not (args.checkpoint and args.folder):
        parser.error("a checkpoint and a folder are needed, or --smoke")
    if args.smoke:
        args.folder = Path(tempfile.mkdtemp())
        args.checkpoint = args.folder / "official.pth"
        make_checkpoint(args.checkpoint)
    args.folder.mkdir(parents=True, exist_ok=True)

    variant, classes = identify(read_arrays(args.checkpoint))
    model = ConvNeXtClassifier.from_preset(variant, num_classes=classes or 0, data_format="channels_last")
    layout = load_checkpoint(model, args.checkpoint)
    print(f"{args.checkpoint.name}: {layout}, {variant}, {classes} classes")
    images = np.random.default_rng(0).uniform(0, 255, size=(2, 64, 64, 3)).astype("float32")
    expected = model.predict(images, verbose=0)

    for layout in WRITTEN:
        suffix = ".h5" if layout == "keras.applications" else ".safetensors"
        path = args.folder / f"{layout}{suffix}"
        try:
            save_checkpoint(model, path, layout)
        except ValueError as error:  # a package that has no such model
            print(f"{layout:18}  -  {error}")
            continue
        again = ConvNeXtClassifier.from_preset(variant, num_classes=classes or 0, data_format="channels_last")
        load_checkpoint(again, path)
        distance = np.abs(again.predict(images, verbose=0) - expected).max()
        print(f"{layout:18} {len(read_arrays(path)):4} arrays, logits differ by {distance:.0e}")


if __name__ == "__main__":
    main()
