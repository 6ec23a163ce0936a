"""Settings of a model's layers that were changed after it was made, such as `layer.activation` or `layer.rate`."""

from collections.abc import Sequence

import keras

from keras_convnext.models.layer_tree import sublayers

KEPT_OTHERWISE = ("name", "trainable", "dtype", "quantization_config", "lora_rank", "lora_alpha", "overrides")
"""Settings that the configuration of a model keeps in other ways."""


class InitialSettings:
    """The settings that the constructor of a functional model gave its layers.

    Args:
        model: the model, as it is when its constructor ends.
        others: names of layers of its graph that are ignored. Defaults to none.
    """

    def __init__(self, model: keras.Model, others: Sequence[str] = ()):
        self.others = frozenset(others)
        self._settings = self._settings_of(model)

    def changed_settings(self, model: keras.Model) -> dict[str, dict]:
        """The settings that differ now, as the layers' configurations have them.

        Returns:
            A dict per path of a layer, such as `{"head": {"activation": "softmax"}}`.
        """
        changed = {
            path: {name: value for name, value in settings.items() if self._settings[path].get(name) != value}
            for path, settings in self._settings_of(model).items()
            if path in self._settings
        }
        return {path: settings for path, settings in changed.items() if settings}

    def _settings_of(self, model):
        return {
            path: {name: _plain(value) for name, value in layer.get_config().items() if name not in KEPT_OTHERWISE}
            for path, layer, _ in sublayers(model)
            if path.partition("/")[0] not in self.others and not isinstance(layer, keras.layers.InputLayer)
        }


def set_settings(model: keras.Model, changed: dict[str, dict]) -> None:
    """Applies the settings that `changed_settings` returned to the layers of a model."""
    layers = {path: layer for path, layer, _ in sublayers(model)}
    for path, settings in changed.items():
        layer = layers[path]
        like_it = type(layer).from_config({**layer.get_config(), **settings})
        for name in settings:
            setattr(layer, name, getattr(like_it, name))


def _plain(value):
    """A setting without the ids by which Keras recognizes a shared object within one file."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if name != "shared_object_id"}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
