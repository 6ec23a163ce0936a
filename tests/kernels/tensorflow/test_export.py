"""Linear layers as exports write them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_convnext import kernels


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [None, kernels.gelu])
def test_a_linear_layer_is_the_same_as_a_convolution(bias, activation):
    rng = np.random.default_rng(0)
    x, kernel = (tf.constant(rng.normal(size=shape), "float32") for shape in ((2, 5, 4, 3), (3, 6)))
    bias = tf.constant(rng.normal(size=6), "float32") if bias else None
    expected = kernels.linear(x, kernel, bias, activation=activation)
    operators, found = {}, {}
    for runtime in ("openvino", "onnxruntime"):
        with kernels.exporting(runtime):
            function = tf.function(lambda x: kernels.linear(x, kernel, bias, activation=activation))
            found[runtime] = function(x)
            operators[runtime] = {one.type for one in function.get_concrete_function(x).graph.get_operations()}
        np.testing.assert_allclose(found[runtime], expected, atol=1e-5)
    assert "Conv2D" in operators["onnxruntime"] and "MatMul" not in operators["onnxruntime"]
    assert "Conv2D" not in operators["openvino"]


def test_features_without_a_map_stay_products():
    with kernels.exporting("onnxruntime"):
        y = kernels.linear(tf.ones((2, 3)), tf.ones((3, 4)), None)
    np.testing.assert_array_equal(y, np.full((2, 4), 3.0))
