"""`data_format="channels_first"`: the same network with the channels in front, at every edge."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier

TWO_STAGES = {"depths": (1, 1), "dims": (8, 16), "kernel_size": 3}
TO_FRONT = (0, 3, 1, 2)


@pytest.fixture
def pair(small_backbone, randomize):
    """A function: two backbones of the same weights, channels last and channels first."""

    def make(version, **changes):
        last = randomize(small_backbone(version, **TWO_STAGES, input_shape=(16, 24, 3), **changes))
        first = small_backbone(version, **TWO_STAGES, input_shape=(3, 16, 24), data_format="channels_first", **changes)
        first.set_weights(last.get_weights())
        return last, first

    return make


def assert_equal(outputs, expected):
    np.testing.assert_allclose(outputs, expected.transpose(TO_FRONT), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level_norm", [False, True])
def test_backbone_and_pyramid(pair, version, images, numpy_of, level_norm):
    last, first = pair(version, level_norm=level_norm)
    x = images(2, 16, 24, 3)
    models = [keras.Model(one.input, {"output": one.output, **one.pyramid_outputs}) for one in (last, first)]
    expected, outputs = numpy_of(models[0], x), numpy_of(models[1], x.transpose(TO_FRONT))
    assert set(outputs) == {"output", "P2", "P3"}
    for name, values in outputs.items():
        assert_equal(values, expected[name])
    for level, name in first.pyramid_level_inputs.items():
        assert first.get_layer(name).output is first.pyramid_outputs[level]


@pytest.mark.parametrize("head_norm_first", [False, True])
def test_classifier(pair, randomize, images, numpy_of, head_norm_first):
    last, first = (ConvNeXtClassifier(one, 5, head_norm_first=head_norm_first) for one in pair("v1"))
    first.set_weights(randomize(last).get_weights())
    x = images(2, 16, 24, 3)
    logits = numpy_of(last, x)
    assert logits.std() > 0.1
    np.testing.assert_allclose(numpy_of(first, x.transpose(TO_FRONT)), logits, rtol=1e-4, atol=1e-4)


def test_the_global_setting(pair, images, numpy_of, channels_first_globally):
    last = ConvNeXtBackbone(**TWO_STAGES, input_shape=(16, 24, 3), data_format="channels_last")
    first = ConvNeXtBackbone(**TWO_STAGES)
    assert (first.data_format, first.input_shape) == ("channels_first", (None, 3, None, None))
    first.set_weights(last.get_weights())
    x = images(2, 16, 24, 3)
    assert_equal(numpy_of(first, x.transpose(TO_FRONT)), numpy_of(last, x))
    logits = [
        numpy_of(randomized_head(ConvNeXtClassifier(one, 5)), images)
        for one, images in ((last, x), (first, x.transpose(TO_FRONT)))
    ]
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-4, atol=1e-4)


def randomized_head(classifier):
    head = classifier.get_layer("head")
    head.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in head.weights])
    return classifier


@pytest.mark.parametrize("input_shape", [(8, 8, 1), (None, None, 3)])
def test_a_shape_that_was_meant_to_be_channels_last_is_told(input_shape, channels_first_globally):
    hint = r'read as \(channels, height, width\)\. If .*, pass data_format="channels_last"'
    with pytest.raises(ValueError, match=hint):
        ConvNeXtBackbone(**TWO_STAGES, input_shape=input_shape)


def test_a_saved_data_format_outlives_the_global_setting(small_backbone, channels_first_globally):
    config = small_backbone(**TWO_STAGES, data_format="channels_last").get_config()
    assert ConvNeXtBackbone.from_config(config).input_shape == (None, None, None, 3)


def test_input_tensor(pair, images, numpy_of):
    last, first = pair("v1")
    image = keras.Input((3, 16, 24))
    doubled = ConvNeXtBackbone(
        **TWO_STAGES, data_format="channels_first", input_tensor=keras.layers.Rescaling(2.0)(image)
    )
    doubled.set_weights(first.get_weights())
    x = images(1, 16, 24, 3)
    assert_equal(numpy_of(doubled, x.transpose(TO_FRONT)), numpy_of(last, 2 * x))
