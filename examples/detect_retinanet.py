"""Train keras-cv's RetinaNet on a ConvNeXt backbone by compile and fit, score it by COCO's mAP, and draw what it finds.

    python examples/detect_retinanet.py
    python examples/detect_retinanet.py --backbone resnet  # keras-cv's own, to compare

The scenes are bundled digits on textures, with exact boxes. The example needs
`pip install "keras-convnext[cv,coco,cli]"`. It writes `detector.keras` and `detections.png` into the current folder.
`--smoke` takes a few steps.
"""

import argparse

import keras
import keras_cv

from keras_convnext import RECIPES, ConvNeXtBackbone
from keras_convnext.data import AnnotatedBatches, digit_scenes
from keras_convnext.detection import COCOScores, PredictionDecoder, draw_boxes, draw_grid, predict

SIDE = 96


def convnext():
    return ConvNeXtBackbone.from_preset(
        "convnext_atto", input_shape=(SIDE, SIDE, 3), level_norm=(1, 2, 3), layer_scale_init_value=1.0
    )


def resnet():
    """keras-cv's own backbone, of about as many parameters."""
    return keras_cv.models.ResNetBackbone(
        stackwise_filters=[32, 64, 128, 256],
        stackwise_blocks=[2, 2, 2, 2],
        stackwise_strides=[1, 2, 2, 2],
        include_rescaling=True,
        input_shape=(SIDE, SIDE, 3),
    )


BACKBONES = {"convnext": convnext, "resnet": resnet}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--backbone", choices=BACKBONES, default="convnext")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.scenes, args.epochs = 10, 1
    keras.utils.set_random_seed(0)
    keras.config.set_image_data_format("channels_last")  # keras-cv's layers take no argument for it

    data = digit_scenes(count=args.scenes, size=SIDE)
    train = AnnotatedBatches(data.train, batch_size=8, size=(SIDE, SIDE), shuffle=True)
    validation, test = (
        AnnotatedBatches(part, batch_size=8, size=(SIDE, SIDE)) for part in (data.validation, data.test)
    )

    backbone = BACKBONES[args.backbone]()
    print(f"{args.backbone}: {backbone.count_params():,} parameters")
    model = keras_cv.models.RetinaNet(
        num_classes=len(data.class_names),
        bounding_box_format="xyxy",
        backbone=backbone,
        prediction_decoder=PredictionDecoder("xyxy", from_logits=True, confidence_threshold=0.05, per_class=True),
    )
    recipe = RECIPES["detection_digit_scenes"].with_epochs(args.epochs)
    model.compile(
        optimizer=recipe.optimizer(model, steps_per_epoch=len(train)),
        classification_loss="focal",
        box_loss="smoothl1",
    )
    scored = [COCOScores(validation, data.class_names)]
    model.fit(train, epochs=args.epochs, shuffle=False, callbacks=scored, verbose=2)
    found = COCOScores(test, data.class_names).compute(model)
    print(f"test scenes: mAP {found['map']:.3f}, AP50 {found['ap50']:.3f}")

    model.save("detector.keras")
    images, truths = data.test.pixels[:8], data.test.annotations[:8]
    pictures = [
        draw_boxes(image, found, data.class_names, truth=truth)
        for image, truth, found in zip(images, truths, predict(model, images), strict=True)
    ]
    draw_grid(pictures, path="detections.png")
    print("detector.keras and detections.png")


if __name__ == "__main__":
    main()
