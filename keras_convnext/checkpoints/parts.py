"""Parts of an architecture that the names and shapes in a checkpoint do not show, such as the activation."""

from keras_convnext.checkpoints.origin import backbone_config

PARTS = {"stem": "patchify", "norm": "layer_norm", "norm_eps": 1e-6, "hidden_activation": "gelu"}
"""The backbone's arguments for such parts, with the values that apply to files without them."""


def differing_parts(model, path):
    """The warning for a `.keras` file whose model computes different outputs with the same weights.

    Args:
        model: a `ConvNeXtClassifier` or `ConvNeXtBackbone`, into which the file's weights are loaded.
        path: path of the file.

    Returns:
        A sentence; empty if the parts are equal, or the file does not contain them.
    """
    config, backbone = backbone_config(path), getattr(model, "backbone", model)
    if not config:
        return ""
    pairs = {name: (config.get(name, plain), getattr(backbone, name, plain)) for name, plain in PARTS.items()}
    differing = [f"{name}={stored!r} and not {own!r}" for name, (stored, own) in pairs.items() if stored != own]
    return f"The file's model was built with {', '.join(differing)}: its outputs differ." if differing else ""
