"""The assembled detectors: which backbone they get, what they refuse, and losses of images without a sound box."""

import keras
import keras_cv
import keras_hub
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, detection
from keras_convnext.models import load_model

pytestmark = [pytest.mark.slow] if keras.backend.backend() == "jax" else []  # 2 minutes of compiling

SIDE = 64
SMALL = {"depths": (1, 1, 1, 1), "dims": (4, 8, 12, 16), "input_shape": (SIDE, SIDE, 3)}


@pytest.fixture
def small():
    """A function: a backbone of four stages."""

    def make(**arguments):
        sizes = {"depths": (1, 1, 1, 1), "dims": (4, 8, 12, 16), "kernel_size": 3}
        return ConvNeXtBackbone(**sizes, **{"input_shape": (SIDE, SIDE, 3), "level_norm": (1, 2, 3), **arguments})

    return make


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda **k: detection.retinanet("convnext_atto", 3, **k), keras_cv.models.RetinaNet),
        (
            lambda **k: detection.retinanet("convnext_atto", 3, library="keras_hub", **k),
            keras_hub.models.RetinaNetObjectDetector,
        ),
        (lambda **k: detection.yolov8("convnext_atto", 3, fpn_depth=1, **k), keras_cv.models.YOLOV8Detector),
    ],
)
def test_arguments_reach_the_backbone(make, kind):
    model = make(**SMALL, drop_path_rate=0.25, remat=True, dtype="mixed_bfloat16")
    backbone = model.backbone.image_encoder if kind is keras_hub.models.RetinaNetObjectDetector else model.backbone
    assert type(model) is kind
    assert (backbone.drop_path_rate, backbone.remat, backbone.level_norm) == (0.25, True, (1, 2, 3))
    assert backbone.dtype_policy.name == "mixed_bfloat16"
    assert isinstance(model.prediction_decoder, detection.PredictionDecoder)
    unused = {weight.path for weight in backbone.trainable_weights} - {
        weight.path for weight in model.trainable_weights
    }
    assert not unused


def test_keras_hubs_retinanet_starts_at_the_prior_probability(small, rng):
    """arXiv:1708.02002, section 4.1: 0.01 for each class, wherever it looks."""
    model = detection.retinanet(small(), 3, library="keras_hub")
    logits = model(rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32"))["cls_logits"]
    probabilities = keras.ops.convert_to_numpy(keras.ops.sigmoid(logits))
    assert probabilities.min() > 0.005
    assert probabilities.max() < 0.02


@pytest.mark.parametrize(
    ("detector", "library"), [("retinanet", "keras_cv"), ("retinanet", "keras_hub"), ("yolov8", "keras_cv")]
)
def test_heads_have_the_precision_of_the_backbone_and_keep_it_in_a_file(detector, library, small, rng, tmp_path):
    images = rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32")
    model = getattr(detection, detector)(small(dtype="mixed_bfloat16"), 3, library=library)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        computing = [layer for layer in one._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
        half = [layer for layer in computing if layer.compute_dtype == "bfloat16"]
        assert len(half) >= 0.8 * len(computing)
        assert one.label_encoder.compute_dtype == "float32"
    for expected, found in zip(model(images).values(), loaded(images).values(), strict=True):
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (expected, found)))


@pytest.mark.once
@pytest.mark.parametrize("library", ["keras_cv", "keras_hub"])
def test_a_global_policy_rounds_no_boxes(library, small, rng, tmp_path):
    images = rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = detection.retinanet(small(), 3, library=library)
        model.save(tmp_path / "model.keras")
        models = [model, load_model(tmp_path / "model.keras")]
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    for one in models:
        assert one.box_head.conv_layers[0].compute_dtype == "bfloat16"
        assert (one.label_encoder.compute_dtype, one.anchor_generator.compute_dtype) == ("float32", "float32")
        assert {keras.backend.standardize_dtype(output.dtype) for output in one(images).values()} == {"float32"}


