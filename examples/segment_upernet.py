"""Train UPerNet on a ConvNeXt backbone by compile and fit, score it by mean IoU, and draw its label maps.

    python examples/segment_upernet.py

The scenes are bundled digits on textures, with the class of each pixel. The example needs
`pip install "keras-convnext[cli]"`. It writes `segmenter.keras` and `label_maps.png` into the current folder. `--smoke`
takes a few steps.
"""

import argparse

import keras

from keras_convnext import RECIPES
from keras_convnext.data import AnnotatedBatches, digit_scenes
from keras_convnext.segmentation import MeanIoU, SegmentationLoss, UPerNet, draw_grid, draw_label_map, predict

SIDE = 96


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=15_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.scenes, args.epochs = 10, 1
    keras.utils.set_random_seed(0)

    data = digit_scenes(count=args.scenes, size=SIDE, target="label_map")
    train = AnnotatedBatches(data.train, batch_size=8, size=(SIDE, SIDE), target="label_map", shuffle=True)
    validation = AnnotatedBatches(data.validation, batch_size=8, size=(SIDE, SIDE), target="label_map")

    classes = len(data.class_names)
    model = UPerNet.from_preset(
        "convnext_mini",
        num_classes=classes,
        input_shape=(SIDE, SIDE, 3),
        stem_patch_size=4,  # levels of strides 4, 8 and 16
        layer_scale_init_value=1.0,
        data_format="channels_last",  # as the batches are, whatever keras.json says
    )
    recipe = RECIPES["segmentation_digit_scenes"].with_epochs(args.epochs)
    model.compile(
        optimizer=recipe.optimizer(model, steps_per_epoch=len(train)),
        loss=SegmentationLoss(),
        metrics=[MeanIoU(classes)],
    )
    history = model.fit(train, validation_data=validation, epochs=args.epochs, shuffle=False, verbose=2).history
    print(f"validation: mIoU {history['val_miou'][-1]:.3f}")

    model.save("segmenter.keras")
    pictures = [
        draw_label_map(image, label_map, data.class_names)
        for image, annotation in zip(data.test.pixels[:4], data.test.annotations[:4], strict=True)
        for label_map in (annotation.label_map, predict(model, image))
    ]
    draw_grid(pictures, ["true", "predicted"] * (len(pictures) // 2), path="label_maps.png")
    print("segmenter.keras and label_maps.png")


if __name__ == "__main__":
    main()
