"""PointwiseConv against Keras's own `Dense`, with and without a bias."""

import keras
import numpy as np
import pytest

from keras_convnext.layers.pointwise_conv import PointwiseConv


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_equals_keras_dense(randomize, numpy_of, rng, use_bias, training):
    ours, theirs = (kind(6, activation="gelu", use_bias=use_bias) for kind in (PointwiseConv, keras.layers.Dense))
    x = rng.normal(size=(2, 3, 5, 4)).astype("float32")
    for layer in (ours, theirs):
        layer.build(x.shape)
    theirs.set_weights(randomize(ours).get_weights())
    found = numpy_of(lambda: ours(x, training=training))
    np.testing.assert_allclose(found, numpy_of(lambda: theirs(x)), rtol=1e-4, atol=1e-5)
