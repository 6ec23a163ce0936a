"""TensorFlow: `tf.distribute.MirroredStrategy`, for all local devices of one process."""

from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from keras_convnext.data import Batches
from keras_convnext.training.engine.engine import SEED_STEP, Engine, seed_states
from keras_convnext.training.engine.launch import Launch


class Mirrored(Engine):
    """All GPUs of this host, or its logical CPU devices, each with the whole model."""

    def __init__(self, launch: Launch):
        if launch.processes > 1:
            raise ValueError(
                f"TensorFlow trains on the devices of one process, and the launcher started {launch.processes}: Keras "
                "cannot `fit` under MultiWorkerMirroredStrategy (keras #20585). Start one process per host, or set "
                "KERAS_BACKEND to jax or torch, which train on several hosts."
            )
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.devices = self._strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager:
        return self._strategy.scope()

    def share(self, batches: Batches) -> Batches:
        if batches.group > 1:
            raise ValueError(
                f"`accumulate` must be 1 where TensorFlow trains on several devices, because Keras's optimizers cannot "
                f"accumulate gradients under MirroredStrategy. Received: accumulate={batches.group}"
            )
        return super().share(batches)

    def prepare(self, model: keras.Model) -> None:
        for state in seed_states(model):
            for place, copy in enumerate(self._strategy.experimental_local_results(state.value)):
                copy.assign(copy + tf.constant([SEED_STEP * place, 0], copy.dtype))
