"""JAX: weights that are split over the devices which share a batch (FSDP, ZeRO stage 3)."""

import math

import keras

SMALLEST = 2**16
"""Number of values from which on a weight is split. Smaller ones are a thousandth of a model, and exchanging them costs
more time than memory."""


class SplitWeights(keras.distribution.DataParallel):
    """Data parallelism in which each device keeps a part of each large weight, and of the optimizer's state for it.

    XLA gathers a weight where a layer uses it, and gives each device its part of the gradient's sum. So the memory for
    weights, gradients, moments and moving average is divided by the number of devices, and the numbers are those of
    `DataParallel`. A `keras.distribution.LayoutMap` chooses by a weight's name; here the shape is enough for any model:
    a weight is split along its longest axis that the number of devices divides, and is whole on each device if there
    is none.

    Sources: ZeRO (arXiv:1910.02054) and GSPMD (arXiv:2105.04663).

    Args:
        device_mesh: as for `keras.distribution.DataParallel`.
        devices: as for `keras.distribution.DataParallel`, such as all of `keras.distribution.list_devices()`.
        auto_shard_dataset: as for `keras.distribution.DataParallel`.

    Example:

    >>> from keras_convnext.training.engine import SplitWeights
    >>> distribution = SplitWeights(devices=["cpu:0"])  # for `keras.distribution.set_distribution`, on JAX
    >>> distribution.num_model_replicas
    1
    """

    def get_variable_layout(self, variable: keras.Variable) -> keras.distribution.TensorLayout:
        layout = super().get_variable_layout(variable)
        axis = split_axis(tuple(variable.shape), self.device_mesh.devices.size)
        if axis is None or getattr(variable, "_layout", None) is not None:
            return layout
        axes: list[str | None] = [None] * len(variable.shape)
        axes[axis] = self.batch_dim_name
        return keras.distribution.TensorLayout(axes, self.device_mesh)


def split_axis(shape: tuple[int, ...], devices: int) -> int | None:
    """Returns the axis along which a weight is split over devices; None if each device has it whole.

    Example:

    >>> from keras_convnext.training.engine.split_weights import split_axis
    >>> split_axis((512, 2048), 8), split_axis((7, 7, 2816, 1), 8), split_axis((2048,), 8)
    (1, 2, None)
    """
    divisible = [axis for axis, length in enumerate(shape) if length % devices == 0]
    if math.prod(shape) < SMALLEST or not divisible:
        return None
    return max(divisible, key=lambda axis: (shape[axis], axis))


def state_bytes(model: keras.Model) -> tuple[int, int]:
    """Counts the memory of a compiled model's weights, their gradients and the state of its optimizer, which is built.

    Returns:
        `(bytes on each device, bytes if each device had all)`.
    """
    states = [*model.variables, *model.trainable_variables, *model.optimizer.variables]  # gradients are as the weights
    arrays = [one.value for one in states]
    on_each = sum(math.prod(one.sharding.shard_shape(one.shape)) * one.dtype.itemsize for one in arrays)
    return on_each, sum(one.nbytes for one in arrays)
