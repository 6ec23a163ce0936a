"""Train on a folder of images, one sub-folder per class, with Keras's own `compile` and `fit`.

    python examples/train_on_folder.py FOLDER

`keras-convnext train --data FOLDER --size 64 --recipe from_scratch` trains the same model and keeps a run folder.
`--smoke` writes a few of the bundled digits as PNG files and trains on those for two epochs.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
from PIL import Image

from keras_convnext import RECIPES, ConvNeXtClassifier
from keras_convnext.data import load_data, load_digits, with_validation
from keras_convnext.variants import variant_for


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--size", type=int, default=64, help="side that images are resized to (default: 64)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", default="model.keras")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.folder, args.size, args.epochs = write_digits(Path(tempfile.mkdtemp())), 16, 2
        args.output = Path(args.folder).parent / "model.keras"
    elif args.folder is None:
        parser.error("give a FOLDER, or --smoke")

    keras.utils.set_random_seed(0)
    data = with_validation(load_data(args.folder))
    recipe = replace(RECIPES["from_scratch"].with_epochs(args.epochs), image_size=(args.size, args.size))
    batches = recipe.dataset(data.train)

    variant, stem_patch_size = variant_for(args.size)
    model = ConvNeXtClassifier.from_preset(
        variant,
        num_classes=len(data.class_names),
        input_shape=(args.size, args.size, 3),
        data_format="channels_last",
        stem_patch_size=stem_patch_size,
        drop_path_rate=recipe.drop_path_rate,
    )
    recipe.compile(model, steps_per_epoch=len(batches))
    model.fit(
        batches, validation_data=recipe.dataset(data.validation, training=False), epochs=recipe.epochs, shuffle=False
    )
    model.save(args.output)
    print(f"saved {args.output}; classes: {', '.join(data.class_names)}")


def write_digits(folder, count=320):
    """Writes the first digits as `folder/digits/CLASS/NUMBER.png`."""
    digits = load_digits().train
    for number, (pixels, label) in enumerate(zip(digits.pixels[:count], digits.labels[:count], strict=True)):
        path = folder / "digits" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    return folder / "digits"


if __name__ == "__main__":
    main()
