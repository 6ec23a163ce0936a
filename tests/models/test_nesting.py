"""A backbone as a part: of functional, sequential and subclassed models, and under TimeDistributed."""

import keras
import numpy as np
import pytest

L = keras.layers


@pytest.fixture
def backbone(small_backbone, randomize):
    return randomize(small_backbone("v1", depths=(1, 1), dims=(8, 16), input_shape=(16, 16, 3)))


def pooled(features):
    return features.mean(axis=(1, 2))


def functional(backbone):
    image = keras.Input((16, 16, 3))
    return keras.Model(image, L.GlobalAveragePooling2D()(backbone(image)))


def sequential(backbone):
    return keras.Sequential([backbone, L.GlobalAveragePooling2D()])


def subclassed(backbone):
    class Pooled(keras.Model):
        def __init__(self):
            super().__init__()
            self.backbone = backbone
            self.pool = L.GlobalAveragePooling2D()

        def call(self, images, training=None):
            return self.pool(self.backbone(images, training=training))

    model = Pooled()
    model.build((None, 16, 16, 3))
    return model


@pytest.mark.parametrize("nest", [functional, sequential, subclassed])
def test_a_nested_backbone_computes_the_same(backbone, images, numpy_of, nest):
    x = images(2, 16, 16, 3)
    model = nest(backbone)
    np.testing.assert_allclose(numpy_of(model, x), pooled(numpy_of(backbone, x)), rtol=1e-4, atol=1e-4)
    assert [weight.path for weight in model.trainable_weights] == [weight.path for weight in backbone.trainable_weights]


@pytest.mark.parametrize("nest", [functional, sequential, subclassed])
def test_training_reaches_stochastic_depth(small_backbone, randomize, images, nest):
    backbone = randomize(small_backbone(depths=(1, 1), dims=(8, 16), input_shape=(16, 16, 3), drop_path_rate=0.5))
    model, x = nest(backbone), images(16, 16, 16, 3)
    inference, training = (keras.ops.convert_to_numpy(model(x, training=mode)) for mode in (False, True))
    assert (np.abs(training - inference).max(axis=-1) > 1e-3).all(), "each sample is dropped or scaled"


def test_time_distributed_computes_each_frame(backbone, images, numpy_of):
    x = images(2, 3, 16, 16, 3)
    clip = keras.Input((3, 16, 16, 3))
    y = numpy_of(keras.Model(clip, L.TimeDistributed(backbone)(clip)), x)
    assert y.shape == (2, 3, 2, 2, 16)
    for time in range(3):
        np.testing.assert_allclose(y[:, time], numpy_of(backbone, x[:, time]), rtol=1e-4, atol=1e-4)


def test_time_distributed_trains_with_stochastic_depth(small_backbone, randomize, images):
    backbone = small_backbone("v1", depths=(1, 1), dims=(8, 16), input_shape=(16, 16, 3), drop_path_rate=0.5)
    clip = keras.Input((2, 16, 16, 3))
    features = L.TimeDistributed(backbone)(clip)
    model = randomize(keras.Model(clip, L.Dense(1)(L.GlobalAveragePooling3D()(features))))
    before = backbone.get_weights()
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    x = images(4, 2, 16, 16, 3)
    history = model.fit(x, np.ones((4, 1)), batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for weight, old, new in zip(backbone.weights, before, backbone.get_weights(), strict=True):
        assert np.isfinite(new).all()
        assert (old != new).any(), weight.path
