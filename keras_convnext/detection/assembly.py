"""Detectors of keras-cv and keras-hub on a ConvNeXt backbone, in the libraries' own calls.

`DETECTORS` tells which library has which detector, and which function assembles it. Beside the library's own call, each
function sets the precision, and keras-hub's the initial weights.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_convnext.checkpoints import find_preset
from keras_convnext.detection.decoding import PredictionDecoder
from keras_convnext.extras import require
from keras_convnext.models import ConvNeXtBackbone, find_model, load_model, transfer, variant_of
from keras_convnext.models.head_precision import made_in_float32, set_head_precision
from keras_convnext.scalars import integer
from keras_convnext.variants import get_variant

PRIOR = 0.01
"""The probability that a detector's classes start with, RetinaNet's pi."""

STDDEV = 0.01
"""The standard deviation of the initial kernels of RetinaNet's heads."""

LEVELS = ("P3", "P4", "P5")
"""The levels that these detectors read, of strides 8, 16 and 32."""

DECODING: dict[str, Any] = {"confidence_threshold": 0.05, "per_class": True}
"""How detections are decoded. COCO's scores need those of low confidence; `detection.predict` leaves out more. As in
COCO's evaluation of RetinaNet, boxes suppress only boxes of their class."""


def keras_cv_retinanet(backbone: ConvNeXtBackbone, num_classes: int) -> keras.Model:
    """RetinaNet of keras-cv: an FPN with the levels P3 to P7, and nine anchors per position."""
    keras_cv = require("keras_cv", extra="cv")
    with made_in_float32():
        model = keras_cv.models.RetinaNet(
            backbone=backbone,
            num_classes=num_classes,
            bounding_box_format="xyxy",
            prediction_decoder=PredictionDecoder("xyxy", from_logits=True, **DECODING),
        )
    return set_head_precision(model)


def keras_hub_retinanet(backbone: ConvNeXtBackbone, num_classes: int) -> keras.Model:
    """RetinaNet of keras-hub: an FPN with the levels P3 to P7, and nine anchors per position."""
    keras_hub = require("keras_hub", extra="hub")
    with made_in_float32():
        pyramid = keras_hub.models.RetinaNetBackbone(
            image_encoder=backbone,
            min_level=3,
            max_level=7,
            use_p5=False,
            image_shape=backbone.image_shape,
            dtype=backbone.dtype_policy,  # the heads take it over
        )
        model = keras_hub.models.RetinaNetObjectDetector(
            backbone=pyramid,
            num_classes=num_classes,
            bounding_box_format="xyxy",
            prediction_decoder=PredictionDecoder("xyxy", from_logits=True, **DECODING),
        )
    # The initial weights of section 4.1. keras-hub 0.32 has a standard deviation of 0.05, at which logits start beyond
    # +-16: there the focal loss clips probabilities, and has no gradient.
    for weight in (*model.box_head.weights, *model.classification_head.weights):
        if weight.name == "kernel":
            initializer = keras.initializers.RandomNormal(stddev=STDDEV)  # one initializer always gives the same values
            weight.assign(initializer(weight.shape, weight.dtype))
    # keras-hub gives the bias of the prior probability to the box head. It belongs to the classes.
    boxes, classes = model.box_head.prediction_layer.bias, model.classification_head.prediction_layer.bias
    boxes.assign(np.zeros(boxes.shape))
    classes.assign(np.full(classes.shape, -math.log((1 - PRIOR) / PRIOR)))
    return model


def keras_cv_yolov8(backbone: ConvNeXtBackbone, num_classes: int, fpn_depth: int) -> keras.Model:
    """YOLOv8 of keras-cv: a path aggregation network on P3 to P5, and one box per position, without anchors."""
    keras_cv = require("keras_cv", extra="cv")
    with made_in_float32():
        model = keras_cv.models.YOLOV8Detector(
            backbone=backbone,
            num_classes=num_classes,
            bounding_box_format="xyxy",
            fpn_depth=fpn_depth,
            prediction_decoder=PredictionDecoder("xyxy", from_logits=False, iou_threshold=0.7, **DECODING),
        )
    return set_head_precision(model)


