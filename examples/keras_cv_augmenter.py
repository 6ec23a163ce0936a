"""Augment with keras-cv's Augmenter, in which the steps of this package stand beside keras-cv's own layers.

    python examples/keras_cv_augmenter.py

A ConvNeXt classifier trains on a folder of images, then keras-cv's RetinaNet on images with boxes, which move with the
pixels. Both read with `image_dataset_from_directory`, and `model.fit` takes the tf.data pipeline on every backend. The
folders are written from the bundled digits. The example needs `pip install "keras-convnext[cv,cli]"`. `--smoke` takes a
few images.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import keras_cv
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.data import load_digits
from keras_convnext.preprocessing.augmentation import MixUpOrCutMix, RandAugment, RandomErasing, RandomResizedCrop
from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer

SIDE, DIGIT, PER_SCENE = 128, 32, 3
BATCH = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="digits for the classifier (default: 1000)")
    parser.add_argument("--scenes", type=int, default=64, help="images for the detector (default: 64)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.images, args.scenes, args.epochs = 64, 4, 1
    keras.utils.set_random_seed(0)
    keras.config.set_image_data_format("channels_last")  # keras-cv's layers take no argument for it
    with tempfile.TemporaryDirectory() as folder:
        report("classifier", train_classifier(write_digits(Path(folder, "digits"), args.images), args.epochs))
        report(
            "detector on images with moved boxes",
            train_detector(*write_scenes(Path(folder, "scenes"), args.scenes), args.epochs),
        )


def train_classifier(folder, epochs):
    images = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", image_size=(DIGIT, DIGIT), batch_size=16, seed=0, verbose=False
    )
    augmenter = keras_cv.layers.Augmenter(
        [
            AugmentationLayer(RandomResizedCrop(DIGIT, DIGIT, scale=(0.6, 1.0))),
            keras_cv.layers.RandomBrightness(0.2, value_range=(0, 255)),
            AugmentationLayer(RandAugment(magnitude=5.0)),
            AugmentationLayer(RandomErasing()),
            AugmentationLayer(MixUpOrCutMix()),
        ]
    )

    def augmented(images, labels):
        batch = augmenter({"images": images, "labels": labels})
        return batch["images"], batch["labels"]

    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(DIGIT, DIGIT, 3))
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model.fit(images.map(augmented).prefetch(2), epochs=epochs, shuffle=False, verbose=2).history["loss"]


def train_detector(folder, boxes, epochs):
    images = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(SIDE, SIDE), batch_size=None, shuffle=False, verbose=False
    )
    augmenter = keras_cv.layers.Augmenter(
        [
            AugmentationLayer(RandomResizedCrop(SIDE, SIDE, scale=(0.5, 1.0)), bounding_box_format="xyxy"),
            AugmentationLayer(RandAugment(magnitude=5.0), bounding_box_format="xyxy"),
            keras_cv.layers.RandomBrightness(0.2, value_range=(0, 255)),
            AugmentationLayer(RandomErasing(), bounding_box_format="xyxy"),
        ]
    )

    def augmented(image, boxes):
        sample = augmenter({"images": image, "bounding_boxes": boxes})
        return sample["images"], sample["bounding_boxes"]

    def padded(images, boxes):
        return images, keras_cv.bounding_box.to_dense(boxes, max_boxes=PER_SCENE)

    dataset = tf.data.Dataset.zip((images, tf.data.Dataset.from_tensor_slices(boxes)))
    dataset = dataset.map(augmented, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.ragged_batch(BATCH, drop_remainder=True).map(padded).prefetch(2)

    backbone = ConvNeXtBackbone.from_preset("convnext_atto", input_shape=(SIDE, SIDE, 3), level_norm=True)
    model = keras_cv.models.RetinaNet(num_classes=10, bounding_box_format="xyxy", backbone=backbone)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, global_clipnorm=10.0),
        classification_loss="focal",
        box_loss="smoothl1",
    )
    return model.fit(dataset, epochs=epochs, shuffle=False, verbose=2).history["loss"]


def report(name, losses):
    if not np.all(np.isfinite(losses)):
        raise SystemExit(f"{name}: the loss is not finite")
    print(f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.3f}")


def write_digits(folder, count):
    """Writes the first digits, enlarged, as `folder/CLASS/NUMBER.png`."""
    digits = load_digits().train
    for number in range(count):
        place = folder / str(digits.labels[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(enlarged(digits.pixels[number])).save(place / f"{number}.png")
    return folder


def write_scenes(folder, count):
    """Writes images of a few digits each; returns the folder, and the boxes and classes in the order of its files."""
    random = np.random.default_rng(0)
    digits = load_digits().train
    folder.mkdir()
    boxes, classes = np.zeros((count, PER_SCENE, 4), "float32"), np.zeros((count, PER_SCENE), "float32")
    cells = [(x, y) for x in range(0, SIDE, DIGIT) for y in range(0, SIDE, DIGIT)]
    for scene in range(count):
        image = np.zeros((SIDE, SIDE), "uint8")
        chosen, places = random.choice(len(digits), PER_SCENE), random.choice(len(cells), PER_SCENE, replace=False)
        for number, (digit, place) in enumerate(zip(chosen, places, strict=True)):
            x, y = cells[place]
            image[y : y + DIGIT, x : x + DIGIT] = enlarged(digits.pixels[digit])
            boxes[scene, number], classes[scene, number] = (x, y, x + DIGIT, y + DIGIT), digits.labels[digit]
        Image.fromarray(image).save(folder / f"{scene:05}.png")
    return folder, {"boxes": boxes, "classes": classes}


def enlarged(digit):
    """A digit of 8x8 pixels as a grey image."""
    return np.asarray(digit[..., 0]).repeat(DIGIT // 8, axis=0).repeat(DIGIT // 8, axis=1).round().astype("uint8")


if __name__ == "__main__":
    main()
