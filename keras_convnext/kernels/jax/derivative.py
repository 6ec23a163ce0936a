"""A custom gradient on JAX that leaves forward mode and higher derivatives to JAX.

`jax.custom_vjp` takes a gradient too, but does not support forward mode, and thus Hessian-vector products. Here the
derivative is a primitive that is linear in the tangents. Its evaluation is JAX's own derivative, and its transpose is
the given gradient.
"""

import jax
from jax import numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def with_gradient(function, gradient):
    """Returns `function` with `gradient` as its gradient in reverse mode.

    Args:
        function: function of floating-point arrays that returns one array and that JAX can differentiate. It must not
            close over anything that has a derivative.
        gradient: function of the same arrays and of the gradient of the output. It returns the gradient of each array,
            with the array's shape and type. JAX differentiates it for second derivatives.
    """

    @jax.custom_jvp
    def call(*arguments):
        return function(*arguments)

    @call.defjvp
    def derivative(arguments, tangents):
        output = call(*arguments)
        shape = jax.ShapeDtypeStruct(output.shape, output.dtype)
        return output, _derivative.bind(*arguments, *tangents, function=function, gradient=gradient, shape=shape)

    return call


_derivative = Primitive("keras_convnext_derivative")
"""The tangent of a function's output, as a function of its arguments and of their tangents, in which it is linear."""


def _halves(operands):
    return operands[: len(operands) // 2], operands[len(operands) // 2 :]


@_derivative.def_impl
def _evaluate(*operands, function, **_):
    return jax.jvp(function, *_halves(operands))[1]


@_derivative.def_abstract_eval
def _abstract(*operands, shape, **_):
    return jax.core.ShapedArray(shape.shape, shape.dtype)


def _differentiate(operands, tangents, **functions):
    tangents = tuple(ad.instantiate_zeros(tangent) for tangent in tangents)
    return jax.jvp(lambda *operands: _evaluate(*operands, **functions), operands, tangents)


def _transpose(grad_output, *operands, gradient, **_):
    arguments, tangents = _halves(operands)
    grad_arguments = gradient(*arguments, ad.instantiate_zeros(grad_output))
    is_sought = [ad.is_undefined_primal(tangent) for tangent in tangents]
    sought = [each if wanted else None for each, wanted in zip(grad_arguments, is_sought, strict=True)]
    return [None] * len(arguments) + sought


def _batch(operands, axes, function, gradient, shape):
    """The derivative of the function mapped over the first axis of those arguments that have a batch axis."""
    count = next(each.shape[axis] for each, axis in zip(operands, axes, strict=True) if axis is not None)
    mapped = [pair != (None, None) for pair in zip(*_halves(axes), strict=True)]

    def first(operand, axis, is_mapped):
        if axis is None:
            return jnp.broadcast_to(operand, (count, *operand.shape)) if is_mapped else operand
        return jnp.moveaxis(operand, axis, 0)

    operands = [first(*each) for each in zip(operands, axes, 2 * mapped, strict=True)]
    in_axes = tuple(0 if is_mapped else None for is_mapped in mapped)

    def gradients(*arguments):
        found = jax.vmap(gradient, (*in_axes, 0))(*arguments)
        return [each if is_mapped else each.sum(0) for each, is_mapped in zip(found, mapped, strict=True)]

    shape = jax.ShapeDtypeStruct((count, *shape.shape), shape.dtype)
    return _derivative.bind(*operands, function=jax.vmap(function, in_axes), gradient=gradients, shape=shape), 0


ad.primitive_jvps[_derivative] = _differentiate
ad.primitive_transposes[_derivative] = _transpose
batching.primitive_batchers[_derivative] = _batch
mlir.register_lowering(_derivative, mlir.lower_fun(_evaluate, multiple_results=False))
