"""Single operators of ONNX in place of what tf2onnx writes: layer norms, GELUs, and biases of convolutions.

ONNX Runtime computes each of them in one pass over memory. It does not recognize them by itself in tf2onnx's form.
"""

import math

import numpy as np
import onnx_ir
import onnx_ir.passes.common
from onnxscript import version_converter
from onnxscript.rewriter import pattern

from keras_convnext.export.formats import ONNX_OPSET

IR_VERSION = 9
"""The version of ONNX's files that came with it."""


def fuse(model: onnx_ir.Model) -> int:
    """Rewrites a model in place: it then has the operators of `ONNX_OPSET`, and computes the same.

    Args:
        model: a model whose weights are constants, and whose layer norms and GELUs are those of the kernels for
            exporting from TensorFlow.

    Returns:
        The number of operators that took the place of several.

    Example:

    >>> import onnx_ir
    >>> from keras_convnext.export.onnx_fusions import fuse
    >>> text = '''<ir_version: 9, opset_import: ["" : 18]>
    ... gelu (float[2] x) => (float[2] y) <float half = {0.5}, float one = {1.0}, float root = {0.70710678}> {
    ...     scaled = Mul (x, root)
    ...     erf = Erf (scaled)
    ...     shifted = Add (one, erf)
    ...     halved = Mul (half, x)
    ...     y = Mul (halved, shifted)
    ... }'''
    >>> model = onnx_ir.from_onnx_text(text)
    >>> fuse(model)
    1
    >>> [node.op_type for node in model.graph]
    ['Gelu']
    """
    version_converter.convert_version(model, ONNX_OPSET)
    model.ir_version = max(model.ir_version, IR_VERSION)
    rules = [LayerNorm.rule(), Gelu.rule(), ConvolutionBias.rule()]
    count = pattern.RewriteRuleSet(rules, commute=True).apply_to_model(model)
    onnx_ir.passes.common.RemoveUnusedNodesPass()(model)
    return count


class LayerNorm(pattern.RewriteRuleClassBase):
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` over the last axis, in float32."""

    def pattern(self, op, x, gamma, beta, epsilon, axes_1, axes_2):
        """What tf2onnx writes."""
        centered = op.Sub(x, op.ReduceMean(x, axes_1, keepdims=1))
        variance = op.ReduceMean(op.Mul(centered, centered), axes_2, keepdims=1)
        return op.Add(op.Mul(op.Div(centered, op.Sqrt(op.Add(variance, epsilon))), gamma), beta)

    def check(self, context, x, gamma, beta, epsilon, axes_1, axes_2, **_):
        """Whether the constants are those of a layer norm over the last axis."""
        result = pattern.MatchResult()
        for axes in (axes_1, axes_2):
            if not _is_constant(axes) or axes.const_value.numpy().tolist() != [-1]:
                return result.fail("not the last axis", axes)
        for weight in (gamma, beta):
            if not _is_constant(weight) or weight.const_value.numpy().shape != gamma.const_value.numpy().shape:
                return result.fail("no weight", weight)
        if gamma.const_value.numpy().ndim != 1 or gamma.const_value.dtype != onnx_ir.DataType.FLOAT:
            return result.fail("no weight per channel in float32", gamma)
        if not _is_constant(epsilon) or epsilon.const_value.size != 1:
            return result.fail("no number", epsilon)
        return result

    def rewrite(self, op, x, gamma, beta, epsilon, **_):
        """The same in one operator."""
        return op.LayerNormalization(x, gamma, beta, axis=-1, epsilon=epsilon.const_value.numpy().item())


class Gelu(pattern.RewriteRuleClassBase):
    """`0.5 * x * (1 + erf(x / sqrt(2)))`."""

    def pattern(self, op, x, half, one, root):
        """What tf2onnx writes."""
        return op.Mul(op.Mul(half, x), op.Add(one, op.Erf(op.Mul(x, root))))

    def check(self, context, half, one, root, **_):
        """Whether the constants are those of a GELU, in float16 at least."""
        result = pattern.MatchResult()
        for value, expected in ((half, 0.5), (one, 1.0), (root, math.sqrt(0.5))):
            if not _is_constant(value) or not np.allclose(value.const_value.numpy(), expected, rtol=1e-3):
                return result.fail("another number", value)
        return result

    def rewrite(self, op, x, **_):
        """The same in one operator."""
        return op.Gelu(x)


class ConvolutionBias(pattern.RewriteRuleClassBase):
    """A bias that is added after the channels became the last axis."""

    def pattern(self, op, x, kernel, bias):
        """What tf2onnx writes after a depthwise convolution."""
        return op.Add(op.Transpose(op.Conv(x, kernel, _outputs=["convolved"]), perm=[0, 2, 3, 1]), bias)

    def check(self, context, kernel, bias, **_):
        """Whether the constant has one number per channel."""
        result = pattern.MatchResult()
        if not (_is_constant(kernel) and _is_constant(bias)):
            return result.fail("no constant", bias)
        if bias.const_value.numpy().shape != kernel.const_value.numpy().shape[:1]:
            return result.fail("no number per channel", bias)
        return result

    def rewrite(self, op, x, kernel, bias, convolved, **_):
        """The bias as an input of the convolution."""
        attributes = convolved.producer().attributes
        return op.Transpose(op.Conv(x, kernel, bias, **attributes), perm=[0, 2, 3, 1])


def _is_constant(value):
    return value.const_value is not None