DETECTORS: dict[str, dict[str, Callable]] = {
    "retinanet": {"keras_cv": keras_cv_retinanet, "keras_hub": keras_hub_retinanet},
    "yolov8": {"keras_cv": keras_cv_yolov8},
}
"""The function that assembles each detector, by the library that has it."""


def retinanet(
    backbone: str | ConvNeXtBackbone,
    num_classes: int,
    library: str = "keras_cv",
    checkpoint: str | None = None,
    **arguments: Any,
) -> keras.Model:
    """RetinaNet (arXiv:1708.02002) of keras-cv or keras-hub on a ConvNeXt backbone.

    The model takes images in 0..255. Compile it as the library's own: with keras-cv by
    `compile(box_loss="smoothl1", classification_loss="focal", optimizer=...)`, with keras-hub by
    `compile(optimizer=...)`. The targets are a dict of `boxes` `(batch, boxes, 4)` in `xyxy` pixels and `classes`
    (keras-cv) or `labels` (keras-hub) `(batch, boxes)`. Both are padded with -1 to at least one row. `predict` returns
    what `PredictionDecoder` does, from a confidence of 0.05 on; boxes suppress only boxes of their class.

    Args:
        backbone: the name of a variant or a published checkpoint, as for `ConvNeXtBackbone.from_preset`; or a backbone,
            which the detector then shares.
        num_classes: number of classes, without background.
        library: `"keras_cv"` or `"keras_hub"`. Defaults to `"keras_cv"`.
        checkpoint: the backbone's weights: the name of a published checkpoint, the path of a file of weights or of a
            run folder, as for `models.load_model`. Its architecture must be the variant's. Defaults to None, for
            random weights.
        **arguments: arguments of `ConvNeXtBackbone`, such as `input_shape`, `drop_path_rate`, `dtype` or `remat`. The
            heads have the backbone's dtype policy; what they return is float32. `level_norm` defaults to `(1, 2, 3)`
            here: a norm for each level that is read, as in the authors' detectors.

    Returns:
        `keras_cv.models.RetinaNet` or `keras_hub.models.RetinaNetObjectDetector`, not compiled.

    Raises:
        ValueError: the variant, the library or the checkpoint does not exist, or does not fit the others; or the
            backbone has no levels P3 to P5 of strides 8, 16 and 32.
        TypeError: an argument is unknown.
        ModuleNotFoundError: the library is not installed.

    Example:

    >>> from keras_convnext import detection
    >>> model = detection.retinanet("convnext_atto", num_classes=3, input_shape=(64, 64, 3))
    >>> sorted(model.output)
    ['box', 'classification']
    """
    assemble = _assembler("retinanet", library)
    num_classes = integer("num_classes", num_classes, 1)
    return assemble(_backbone(backbone, checkpoint, arguments), num_classes)


def yolov8(
    backbone: str | ConvNeXtBackbone,
    num_classes: int,
    library: str = "keras_cv",
    checkpoint: str | None = None,
    fpn_depth: int = 2,
    **arguments: Any,
) -> keras.Model:
    """YOLOv8 of keras-cv on a ConvNeXt backbone.

    The model takes images in 0..255. Compile it by
    `compile(box_loss="ciou", classification_loss="binary_crossentropy", optimizer=...)`. The targets are a dict of
    `boxes` `(batch, boxes, 4)` in `xyxy` pixels, padded with -1, and `classes` `(batch, boxes)`. `predict` returns what
    `PredictionDecoder` does.

    Args:
        backbone: as for `retinanet`.
        num_classes: as for `retinanet`.
        library: `"keras_cv"`, which alone has this detector.
        checkpoint: as for `retinanet`.
        fpn_depth: the depth of the blocks between the levels, 1 to 3. Defaults to 2.
        **arguments: as for `retinanet`.

    Returns:
        `keras_cv.models.YOLOV8Detector`, not compiled.

    Raises: as `retinanet`.

    Example:

    >>> from keras_convnext import detection
    >>> model = detection.yolov8("convnext_atto", num_classes=3, input_shape=(64, 64, 3))
    >>> model.output["classes"].shape  # at 8*8 + 4*4 + 2*2 positions
    (None, 84, 3)
    """
    assemble = _assembler("yolov8", library)
    num_classes, fpn_depth = integer("num_classes", num_classes, 1), integer("fpn_depth", fpn_depth, 1)
    return assemble(_backbone(backbone, checkpoint, arguments), num_classes, fpn_depth)


