"""A batch that is divided among devices: what these exchange."""

import math
import os
import re
import subprocess
import sys

PROGRAM = """
import jax, keras
from jax import numpy as jnp
from keras_convnext import kernels

keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
layout = keras.distribution.distribution().get_data_layout((4, 16, 16, 8)).backend_layout
x, kernel, bias = jax.device_put(jnp.ones((4, 16, 16, 8)), layout), jnp.ones((7, 7, 8, 1)), jnp.zeros(8)

def loss(x, kernel, bias):
    return jnp.sum(kernels.depthwise_conv(x, kernel, bias, dilation=1, training=True) ** 2)

print(jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel, bias).compile().as_text())
"""


def test_the_gradient_of_a_depthwise_convolution_exchanges_no_activations():
    """A loop over the batch would gather it on each device."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    exchanged = re.findall(r"= (\S+) (all-\w+|collective-permute)\(", ran.stdout)
    assert exchanged, "the devices must sum the kernel's gradient"
    assert {kind for _, kind in exchanged} == {"all-reduce"}
    sizes = [math.prod(map(int, re.search(r"\[([\d,]+)\]", shape)[1].split(","))) for shape, _ in exchanged]
    assert sum(sizes) == 7 * 7 * 8, exchanged
