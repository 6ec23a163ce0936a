"""What the backbone and the classifier have in common: how they check images, and how they are saved."""

from typing import Any

import keras

from keras_convnext import kernels
from keras_convnext.layers.overrides import overrides_of
from keras_convnext.models.quantization import quantize_linear_layers
from keras_convnext.models.settings import InitialSettings, set_settings
from keras_convnext.models.trainability import set_trainability, trainability
from keras_convnext.typing import Tensor


class ImageModel(keras.Model):
    """A functional model that is saved as the arguments of its constructor.

    What users set on its layers afterwards is saved too: which layers and weights are trainable, settings such as a
    rate, and what `layers.overrides` keeps, such as quantized weights.

    A subclass has `data_format`, `stride` and `layers_before`, and `get_arguments()`, which returns the constructor's
    arguments except `name`, `trainable`, `frozen_layers` and `overrides`. Its constructor calls `_settle` last.
    """

    def _settle(self, trainable, frozen_layers, others):
        """Freezes the given layers, and records how the constructor made all layers.

        Args:
            others: names of layers that this constructor did not make, and that are saved elsewhere.
        """
        if not trainable:
            self.trainable = False
        for name in frozen_layers:
            self.get_layer(name).trainable = False
        self._made = InitialSettings(self, others)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        self._check_images(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _check_images(self, inputs):
        if not self.layers_before:
            image = keras.tree.flatten(inputs)[0]
            check_image(image.shape, self.data_format == "channels_first", self.stride)

    def quantize(
        self, mode: str | None = None, config: keras.quantizers.QuantizationConfig | None = None, **kwargs: Any
    ) -> None:
        """Quantizes the weights of all linear layers, in place: the pointwise layers, and those of a head.

        This calls `keras.Model.quantize`, without its warning for each layer that it cannot quantize. Quantize a model
        last: `fuse`, `transfer` and the layouts of other packages need float weights.

        Args:
            mode: `"int8"`, `"int4"` or `"float8"`; see `keras.Model.quantize`.
            config: a `keras.quantizers.QuantizationConfig`, to use other quantizers. Defaults to None.
            **kwargs: `filters`, a regex or a list of regexes for the names of the layers to quantize.

        Raises:
            ValueError: the mode needs calibration data, no layer can be quantized, or a layer is quantized already.

        Example:

        >>> from keras_convnext import ConvNeXtClassifier
        >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10)
        >>> model.quantize("int8", filters="head")
        >>> model.get_layer("head").dtype_policy.name
        'int8_from_float32'
        """
        quantize_linear_layers(self, super().quantize, mode, config, **kwargs)

    def export(
        self,
        filepath: str,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Exports the model as `keras.Model.export` does, with the kernels in their export form.

        A SavedModel has the kernels of the running backend, which are faster where this device runs it.
        `keras_convnext.export.export` also folds layer scales, checks the file in its runtime, and writes formats that
        this backend cannot write.

        Args:
            filepath: as for `keras.Model.export`.
            format: as for `keras.Model.export`. Defaults to `"tf_saved_model"`.
            verbose: as for `keras.Model.export`. Defaults to None.
            input_signature: as for `keras.Model.export`. Defaults to None.
            **kwargs: as for `keras.Model.export`.

        Example:

        >>> import tempfile
        >>> import keras
        >>> from keras_convnext import ConvNeXtClassifier
        >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, input_shape=(32, 32, 3))
        >>> format, suffix = ("torch", ".pt2") if keras.config.backend() == "torch" else ("tf_saved_model", "")
        >>> model.export(f"{tempfile.mkdtemp()}/model{suffix}", format=format, verbose=False)
        """
        # On JAX, Keras serializes the program of a SavedModel, which then cannot have a convolution in Pallas.
        with kernels.serializing() if format == "tf_saved_model" else kernels.exporting():
            super().export(filepath, format, verbose, input_signature, **kwargs)

    def compile_from_config(self, config: dict) -> None:
        """Compiles a loaded model, with `jit_compile="auto"`.

        Keras saves the value that "auto" had on the backend that saved the model. On another backend, True from JAX
        would start `torch.compile`, and False from torch would make JAX run operation by operation.
        """
        super().compile_from_config({**config, "jit_compile": "auto"})

    def get_config(self) -> dict:
        exceptions = trainability(self)
        frozen = [path for path, trains in exceptions.items() if "/" not in path and not trains]
        settings = self._made.changed_settings(self)
        overrides = {name: own for name, own in overrides_of(self).items() if name not in self._made.others}
        return {
            "name": self.name,
            "trainable": self.trainable,
            **self.get_arguments(),
            "frozen_layers": frozen,
            "overrides": overrides or None,
            **({"trainability": exceptions} if len(exceptions) > len(frozen) else {}),
            **({"settings": settings} if settings else {}),
        }

    @classmethod
    def _from_arguments(cls, arguments):
        """Makes a model from its constructor's arguments, and from `trainability` and `settings` if they are given."""
        exceptions, settings = arguments.pop("trainability", None), arguments.pop("settings", {})
        model = cls(**arguments)
        set_settings(model, settings)
        if exceptions is not None:
            set_trainability(model, exceptions)
        return model


def check_image(shape: tuple, channels_first: bool, stride: int) -> None:
    """Raises ValueError if a side is smaller than the network's stride, or if the number of channels is unknown.

    A side may be None or symbolic, as in a program that is exported.
    """
    if len(shape) != 4:
        raise ValueError(f"Images must have a height, a width and channels. Received: image shape {tuple(shape[1:])}")
    channels, height, width = shape[1:] if channels_first else (shape[-1], *shape[1:-1])
    if channels is None:
        raise ValueError(
            f"The number of channels must be known. Received: image shape {tuple(shape[1:])}.{_axes(channels_first)}"
        )
    if any(isinstance(side, int) and side < stride for side in (height, width)):
        raise ValueError(
            f"Images of {height}x{width} pixels are smaller than this network's stride of {stride}. Give larger "
            f"images, or a smaller `stem_patch_size`.{_axes(channels_first)}{_probe(height, width)}"
        )


def channels_of(input_shape: tuple | None, input_tensor: Tensor | None, data_format: str | None) -> int | None:
    """The number of channels that these arguments of the backbone give the images; None if it is free."""
    shape = input_shape if input_tensor is None else input_tensor.shape[1:]
    channels_first = (data_format or keras.config.image_data_format()) == "channels_first"
    return 3 if shape is None else shape[0 if channels_first else -1]


def _axes(channels_first):
    """A hint for those who do not know that their keras.json says `channels_first`."""
    hint = (
        " The shape was read as (channels, height, width). If it is (height, width, channels), pass "
        'data_format="channels_last".'
    )
    return hint if channels_first else ""


def _probe(height, width):
    """A hint for exports: with free sizes, Keras traces the model on PyTorch with images of 1 or 2 pixels."""
    hint = " To export from PyTorch with free sizes, pass an `input_signature`."
    return hint if height in (1, 2) and width in (1, 2) else ""
