"""What was changed in a model's layers after its constructor made them, such as `layer.activation` or `layer.rate`."""

import keras

from keras_convnext.models.layer_tree import sublayers

KEPT_OTHERWISE = ("name", "trainable", "dtype")
"""Settings that the configuration of a model keeps in other ways."""


class Made:
    """How the constructor of a functional model made its layers: their settings, and the weights.

    Args:
        model: the model, as it is when its constructor ends.
        others: names of layers of its graph whose settings are not looked at.
    """

    def __init__(self, model, others=()):
        self._others = frozenset(others)
        self._settings = self._settings_of(model)
        self._weights = _shapes(model)

    def changed_settings(self, model):
        """The settings that are others now, as the layers' configurations have them.

        Returns:
            dict from the path of a layer to dict: `{"head": {"activation": "softmax"}}`.
        """
        changed = {
            path: {name: value for name, value in settings.items() if self._settings[path].get(name) != value}
            for path, settings in self._settings_of(model).items()
            if path in self._settings
        }
        return {path: settings for path, settings in changed.items() if settings}

    def check_weights(self, model):
        """Refuses a model that has other weights now.

        Raises:
            ValueError: names them, and says what to do.
        """
        others = sorted({path for path, _ in _shapes(model).items() ^ self._weights.items()})
        if others:
            raise ValueError(
                f"{model.name} has other weights than its configuration describes: {', '.join(others[:4])}"
                f"{' ...' if len(others) > 4 else ''}. Save keras.Model(model.inputs, model.outputs), which keeps the "
                "configuration of each layer, or the weights alone with save_weights."
            )

    def _settings_of(self, model):
        return {
            path: {name: _plain(value) for name, value in layer.get_config().items() if name not in KEPT_OTHERWISE}
            for path, layer, _ in sublayers(model)
            if path.partition("/")[0] not in self._others and not isinstance(layer, keras.layers.InputLayer)
        }


def set_settings(model, changed):
    """Sets in the layers of a model what `changed_settings` found."""
    layers = {path: layer for path, layer, _ in sublayers(model)}
    for path, settings in changed.items():
        layer = layers[path]
        like_it = type(layer).from_config({**layer.get_config(), **settings})
        for name in settings:
            setattr(layer, name, getattr(like_it, name))


def _shapes(model):
    return {weight.path: tuple(weight.shape) for weight in model.weights}


def _plain(value):
    """A setting without the numbers by which Keras knows an object again within one file."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if name != "shared_object_id"}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
