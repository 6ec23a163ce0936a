"""The prediction decoder: equal to keras-cv's and keras-hub's own."""

import keras
import keras_cv
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from keras_convnext import ConvNeXtBackbone, detection
from keras_convnext.detection import PredictionDecoder

SIDE = 64


@pytest.fixture
def backbone():
    return ConvNeXtBackbone((1, 1, 1, 1), (4, 8, 12, 16), kernel_size=3, input_shape=(SIDE, SIDE, 3))


def numpy(outputs):
    return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}


def predictions(rng, model):
    """Random outputs, of which a few have confidence. keras-cv's symbolic shapes are wrong at 64 pixels."""
    shapes = {name: value.shape for name, value in numpy(model(np.zeros((2, SIDE, SIDE, 3), "float32"))).items()}
    return {
        name: rng.uniform(0, 0.3, shape).astype("float32")
        if name == "classes" and isinstance(model, keras_cv.models.YOLOV8Detector)
        else rng.normal(-2 if "cl" in name else 0, 1, shape).astype("float32")
        for name, shape in shapes.items()
    }


DETECTORS = {
    "retinanet": lambda backbone: keras_cv.models.RetinaNet(backbone, 3, "xyxy"),
    "yolov8": lambda backbone: keras_cv.models.YOLOV8Detector(backbone, 3, "xyxy", fpn_depth=1),
    "hub": lambda backbone: keras_hub.models.RetinaNetObjectDetector(
        keras_hub.models.RetinaNetBackbone(backbone, 3, 5, False, image_shape=(SIDE, SIDE, 3)), 3, "xyxy"
    ),
}


@pytest.mark.parametrize("name", DETECTORS if keras.backend.backend() == "tensorflow" else ["hub"])
def test_equals_the_decoder_of_the_library(name, backbone, rng):
    """keras-cv's own is TensorFlow's function there, and needs torchvision's compiled operators on PyTorch."""
    model = DETECTORS[name](backbone)
    outputs = keras.tree.map_structure(keras.ops.convert_to_tensor, predictions(rng, model))
    images = np.zeros((2, SIDE, SIDE, 3), "float32")
    settings = {
        "bounding_box_format": "xyxy",
        "from_logits": name != "yolov8",
        **{"confidence_threshold": 0.25, "iou_threshold": 0.6, "max_detections": 30},
    }
    library = keras_hub if name == "hub" else keras_cv
    model._prediction_decoder = library.layers.NonMaxSuppression(**settings)
    expected = numpy(model.decode_predictions(outputs, images))
    model._prediction_decoder = PredictionDecoder(**settings)
    found = numpy(model.decode_predictions(outputs, images))
    expected["classes"] = expected.pop("labels") if name == "hub" else expected["classes"]
    assert 5 < expected["num_detections"].min() <= 30
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-3, err_msg=key)


def test_per_class_equals_tensorflow(rng):
    corner, size = rng.uniform(0, 100, (2, 40, 2)), rng.uniform(20, 60, (2, 40, 2))
    boxes = np.concatenate([corner, corner + size], -1).astype("float32")
    scores = rng.uniform(0, 1, (2, 40, 3)).astype("float32")
    expected = tf.image.combined_non_max_suppression(
        boxes[:, :, None], scores, 12, 12, iou_threshold=0.4, score_threshold=0.6, clip_boxes=False
    )
    decoder = PredictionDecoder(
        from_logits=False, confidence_threshold=0.6, iou_threshold=0.4, max_detections=12, per_class=True
    )
    found = numpy(decoder(boxes, scores))
    for key, value in zip(("boxes", "confidence", "classes", "num_detections"), expected, strict=True):
        np.testing.assert_allclose(found[key], value, rtol=1e-6, err_msg=key)
    assert found["num_detections"].tolist() == [12, 12]


def test_is_float32_under_half_precision(rng):
    """Boxes of neighbouring pixels differ, which bfloat16 cannot tell from 256 on."""
    boxes = np.array([[[300, 300, 341, 340], [300, 300, 340, 341]]], "float32")
    decoder = PredictionDecoder(confidence_threshold=0.0, iou_threshold=0.99)
    found = numpy(decoder(boxes, keras.ops.cast(np.array([[[1.0], [2.0]]]), "bfloat16")))
    np.testing.assert_array_equal(found["boxes"][0, :2], boxes[0, ::-1])
    assert str(found["confidence"].dtype) == "float32"


@pytest.mark.once
@pytest.mark.parametrize("classes", [1, 3])
def test_decode_sets_what_it_is_told(classes, backbone):
    model = detection.retinanet(backbone, classes)
    images = np.zeros((1, SIDE, SIDE, 3), "float32")
    nothing = detection.decode(model, images, confidence_threshold=1.0)
    assert nothing["boxes"].shape == (1, 100, 4)
    assert nothing["num_detections"].tolist() == [0]
    assert all((nothing[key] == -1).all() for key in ("boxes", "confidence", "classes"))
    found = detection.decode(model, images, confidence_threshold=0.0, max_detections=7)
    decoder = model.prediction_decoder
    assert (decoder.max_detections, decoder.from_logits, found["boxes"].shape) == (7, True, (1, 7, 4))
    assert found["num_detections"].tolist() == [7]
    assert (np.diff(found["confidence"]) <= 0).all()
    detection.decode(model, images, confidence_threshold=0.0, max_detections=7)
    assert model.prediction_decoder is decoder, "equal settings need no new program"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bounding_box_format": "xywh"}, "must be one of xyxy, yxyx, rel_xyxy, rel_yxyx. Received: 'xywh'"),
        ({"confidence_threshold": 1.5}, "`confidence_threshold` must be from 0 to 1"),
        ({"iou_threshold": -0.1}, "`iou_threshold` must be from 0 to 1"),
        ({"max_detections": 0}, "`max_detections` must be an integer"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        PredictionDecoder(**arguments)


def test_decode_refuses_another_model(backbone):
    with pytest.raises(TypeError, match=r"which has a `prediction_decoder`\. Received: a Conv"):
        detection.decode(backbone, np.zeros((1, SIDE, SIDE, 3)))
