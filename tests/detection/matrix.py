"""Run by test_matrix.py in new processes: trains a small model of every detector, or loads what another process saved.

`python matrix.py train FOLDER CELL ...` and `python matrix.py load FOLDER CELL ...`, with KERAS_BACKEND
set. Each cell is a plain call of the library, as a user writes it.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import keras
import keras_cv
import keras_hub
import numpy as np

from keras_convnext import ConvNeXtBackbone
from keras_convnext.detection import PredictionDecoder

SIDE, CLASSES = 64, 3


def backbone(**arguments):
    sizes = {"depths": (1, 1, 1, 1), "dims": (4, 8, 12, 16), "kernel_size": 3, "layer_scale_init_value": None}
    return ConvNeXtBackbone(**sizes, input_shape=(SIDE, SIDE, 3), **arguments)


def keras_cv_retinanet():
    model = keras_cv.models.RetinaNet(
        backbone=backbone(level_norm=(1, 2, 3)),
        num_classes=CLASSES,
        bounding_box_format="xyxy",
        prediction_decoder=PredictionDecoder(confidence_threshold=0.0, max_detections=10),
    )
    model.compile(box_loss="smoothl1", classification_loss="focal", optimizer=optimizer())
    return model


def keras_cv_yolov8():
    model = keras_cv.models.YOLOV8Detector(
        backbone=backbone(level_norm=(1, 2, 3)),
        num_classes=CLASSES,
        bounding_box_format="xyxy",
        fpn_depth=1,
        prediction_decoder=PredictionDecoder(from_logits=False, confidence_threshold=0.0, max_detections=10),
    )
    model.compile(box_loss="ciou", classification_loss="binary_crossentropy", optimizer=optimizer())
    return model


def keras_cv_deeplab_v3_plus():
    model = keras_cv.models.DeepLabV3Plus(backbone=backbone(), num_classes=CLASSES)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer())
    return model


def keras_cv_segformer():
    model = keras_cv.models.SegFormer(backbone=backbone(), num_classes=CLASSES, projection_filters=8)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer())
    return model


def keras_hub_retinanet():
    pyramid = keras_hub.models.RetinaNetBackbone(
        image_encoder=backbone(level_norm=(1, 2, 3)),
        min_level=3,
        max_level=5,
        use_p5=False,
        image_shape=(SIDE, SIDE, 3),
    )
    model = keras_hub.models.RetinaNetObjectDetector(
        backbone=pyramid,
        num_classes=CLASSES,
        bounding_box_format="xyxy",
        pre_logits_num_conv_layers=1,
        prediction_decoder=PredictionDecoder(confidence_threshold=0.0, max_detections=10),
    )
    model.compile(optimizer=optimizer())
    return model


def keras_hub_deeplab_v3():
    encoder = keras_hub.models.DeepLabV3Backbone(
        image_encoder=backbone(),
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[6],
        projection_filters=8,
        image_shape=(SIDE, SIDE, 3),
    )
    model = keras_hub.models.DeepLabV3ImageSegmenter(backbone=encoder, num_classes=CLASSES)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer=optimizer())
    return model


def keras_hub_segformer():
    """It reads a level P1, which a stem of stride 2 has."""
    encoder = keras_hub.models.SegFormerBackbone(image_encoder=backbone(stem_patch_size=2), projection_filters=8)
    model = keras_hub.models.SegFormerImageSegmenter(backbone=encoder, num_classes=CLASSES)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer=optimizer())
    return model


def keras_hub_d_fine():
    """It wants a model whose output is a dict of levels."""
    levels = backbone()
    levels = keras.Model(levels.input, {name: levels.pyramid_outputs[name] for name in ("P4", "P5")})
    encoder = keras_hub.models.DFineBackbone(
        backbone=levels,
        out_features=["P4", "P5"],
        encoder_in_channels=[12, 16],
        decoder_in_channels=[16, 16],
        feat_strides=[16, 32],
        num_feature_levels=2,
        image_shape=(SIDE, SIDE, 3),
        anchor_image_size=(SIDE, SIDE),
        num_labels=CLASSES,
        **{"encoder_hidden_dim": 16, "hidden_dim": 16, "num_queries": 10, "decoder_n_points": [1, 1]},
        **{"num_denoising": 0, "learn_initial_query": False, "encode_proj_layers": [1], "num_encoder_layers": 1},
        **{"num_attention_heads": 2, "encoder_ffn_dim": 16, "hidden_expansion": 0.34, "depth_multiplier": 0.34},
        **{"eval_idx": -1, "num_decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16},
        **{"lqe_hidden_dim": 16, "num_lqe_layers": 1},
    )
    model = keras_hub.models.DFineObjectDetector(
        backbone=encoder,
        num_classes=CLASSES,
        prediction_decoder=PredictionDecoder("yxyx", confidence_threshold=0.0, max_detections=10),
    )
    model.compile(optimizer=optimizer())
    return model


CELLS = {
    "keras_cv_retinanet": (keras_cv_retinanet, "classes"),
    "keras_cv_yolov8": (keras_cv_yolov8, "classes"),
    "keras_cv_deeplab_v3_plus": (keras_cv_deeplab_v3_plus, "one-hot map"),
    "keras_cv_segformer": (keras_cv_segformer, "one-hot map"),
    "keras_hub_retinanet": (keras_hub_retinanet, "labels"),
    "keras_hub_deeplab_v3": (keras_hub_deeplab_v3, "label map"),
    "keras_hub_segformer": (keras_hub_segformer, "label map"),
    "keras_hub_d_fine": (keras_hub_d_fine, "relative"),
}


def optimizer():
    return keras.optimizers.SGD(1e-3, global_clipnorm=1.0)


def images():
    return np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")


def targets(kind):
    """One image with two objects, and one with a single object and a row of padding."""
    boxes = np.array([[[4, 4, 36, 36], [20, 10, 60, 60]], [[0, 0, 32, 30], [-1, -1, -1, -1]]], "float32")
    classes = np.array([[1, 0], [2, -1]], "float32")
    if kind.endswith("map"):
        label_map = np.random.default_rng(1).integers(0, CLASSES, (2, SIDE, SIDE, 1))
        return label_map if kind == "label map" else (label_map == np.arange(CLASSES)).astype("float32")
    if kind == "relative":  # center_xywh in 0..1, and no padding
        boxes = np.array([[[0.3, 0.3, 0.5, 0.5], [0.6, 0.5, 0.6, 0.8]]] * 2, "float32")
        return {"boxes": boxes, "labels": np.array([[1, 0], [2, 2]], "int32")}
    return {"boxes": boxes, kind: classes}


def train(name):
    """Two steps of training; returns the predictions afterwards and what is asked of a cell."""
    keras.utils.set_random_seed(0)
    make, kind = CELLS[name]
    model, x = make(), images()
    before = model.get_weights()
    losses = model.fit(x, targets(kind), batch_size=2, epochs=2, verbose=0).history["loss"]
    changed = [
        not np.array_equal(old, new)
        for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True)
        if weight.name == "kernel"
    ]
    return model, model.predict(x, verbose=0), {"losses": losses, "changed": float(np.mean(changed))}


def main(mode, folder, cells):
    report = {}
    for name in cells:
        start = time.perf_counter()
        if mode == "train":
            model, outputs, report[name] = train(name)
            model.save(folder / f"{name}.keras")
        else:
            outputs, report[name] = keras.saving.load_model(folder / f"{name}.keras").predict(images(), verbose=0), {}
        outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
        np.savez(folder / f"{name}_{mode}.npz", **outputs)
        report[name]["seconds"] = round(time.perf_counter() - start, 1)
        print(name, report[name], flush=True)
    (folder / f"{mode}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
