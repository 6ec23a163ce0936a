"""Train keras-cv's RetinaNet on a ConvNeXt backbone by compile and fit, score it by COCO's mAP, and draw what it finds.

    python examples/detect_retinanet.py

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

SIDE = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.scenes, args.epochs = 10, 1
    keras.utils.set_random_seed(0)
    keras.config.set_image_data_format("channels_last")  # keras-cv's layers take no argument for it

    data = digit_scenes(count=args.scenes, size=SIDE)
    train = AnnotatedBatches(data.train, batch_size=8, size=(SIDE, SIDE), shuffle=True)
    validation = AnnotatedBatches(data.validation, batch_size=8, size=(SIDE, SIDE))

    backbone = ConvNeXtBackbone.from_preset("convnext_atto", input_shape=(SIDE, SIDE, 3), level_norm=(1, 2, 3))
    model = keras_cv.models.RetinaNet(
        num_classes=len(data.class_names),
        bounding_box_format="xyxy",
        backbone=backbone,
        prediction_decoder=PredictionDecoder("xyxy", from_logits=True, confidence_threshold=0.05),
    )
    recipe = RECIPES["digit_scenes"].with_epochs(args.epochs)
    model.compile(
        optimizer=recipe.optimizer(model, steps_per_epoch=len(train)),
        classification_loss="focal",
        box_loss="smoothl1",
    )
    scores = COCOScores(validation, data.class_names)
    model.fit(train, epochs=args.epochs, shuffle=False, callbacks=[scores], verbose=2)
    print(f"validation: mAP {scores.scores['map']:.3f}, AP50 {scores.scores['ap50']:.3f}")

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