def _assembler(detector, library):
    libraries = DETECTORS[detector]
    if library not in libraries:
        known = " or ".join(f'"{name}"' for name in libraries)
        raise ValueError(f"`library` must be {known} for {detector}. Received: library={library!r}")
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "The detectors' layers follow Keras's setting, and their anchors need channels_last. Call "
            'keras.config.set_image_data_format("channels_last").'
        )
    return libraries[library]


def _backbone(source, checkpoint, arguments):
    """The backbone that was given, or that of a name, with the weights of a checkpoint."""
    if not isinstance(source, str):
        if checkpoint is not None or arguments:
            given = ", ".join([*(["checkpoint"] if checkpoint is not None else []), *arguments])
            raise ValueError(f"Give these with the name of a variant, not with a backbone: {given}")
        return _checked(source)
    variant, published = find_preset(source)
    stages = len(get_variant(variant).depths)
    if stages <= len(LEVELS):
        raise ValueError(
            f"The detector reads the levels {', '.join(LEVELS)}, of the last three of four stages. "
            f"{variant} has {stages}."
        )
    normed = tuple(range(1, stages))  # P2, which no detector reads, needs no norm
    arguments = {"level_norm": normed, "data_format": "channels_last", **arguments}
    if checkpoint is None:
        return _checked(ConvNeXtBackbone.from_preset(source, **arguments))
    if published is not None:
        raise ValueError(f"`checkpoint` needs the name of a variant. Received: {source!r}, which is a checkpoint")
    found = find_model(checkpoint)
    model = None if found.path is None else load_model(checkpoint, data_format="channels_last")
    held = found.variant if model is None else variant_of(model, any_stem=True)
    if held != variant:
        raise ValueError(
            f"{checkpoint}: expected the weights of a {variant}. Received: those of {held or 'another architecture'}"
        )
    if model is None:
        return _checked(ConvNeXtBackbone.from_preset(checkpoint, **arguments))
    arguments = {"input_shape": (None, None, model.input_shape[-1]), **arguments}
    return _checked(transfer(model, num_classes=0, **arguments).backbone)


def _checked(backbone):
    """Refuses a backbone on which the libraries would fail later, with an error about shapes."""
    pyramid = getattr(backbone, "pyramid_outputs", None)
    if pyramid is None or getattr(backbone, "data_format", "channels_last") != "channels_last":
        raise ValueError(
            "Expected the name of a variant, or a ConvNeXtBackbone of data_format channels_last. "
            f"Received: {backbone!r}"
        )
    if not set(LEVELS) <= pyramid.keys():
        raise ValueError(
            f"The detector reads the levels {', '.join(LEVELS)}. This backbone has {', '.join(pyramid)}: its stem must "
            "have stride 4 and it must have four stages."
        )
    if getattr(backbone, "stride", 32) < 32:
        raise ValueError(
            "The detector places its boxes by strides of 8, 16 and 32. This backbone has "
            f"output_stride={backbone.stride}: leave it out."
        )
    sides = [side for side in backbone.input_shape[1:3] if side is not None]
    if any(side % 32 for side in sides):
        raise ValueError(
            f"The sides of the images must be multiples of 32. Received: input_shape={backbone.input_shape[1:]}"
        )
    return backbone