def test_a_checkpoint_of_a_classifier(tmp_path, randomize):
    trained = randomize(ConvNeXtClassifier.from_preset("convnext_atto", 5, input_shape=(32, 32, 3)))
    trained.save(tmp_path / "model.keras")
    model = detection.retinanet("convnext_atto", 3, checkpoint=str(tmp_path / "model.keras"), drop_path_rate=0.1)
    weights = {weight.path: weight for weight in trained.backbone.weights}
    assert model.backbone.image_shape == (None, None, 3)
    assert model.backbone.drop_path_rate == 0.1
    for weight in model.backbone.weights:
        if not weight.path.startswith(("stage_1_norm", "stage_2_norm", "stage_3_norm")):
            np.testing.assert_array_equal(
                *(keras.ops.convert_to_numpy(w.value) for w in (weight, weights[weight.path]))
            )
    with pytest.raises(ValueError, match=r"expected the weights of a convnext_pico.*those of convnext_atto"):
        detection.retinanet("convnext_pico", 3, checkpoint=str(tmp_path / "model.keras"))


def test_a_backbone_is_shared(small):
    backbone = small()
    assert detection.retinanet(backbone, 3).backbone is backbone


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda small: detection.retinanet("convnext_huge", 3), "convnext_huge"),
        (lambda small: detection.retinanet("convnext_mini", 0), "`num_classes` must be an integer"),
        (
            lambda small: detection.retinanet("convnext_mini", 2, level_norm=(1, 2, 3)),
            "the last three of four stages. convnext_mini has 3",
        ),
        (
            lambda small: detection.retinanet("convnext_atto", 3, library="torchvision"),
            '`library` must be "keras_cv" or "keras_hub" for retinanet. Received: library=\'torchvision\'',
        ),
        (
            lambda small: detection.yolov8("convnext_atto", 3, library="keras_hub"),
            '`library` must be "keras_cv" for yolov8',
        ),
        (lambda small: detection.retinanet(small(), 3, drop_path_rate=0.1), "not with a backbone: drop_path_rate"),
        (lambda small: detection.retinanet("convnext_atto", 3, checkpoint="no/such.keras"), "No such file or folder"),
        (lambda small: detection.retinanet(small(stem_patch_size=2), 3), "reads the levels P3, P4, P5.*has P1, P2"),
        (lambda small: detection.retinanet("convnext_isotropic_small", 3), "reads the levels P3, P4, P5"),
        (lambda small: detection.retinanet(small(output_stride=16), 3), "has output_stride=16: leave it out"),
        (lambda small: detection.yolov8(small(input_shape=(64, 72, 3)), 3), "multiples of 32. Received: .*64, 72, 3"),
        (
            lambda small: detection.retinanet(small(data_format="channels_first", input_shape=(3, 64, 64)), 3),
            "data_format channels_last",
        ),
    ],
)
def test_refuses(make, message, small):
    with pytest.raises(ValueError, match=message):
        make(small)


def test_refuses_an_unknown_argument():
    with pytest.raises(TypeError, match="drop_path_rat"):
        detection.retinanet("convnext_atto", 3, drop_path_rat=0.1)


@pytest.mark.parametrize(
    "name",
    [
        "keras_cv_retinanet",
        *(pytest.param(name, marks=pytest.mark.once) for name in ("keras_cv_yolov8", "keras_hub_retinanet")),
    ],
)
def test_boxes_that_are_not_sound_leave_the_loss_finite(name, small, rng):
    """An image without a box, a batch of padding alone, and for RetinaNet boxes without area."""
    library, detector = name.rpartition("_")[::2]
    model = getattr(detection, detector)(small(), 3, library=library)
    losses = {
        "keras_cv_retinanet": {"box_loss": "smoothl1", "classification_loss": "focal"},
        "keras_cv_yolov8": {"box_loss": "ciou", "classification_loss": "binary_crossentropy"},
        "keras_hub_retinanet": {},
    }
    model.compile(optimizer=keras.optimizers.SGD(1e-3, global_clipnorm=1.0), **losses[name])
    sound, none, point = [8, 8, 40, 40], [-1, -1, -1, -1], [10, 10, 10, 10]
    line, corner, whole = [30, 30, 30, 50], [0, 0, 0, 0], [0, 0, SIDE, SIDE]
    boxes = [[sound, none], [none, none], [none, none], [none, none]]
    if detector == "retinanet":
        boxes += [[sound, point], [line, corner], [point, none], [corner, whole]]
    classes = np.where((np.array(boxes) == -1).all(-1), -1.0, 1.0).astype("float32")
    targets = {"boxes": np.array(boxes, "float32"), "classes" if library == "keras_cv" else "labels": classes}
    images = rng.uniform(0, 255, (len(boxes), SIDE, SIDE, 3)).astype("float32")
    before = model.get_weights()
    history = model.fit(images, targets, batch_size=2, epochs=1, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
