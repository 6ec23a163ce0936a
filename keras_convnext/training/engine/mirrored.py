"""TensorFlow: `tf.distribute.MirroredStrategy`, for all local devices of one process."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras
import tensorflow as tf

from keras_convnext.data import Batches
from keras_convnext.training.engine.engine import SEED_STEP, Engine, seed_states
from keras_convnext.training.engine.launch import Launch


class Mirrored(Engine):
    """All GPUs of this host, or its logical CPU devices, each with the whole model.

    It evaluates on one of them: a last batch of fewer images than there are devices would leave some without an image,
    for which oneDNN's convolutions return another number of channels (TensorFlow 2.21).
    """

    validates_in_fit = False

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

    def training_scope(self) -> AbstractContextManager:
        return nullcontext()  # Keras enters the scope of the model's strategy; callbacks may use one device

    @contextmanager
    def local(self, model: keras.Model, with_optimizer: bool = False) -> Iterator[None]:
        kept = model._distribute_strategy, model.test_function, model.predict_function
        model._distribute_strategy = model.test_function = model.predict_function = None
        try:
            yield
        finally:
            model._distribute_strategy, model.test_function, model.predict_function = kept

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
