"""What the backbone and the classifier have in common: how they take images in, and how they are saved."""

import keras

from keras_convnext.models.settings import Made, set_settings
from keras_convnext.models.trainability import set_trainability, trainability


class ImageModel(keras.Model):
    """A functional model that is made from the arguments of its constructor, and saved as those.

    Two things that users set on its layers afterwards are saved too: which layers and weights train, and settings such
    as an activation. A model whose layers have other weights than the constructor gave them is not saved.

    A subclass has `get_arguments()`, the constructor's but for `name`, `trainable` and `frozen_layers`; `data_format`,
    `stride` and `layers_before`; and calls `_settle` last in its constructor.
    """

    def _settle(self, trainable, frozen_layers, others):
        """Freezes what is to be frozen, and keeps how the constructor made the layers.

        Args:
            others: names of layers that came from elsewhere, and are saved with that.
        """
        if not trainable:
            self.trainable = False
        for name in frozen_layers:
            self.get_layer(name).trainable = False
        self._made = Made(self, others)

    def call(self, inputs, training=None, mask=None):
        if not self.layers_before:
            image = keras.tree.flatten(inputs)[0]
            check_image(image.shape, self.data_format == "channels_first", self.stride)
        return super().call(inputs, training=training, mask=mask)

    def compile_from_config(self, config):
        """Compiles a loaded model, with `jit_compile="auto"`.

        Keras saves what "auto" came to on the backend that saved. Loaded on another, True from JAX would start
        `torch.compile`, and False from torch would leave JAX to run operation by operation.
        """
        super().compile_from_config({**config, "jit_compile": "auto"})

    def get_config(self):
        self._made.check_weights(self)
        exceptions = trainability(self)
        frozen = [path for path, trains in exceptions.items() if "/" not in path and not trains]
        settings = self._made.changed_settings(self)
        return {
            "name": self.name,
            "trainable": self.trainable,
            **self.get_arguments(),
            "frozen_layers": frozen,
            **({"trainability": exceptions} if len(exceptions) > len(frozen) else {}),
            **({"settings": settings} if settings else {}),
        }

    @classmethod
    def _from_arguments(cls, arguments):
        """A model from its constructor's arguments, and what else `get_config` may have: `trainability`, `settings`."""
        exceptions, settings = arguments.pop("trainability", None), arguments.pop("settings", {})
        model = cls(**arguments)
        set_settings(model, settings)
        if exceptions is not None:
            set_trainability(model, exceptions)
        return model


def check_image(shape, channels_first, stride):
    """Refuses a known side that is smaller than the network's stride, and an unknown number of channels."""
    if len(shape) != 4:
        raise ValueError(f"Images have a height, a width and channels. Received: image shape {tuple(shape[1:])}")
    channels, height, width = shape[1:] if channels_first else (shape[-1], *shape[1:-1])
    if channels is None:
        raise ValueError(f"The number of channels must be known. Received: image shape {tuple(shape[1:])}")
    if any(side is not None and side < stride for side in (height, width)):
        raise ValueError(
            f"Images of {height}x{width} pixels are smaller than this network's stride of {stride}. Give larger "
            "images, or a smaller `stem_patch_size`."
        )
