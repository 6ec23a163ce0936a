"""Single operators in place of several: where they are, where they must not be, and that nothing else is computed."""

import collections

import keras
import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.export import export
from keras_convnext.export.onnx_fusions import fuse

NORM = """<ir_version: 9, opset_import: ["" : 18]>
norm (float[2, 3, 3, 3] x) => (float[2, 3, 3, 3] y)
<float[3] gamma = {GAMMA}, float[3] beta = {0.5, -1.0, 2.0}, float epsilon = {1e-6}, int64[1] axes = {AXIS}> {
    mean = ReduceMean <keepdims = 1> (x, axes)
    centered = Sub (x, mean)
    squares = Mul (centered, centered)
    variance = ReduceMean <keepdims = 1> (squares, axes)
    shifted = Add (variance, epsilon)
    deviation = Sqrt (shifted)
    normalized = Div (centered, deviation)
    scaled = Mul (normalized, gamma)
    y = Add (scaled, beta)
}"""

GELU = """<ir_version: 9, opset_import: ["" : 18]>
gelu (float[2, 3, 3, 3] x) => (float[2, 3, 3, 3] y)
<float half = {HALF}, float one = {1.0}, float root = {ROOT}> {
    scaled = Mul (x, root)
    erf = Erf (scaled)
    shifted = Add (one, erf)
    halved = Mul (half, x)
    y = Mul (halved, shifted)
}"""

CONVOLUTION = """<ir_version: 9, opset_import: ["" : 18]>
convolution (float[2, 3, 3, 3] x) => (float[2, 2, 2, 3] y)
<float[3, 1, 2, 2] kernel = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0, 3.0}, BIAS> {
    convolved = Conv <group = 3> (x, kernel)
    last = Transpose <perm = [PERM]> (convolved)
    y = Add (last, bias)
}"""

ONES, BIAS = "1.0, 2.0, 3.0", "float[3] bias = {1.0, 2.0, 3.0}"


def fused(text, **values):
    """A text with values filled in, as a model before and after fusing."""
    for name, value in values.items():
        text = text.replace(name, value)
    before = onnx_ir.from_onnx_text(text)
    after = onnx_ir.from_onnx_text(text)
    fuse(after)
    return onnx_ir.to_proto(before), onnx_ir.to_proto(after)


def operators(model):
    return collections.Counter(node.op_type for node in model.graph.node)


def outputs(model):
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype("float32")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (NORM, {"GAMMA": ONES, "AXIS": "-1"}, {"LayerNormalization": 1}),
        (GELU, {"HALF": "0.5", "ROOT": "0.70710678"}, {"Gelu": 1}),
        (CONVOLUTION, {"PERM": "0, 2, 3, 1", "BIAS": BIAS}, {"Conv": 1, "Transpose": 1}),
    ],
    ids=["norm", "gelu", "bias"],
)
def test_one_operator_computes_the_same(text, values, expected):
    before, after = fused(text, **values)
    onnx.checker.check_model(after, full_check=True)
    assert operators(after) == expected
    np.testing.assert_allclose(outputs(after), outputs(before), atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "values"),
    [
        (NORM, {"GAMMA": ONES, "AXIS": "1"}),
        (NORM.replace("float[3] gamma", "float[1] gamma"), {"GAMMA": "2.0", "AXIS": "-1"}),
        (GELU, {"HALF": "1.0", "ROOT": "0.70710678"}),
        (GELU, {"HALF": "0.5", "ROOT": "0.75"}),
        (CONVOLUTION, {"PERM": "0, 3, 2, 1", "BIAS": BIAS}),
        (CONVOLUTION, {"PERM": "0, 2, 3, 1", "BIAS": "float[1, 1, 2, 1] bias = {1.0, 2.0}"}),
        (CONVOLUTION, {"PERM": "0, 2, 3, 1", "BIAS": "float[1] bias = {1.0}"}),
    ],
    ids=["other axis", "one weight", "other factor", "other root", "other axes", "bias of rows", "one bias"],
)
def test_what_only_resembles_them_is_left(text, values):
    before, after = fused(text, **values)
    assert operators(after) == operators(before)
    np.testing.assert_array_equal(outputs(after), outputs(before))


def test_what_tensorflow_exports_has_them(backend, tmp_path):
    if backend != "tensorflow":
        pytest.skip("tf2onnx converts programs of TensorFlow")
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, input_shape=(64, 64, 3))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:  # ones and zeros of initialization are left out of products and sums
        weight.assign_add(rng.normal(0.0, 0.1, weight.shape))
    export(model, tmp_path / "model.onnx")
    written = onnx.load(tmp_path / "model.onnx")
    found, blocks = operators(written), sum(model.backbone.depths)
    assert found["Gelu"] == blocks
    assert found["LayerNormalization"] == blocks + len(model.backbone.depths)
    assert "Erf" not in found
    convolutions = [node for node in written.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 3 * blocks + len(model.backbone.depths)
    assert all(len(node.input) == 3 for node in convolutions)


def test_tensorflow_exports_maps_of_1_x_1(backend, tmp_path):
    """With transpositions moved by tf2onnx, ONNX Runtime refused to run them."""
    if backend != "tensorflow":
        pytest.skip("tf2onnx converts programs of TensorFlow")
    keras.utils.set_random_seed(0)
    model = ConvNeXtClassifier.from_preset("test_convnext", num_classes=3, input_shape=(32, 32, 3))
    assert export(model, tmp_path / "model.onnx", batch_size=2).difference < 1e-5
