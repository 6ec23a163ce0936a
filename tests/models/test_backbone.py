"""ConvNeXtBackbone: what it computes at which stride, what it takes in, and what it refuses."""

import inspect
import json

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.layers import StochasticDepth

TWO_STAGES = {"depths": (1, 1), "dims": (8, 16)}

# === Initial weights


def test_initial_weights(version, small_backbone):
    """Bounds of five standard errors of a normal distribution of deviation 0.02."""
    model = ConvNeXtClassifier(small_backbone(version, **TWO_STAGES, kernel_size=7), 64, head_init_scale=0.001)
    constants = {"bias": 0.0, "beta": 0.0, "norm/gamma": 1.0, "layer_scale/gamma": 1e-6, "grn/gamma": 0.0}
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(weight.value)
        if weight.name == "kernel":
            deviation = 0.02 * (0.001 if weight.path == "head/kernel" else 1)
            assert abs(values.mean()) < 5 * deviation / np.sqrt(values.size), weight.path
            assert abs(values.std() - deviation) < 5 * deviation / np.sqrt(2 * values.size), weight.path
        else:
            (constant,) = (value for end, value in constants.items() if weight.path.endswith(end))
            np.testing.assert_array_equal(values, np.float32(constant), err_msg=weight.path)


def test_weights_of_one_shape_are_drawn_apart(small_backbone):
    backbone = small_backbone(depths=(2,), dims=(8,), output_stride=4)
    for name in ("depthwise_conv", "pointwise_conv_1", "pointwise_conv_2"):
        first, second = (
            getattr(backbone.get_layer(f"stage_0_block_{block}"), name).get_weights()[0] for block in (0, 1)
        )
        assert (first != second).mean() > 0.9, name


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("depths", [(3, 3, 9, 3), (1, 1, 2, 1), (2, 1), (1,)])
def test_drop_path_rates_grow_linearly(depths, rate):
    backbone = ConvNeXtBackbone(depths, (4,) * len(depths), drop_path_rate=rate)
    rates = [layer.rate for layer in backbone._flatten_layers() if isinstance(layer, StochasticDepth)]
    np.testing.assert_allclose(rates, np.linspace(0, rate, sum(depths)))


# === Images


