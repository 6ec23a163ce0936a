"""Forward mode and second derivatives of a block against those of Keras's own layers, by each backend's own means."""

import numpy as np
import pytest
from keras import ops

DIM, SHAPE = 6, (2, 5, 4, 6)


def along(layer, x, training, backend):
    """Derivatives of `sum(layer(x)**2)` along a direction in x and in every weight.

    Returns:
        Its derivative by forward mode, and the derivative of its gradient in x: by forward mode over reverse mode, and
        by reverse mode twice.
    """
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=SHAPE).astype("float32")]
    by_shape = {"kernel": 0.1, "bias": 0.2, "gamma": 0.3, "beta": 0.4}
    directions += [np.full(weight.shape, by_shape[weight.name], "float32") for weight in layer.trainable_variables]
    keywords = {} if training is None else {"training": training}
    return {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[backend](layer, x, directions, keywords)


def _jax(layer, x, directions, keywords):
    import jax

    def loss(x, *weights):
        return (layer.stateless_call(list(weights), [], x, **keywords)[0] ** 2).sum()

    @jax.jit
    def derivatives(arguments, directions):
        gradient = jax.grad(loss)
        return (
            jax.jvp(loss, arguments, directions)[1],
            jax.jvp(gradient, arguments, directions)[1],
            jax.grad(lambda x: jax.jvp(lambda *weights: loss(x, *weights), arguments[1:], directions[1:])[1])(
                arguments[0]
            )
            + jax.vjp(gradient, *arguments)[1](directions[0])[0],
        )

    arguments = (jax.numpy.asarray(x), *(weight.value for weight in layer.trainable_variables))
    return derivatives(arguments, tuple(directions))


def _tensorflow(layer, x, directions, keywords):
    import tensorflow as tf

    x = tf.constant(x)
    weights = [weight.value for weight in layer.trainable_variables]
    directions = [tf.constant(direction) for direction in directions]

    def loss():
        return tf.reduce_sum(layer(x, **keywords) ** 2)

    @tf.function
    def forward():
        with tf.autodiff.ForwardAccumulator([x, *weights], directions) as accumulator:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = loss()
            gradient = tape.gradient(y, x)
        return accumulator.jvp(y), accumulator.jvp(gradient)

    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = loss()
        gradients = inner.gradient(y, [x, *weights])
        total = sum(tf.reduce_sum(one * direction) for one, direction in zip(gradients, directions, strict=True))
    return *forward(), outer.gradient(total, x)


def _torch(layer, x, directions, keywords):
    import torch
    from torch.autograd import forward_ad

    x, *directions = (torch.from_numpy(array) for array in (x, *directions))
    weights = [weight.value for weight in layer.trainable_variables]

    def loss(x):
        return (layer(x, **keywords) ** 2).sum()

    x.requires_grad_()
    gradients = torch.autograd.grad(loss(x), [x, *weights], create_graph=True)
    first = sum((one * direction).sum() for one, direction in zip(gradients, directions, strict=True))
    (twice,) = torch.autograd.grad(first, x, retain_graph=True)
    in_weights = sum((one * direction).sum() for one, direction in zip(gradients[1:], directions[1:], strict=True))
    (mixed,) = torch.autograd.grad(in_weights, x)
    forward = torch.func.jvp(torch.func.grad(loss), (x.detach(),), (directions[0],))[1] + mixed
    with torch.no_grad(), forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(x.detach(), directions[0]))).tangent
    rest = sum((one * direction).sum() for one, direction in zip(gradients[1:], directions[1:], strict=True))
    return tangent + rest.detach(), forward.detach(), twice


def _normalized(x):
    centered = x - ops.mean(x, -1, keepdims=True)
    return centered * ops.rsqrt(ops.mean(centered**2, -1, keepdims=True) + 1e-6)


@pytest.mark.parametrize(("remat", "training"), [(False, False), (False, True), (True, True)])
def test_equal_those_of_keras_own_layers(pair, backend, rng, remat, training):
    block, plain = pair(3, remat=remat)
    norm = plain.parts[1]
    if backend == "tensorflow":  # whose fused norm, which Keras's layer takes, has a wrong second derivative
        norm.call = lambda x: _normalized(x) * norm.gamma + norm.beta
    x = rng.normal(size=SHAPE).astype("float32")
    expected, found = along(plain, x, None, backend), along(block, x, training, backend)
    for ours, theirs in zip(found, expected, strict=True):
        theirs = np.asarray(theirs)
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-4, atol=2e-5 * np.abs(theirs).max())
    np.testing.assert_allclose(found[1], found[2], rtol=1e-4, atol=2e-5 * np.abs(found[1]).max())
