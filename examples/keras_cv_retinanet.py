"""Use a ConvNeXt backbone in keras-cv's RetinaNet as it is, and train a few steps.

    python examples/keras_cv_retinanet.py

The scenes are bundled digits, enlarged and pasted on a dark background, so their boxes are exact. The example needs
`pip install "keras-convnext[cv]"`. `--smoke` takes four steps.
"""

import argparse

import keras
import keras_cv
import numpy as np

from keras_convnext import ConvNeXtBackbone
from keras_convnext.data import load_digits

SIDE, DIGIT, PER_SCENE = 128, 32, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.scenes, args.epochs = 4, 2
    keras.utils.set_random_seed(0)
    keras.config.set_image_data_format("channels_last")  # keras-cv's layers take no argument for it

    backbone = ConvNeXtBackbone.from_preset("convnext_atto", input_shape=(SIDE, SIDE, 3), level_norm=True)
    model = keras_cv.models.RetinaNet(num_classes=10, bounding_box_format="xyxy", backbone=backbone)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, global_clipnorm=10.0),
        classification_loss="focal",
        box_loss="smoothl1",
    )
    images, boxes = scenes(args.scenes)
    losses = model.fit(images, boxes, batch_size=2, epochs=args.epochs, verbose=2).history["loss"]
    print(f"levels {', '.join(backbone.pyramid_level_inputs)}; loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    if not np.all(np.isfinite(losses)):
        raise SystemExit("the loss is not finite")


def scenes(count):
    """Images of 0..255 and, for keras-cv, their boxes and classes."""
    random = np.random.default_rng(0)
    digits = load_digits().train
    images = np.zeros((count, SIDE, SIDE, 3), "float32")
    boxes = np.zeros((count, PER_SCENE, 4), "float32")
    classes = np.zeros((count, PER_SCENE), "float32")
    cells = [(x, y) for x in range(0, SIDE, DIGIT) for y in range(0, SIDE, DIGIT)]
    for scene in range(count):
        chosen = random.choice(len(digits), PER_SCENE)
        places = random.choice(len(cells), PER_SCENE, replace=False)
        for number, (digit, place) in enumerate(zip(chosen, places, strict=True)):
            x, y = cells[place]
            enlarged = digits.pixels[digit].repeat(DIGIT // 8, axis=0).repeat(DIGIT // 8, axis=1)
            images[scene, y : y + DIGIT, x : x + DIGIT] = enlarged
            boxes[scene, number] = x, y, x + DIGIT, y + DIGIT
            classes[scene, number] = digits.labels[digit]
    return images, {"boxes": boxes, "classes": classes}


if __name__ == "__main__":
    main()