def test_free_sizes_run_at_any_size(small_backbone, randomize, images, numpy_of):
    free = randomize(small_backbone())
    for height, width in ((32, 32), (70, 45)):
        fixed = small_backbone(input_shape=(height, width, 3))
        fixed.set_weights(free.get_weights())
        x = images(2, height, width, 3)
        y = numpy_of(free, x)
        assert y.shape == (2, height // 32, width // 32, 32) == (2, *fixed.output.shape[1:])
        np.testing.assert_allclose(y, numpy_of(fixed, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(small_backbone, randomize, images, numpy_of, channels):
    backbone = randomize(small_backbone(**TWO_STAGES, input_shape=(None, None, channels)))
    assert backbone.get_layer("stem").weights[0].shape == (4, 4, channels, 8)
    assert np.isfinite(numpy_of(backbone, images(1, 16, 16, channels))).all()


IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("channels", "given", "mean", "std"),
    [
        (3, {}, IMAGENET_MEAN, IMAGENET_STD),
        (1, {}, IMAGENET_MEAN.mean(), IMAGENET_STD.mean()),
        (5, {}, IMAGENET_MEAN.mean(), IMAGENET_STD.mean()),
        (3, {"mean": 0.5, "std": 0.25}, 0.5, 0.25),
        (2, {"mean": (0.1, 0.2), "std": [0.3, 0.4]}, np.array([0.1, 0.2]), np.array([0.3, 0.4])),
    ],
)
def test_preprocessing_is_the_formula(small_backbone, randomize, images, numpy_of, channels, given, mean, std):
    shape = {**TWO_STAGES, "input_shape": (16, 16, channels)}
    whole = randomize(small_backbone(**shape, **given))
    bare = small_backbone(**shape, include_preprocessing=False)
    bare.set_weights(whole.get_weights())
    x = images(2, 16, 16, channels)
    expected = numpy_of(bare, ((x / 255 - mean) / std).astype("float32"))
    np.testing.assert_allclose(numpy_of(whole, x), expected, rtol=1e-4, atol=1e-4)


def test_bytes_are_images_too(small_backbone, randomize, images):
    backbone = randomize(small_backbone(**TWO_STAGES, input_shape=(16, 16, 3)))
    x = images(2, 16, 16, 3).astype("uint8")
    y, expected = (backbone.predict(images, verbose=0) for images in (x, x.astype("float32")))
    np.testing.assert_array_equal(y, expected)


# === Input tensors


def test_input_tensor_may_be_an_input(small_backbone):
    image = keras.Input((32, 48, 3), name="picture")
    backbone = small_backbone(input_tensor=image)
    assert backbone.input is image
    again = ConvNeXtBackbone.from_config(backbone.get_config())
    assert again.input_shape == (None, 32, 48, 3)


def test_input_tensor_may_come_from_other_layers(small_backbone, randomize, images, numpy_of, tmp_path):
    first = keras.layers.Conv2D(3, 3, padding="same", data_format="channels_last", name="first")
    image = keras.Input((16, 16, 1))
    backbone = randomize(small_backbone(**TWO_STAGES, input_tensor=first(image)))
    alone = small_backbone(**TWO_STAGES, input_shape=(16, 16, 3))
    alone.set_weights(backbone.get_weights()[len(first.weights) :])
    x = images(2, 16, 16, 1)
    expected = numpy_of(alone, numpy_of(first, x))
    np.testing.assert_allclose(numpy_of(backbone, x), expected, rtol=1e-4, atol=1e-4)

    connected = keras.Model(image, backbone.output)
    np.testing.assert_allclose(numpy_of(connected, x), expected, rtol=1e-4, atol=1e-4)
    connected.save(tmp_path / "connected.keras")
    loaded = keras.saving.load_model(tmp_path / "connected.keras")
    np.testing.assert_allclose(numpy_of(loaded, x), expected, rtol=1e-4, atol=1e-4)


def test_input_tensor_may_come_from_two_inputs(small_backbone, randomize, images, numpy_of):
    color, depth = keras.Input((16, 16, 3)), keras.Input((16, 16, 1))
    joined = keras.layers.Concatenate()([color, depth])
    backbone = randomize(small_backbone(**TWO_STAGES, input_tensor=joined))
    alone = small_backbone(**TWO_STAGES, input_shape=(16, 16, 4))
    alone.set_weights(backbone.get_weights())
    x = images(2, 16, 16, 4)
    y = numpy_of(lambda: backbone([x[..., :3], x[..., 3:]]))
    np.testing.assert_allclose(y, numpy_of(alone, x), rtol=1e-4, atol=1e-4)


# === Pyramids and strides


@pytest.mark.parametrize(
    ("arguments", "levels"),
    [
        ({}, {"P2": 8, "P3": 16, "P4": 24, "P5": 32}),
        ({"stem": "overlap"}, {"P2": 8, "P3": 16, "P4": 24, "P5": 32}),
        ({"stem_patch_size": 2}, {"P1": 8, "P2": 16, "P3": 24, "P4": 32}),
        ({"stem_patch_size": 1}, {"P0": 8, "P1": 16, "P2": 24, "P3": 32}),
        ({"depths": (2,), "dims": (8,), "stem_patch_size": 16, "stem_norm": False}, {"P4": 8}),
        ({"output_stride": 16}, {"P2": 8, "P3": 16, "P4": 24, "P5": 32}),
        ({"output_stride": 8}, {"P2": 8, "P3": 16, "P4": 24, "P5": 32}),
        ({"output_stride": 4, "stem_patch_size": 2}, {"P1": 8, "P2": 16, "P3": 24, "P4": 32}),
        (
            {"depths": (1,) * 5, "dims": (8, 8, 8, 8, 16), "output_stride": 64},
            {f"P{n}": 8 for n in range(2, 6)} | {"P6": 16},
        ),
    ],
)
@pytest.mark.parametrize("level_norm", [False, True])
def test_pyramid(small_backbone, arguments, levels, level_norm):
    backbone = small_backbone(**arguments, level_norm=level_norm, input_shape=(64, 128, 3))
    strides = {level: min(2 ** int(level[1:]), arguments.get("output_stride", 32)) for level in levels}
    assert {level: tuple(tensor.shape) for level, tensor in backbone.pyramid_outputs.items()} == {
        level: (None, 64 // strides[level], 128 // strides[level], channels) for level, channels in levels.items()
    }
    assert list(backbone.pyramid_level_inputs) == list(levels)
    for level, name in backbone.pyramid_level_inputs.items():
        assert backbone.get_layer(name).output is backbone.pyramid_outputs[level]
        assert name.endswith("_norm") is level_norm
    assert backbone.output.shape == list(backbone.pyramid_outputs.values())[-1].shape
    assert backbone.stride == max(strides.values())
    assert backbone.embedding_dims == backbone.hidden_dims == tuple(levels.values())
    assert backbone.image_shape == (64, 128, 3)


@pytest.mark.parametrize(("given", "normed"), [(True, (0, 1, 2, 3)), ((3, 1), (1, 3)), ([2], (2,)), ((), ())])
@pytest.mark.parametrize("output_stride", [32, 16])
def test_level_norm_may_name_the_stages(small_backbone, given, normed, output_stride):
    backbone = small_backbone(level_norm=given, output_stride=output_stride)
    again = ConvNeXtBackbone.from_config(json.loads(json.dumps(backbone.get_config())))
    for one in (backbone, again):
        assert [layer.name for layer in one.layers if layer.name.endswith("_norm")] == [
            f"stage_{n}_norm" for n in normed
        ]
        assert one.level_norm == (normed if given is not True and normed else bool(normed))


def test_a_dilated_network_of_version_0_2_has_the_norms_that_it_had(small_backbone):
    """Of two stages that shared a stride, the last alone had a level."""
    config = {**small_backbone(output_stride=8).get_config(), "level_norm": True}
    assert ConvNeXtBackbone.from_config(config).level_norm == (0, 3)


def test_pyramid_level_inputs_are_the_last_blocks(small_backbone):
    assert small_backbone().pyramid_level_inputs == {
        "P2": "stage_0_block_0",
        "P3": "stage_1_block_0",
        "P4": "stage_2_block_1",
        "P5": "stage_3_block_0",
    }


def test_level_norm_normalizes_each_level_and_leaves_the_stages_alone(small_backbone, randomize, images, numpy_of):
    normed = randomize(small_backbone(**TWO_STAGES, level_norm=True))
    plain = small_backbone(**TWO_STAGES)
    own = [weight for weight in normed.weights if not weight.path.startswith(("stage_0_norm", "stage_1_norm"))]
    plain.set_weights([keras.ops.convert_to_numpy(weight.value) for weight in own])
    x = images(2, 16, 16, 3)
    levels, expected = (numpy_of(keras.Model(one.input, one.pyramid_outputs), x) for one in (normed, plain))
    for stage, (level, y) in enumerate(expected.items()):
        gamma, beta = normed.get_layer(f"stage_{stage}_norm").get_weights()
        mean, variance = y.mean(-1, keepdims=True), y.var(-1, keepdims=True)
        y = (y - mean) / np.sqrt(variance + 1e-6) * gamma + beta
        np.testing.assert_allclose(levels[level], y, rtol=1e-3, atol=1e-3, err_msg=level)
    np.testing.assert_allclose(numpy_of(normed, x), levels["P3"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("output_stride", "rows"), [(16, np.s_[::2]), (8, np.s_[1::4])])
def test_a_dilated_network_holds_the_undilated_one(small_backbone, randomize, images, numpy_of, output_stride, rows):
    """Without GRN, which looks at the whole map, the finer map has the coarser at every second (fourth) position."""
    coarse = randomize(small_backbone(input_shape=(64, 96, 3)))
    fine = small_backbone(input_shape=(64, 96, 3), output_stride=output_stride)
    assert [(w.path, w.shape) for w in fine.weights] == [(w.path, w.shape) for w in coarse.weights]
    fine.set_weights(coarse.get_weights())
    x = images(1, 64, 96, 3)
    y, expected = numpy_of(fine, x), numpy_of(coarse, x)
    assert y.shape == (1, 64 // output_stride, 96 // output_stride, 32)
    np.testing.assert_allclose(y[:, rows, rows], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("stem_patch_size", "size"), [(1, 8), (2, 16), (16, 128)])
def test_other_stems_run_at_their_smallest_size(small_backbone, numpy_of, images, stem_patch_size, size):
    backbone = small_backbone(stem_patch_size=stem_patch_size, output_stride=256)
    assert backbone.stride == size
    assert numpy_of(backbone, images(1, size, size, 3)).shape == (1, 1, 1, 32)


# === Configuration

CHANGED = {
    "depths": (1, 2),
    "dims": (4, 8),
    "stem": "overlap_act",
    "stem_patch_size": 4,
    "stem_norm": False,
    "kernel_size": (3, 5),
    "mlp_ratio": 2.5,
    "layer_scale_init_value": 0.5,
    "use_grn": True,
    "norm_eps": 1e-3,
    "drop_path_rate": 0.25,
    "output_stride": 4,
    "level_norm": (1,),
    "input_shape": (2, 16, None),
    "include_preprocessing": False,
    "mean": (0.25, 0.5),
    "std": (0.5, 0.25),
    "data_format": "channels_first",
    "remat": True,
    "norm": "rms_norm",
    "hidden_activation": "silu",
    "conv_bias": False,
    "preset": "convnext_tiny_1k_224_ema",
    "license": "MIT",
    "frozen_layers": ["stem"],
    "overrides": {"stage_0_block_0": {"overrides": {"pointwise_conv_1": {"lora_rank": 2, "lora_alpha": 3}}}},
    "dtype": "mixed_bfloat16",
    "trainable": True,
    "name": "changed",
}


def test_the_configuration_has_every_argument():
    arguments = set(inspect.signature(ConvNeXtBackbone.__init__).parameters) - {"self", "input_tensor"}
    assert set(CHANGED) == arguments


def test_the_configuration_round_trips_through_json(randomize, images, numpy_of):
    backbone = randomize(ConvNeXtBackbone(**CHANGED))
    config = backbone.get_config()
    assert {key: config[key] for key in CHANGED if key != "dtype"} == {k: v for k, v in CHANGED.items() if k != "dtype"}
    again = ConvNeXtBackbone.from_config(json.loads(json.dumps(config)))
    assert json.dumps(again.get_config()) == json.dumps(config)
    assert [layer.get_config() for layer in again.layers[1:]] == [layer.get_config() for layer in backbone.layers[1:]]
    again.set_weights(backbone.get_weights())
    x = images(1, 2, 16, 16) / 255
    y, expected = (numpy_of(lambda one=one: keras.ops.cast(one(x), "float32")) for one in (again, backbone))
    np.testing.assert_array_equal(y, expected)


def test_from_preset_takes_changes():
    backbone = ConvNeXtBackbone.from_preset("convnextv2_atto", drop_path_rate=0.3, stem_patch_size=2, name="mine")
    assert (backbone.name, backbone.depths, backbone.dims) == ("mine", (2, 2, 6, 2), (40, 80, 160, 320))
    assert (backbone.use_grn, backbone.layer_scale_init_value) == (True, None)
    assert (backbone.drop_path_rate, backbone.stem_patch_size) == (0.3, 2)
    assert ConvNeXtBackbone.from_preset("convnext_atto").name == "convnext_atto"


# === Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depths": (1, 1), "dims": (8, 16, 32)}, r"same length.*depths=\(1, 1\) \(2\), dims=\(8, 16, 32\) \(3\)"),
        ({"depths": (), "dims": ()}, "same length"),
        ({"depths": (1, 0), "dims": (8, 16)}, "must be positive"),
        ({"dims": (8, -16)}, "must be positive"),
        ({"drop_path_rate": 1.0}, "`drop_path_rate` must be at least 0 and below 1. Received: drop_path_rate=1.0"),
        ({"drop_path_rate": -0.1}, "`drop_path_rate` must be at least 0 and below 1. Received: drop_path_rate=-0.1"),
        ({"level_norm": (0, 2)}, "`level_norm` must be True, False or different stages from 0 to 1"),
        ({"level_norm": (1, 1)}, "`level_norm` must be True, False or different stages"),
        ({"level_norm": 3}, "`level_norm` must be True or False"),
        ({"output_stride": 12}, "`output_stride` must be a power of two. Received: output_stride=12"),
        ({"output_stride": 0}, "`output_stride` must be a power of two"),
        ({"output_stride": 2}, "must not be smaller than the stem's stride.*output_stride=2, stem_patch_size=4"),
        ({"stem_patch_size": 3}, "`stem_patch_size` must be a power of two"),
        ({"stem": "conv"}, "`kind` must be one of patchify, overlap, overlap_tiered"),
        ({"kernel_size": 4}, "`kernel_size` must be odd"),
        ({"mean": (0.5, 0.5)}, r"`mean` must have one number for each of 3 channels. Received: mean=\(0.5, 0.5\)"),
        ({"std": (0.5,) * 4}, "`std` must have one number for each of 3 channels"),
        ({"input_shape": (None, None, None)}, "number of channels must be known"),
        ({"std": (0.5, 0.0, 0.5)}, "`std` must be positive"),
        ({"stem_patch_size": 2.0}, "`stem_patch_size` must be a power of two"),
        ({"data_format": "NCHW"}, "`data_format` must be channels_last or channels_first. Received: 'NCHW'"),
        ({"input_shape": (64, 64)}, "a height, a width and channels"),
        ({"input_shape": (7, 64, 3)}, "7x64 pixels are smaller than this network's stride of 8"),
        ({"input_shape": (3, 64, 7), "data_format": "channels_first"}, "64x7 pixels are smaller"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvNeXtBackbone(**{**TWO_STAGES, **arguments})


def test_refuses_an_input_shape_beside_an_input_tensor():
    with pytest.raises(ValueError, match="`input_shape` or `input_tensor`, not both"):
        ConvNeXtBackbone(**TWO_STAGES, input_shape=(32, 32, 3), input_tensor=keras.Input((32, 32, 3)))


@pytest.mark.parametrize("make", [ConvNeXtBackbone, ConvNeXtBackbone.from_config])
def test_refuses_an_argument_that_it_does_not_know(make):
    arguments = {**TWO_STAGES, "drop_path_rat": 0.1}
    with pytest.raises(TypeError, match="drop_path_rat"):
        make(arguments) if make is not ConvNeXtBackbone else make(**arguments)


@pytest.mark.parametrize("shape", [(1, 16, 31, 3), (1, 31, 64, 3)])
def test_refuses_images_that_are_too_small_when_called(small_classifier, shape):
    model = small_classifier()
    for called in (model, model.backbone):
        with pytest.raises(
            ValueError, match=r"smaller than this network's stride of 32\. Give larger images, or a smaller"
        ):
            called(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match="smaller than this network's stride of 32"):
        model.predict(np.zeros(shape, "float32"), verbose=0)


def test_refuses_small_images_by_their_sides_in_channels_first(small_backbone):
    backbone = small_backbone(data_format="channels_first")
    with pytest.raises(ValueError, match="16x64 pixels are smaller"):
        backbone(np.zeros((1, 3, 16, 64), "float32"))
