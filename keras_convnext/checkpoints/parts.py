"""What a network computes beside its weights: parts that leave no trace in the names and shapes of a checkpoint."""

from keras_convnext.checkpoints.origin import backbone_config

PARTS = {"stem": "patchify", "norm": "layer_norm", "norm_eps": 1e-6, "hidden_activation": "gelu"}
"""Arguments of a backbone that such parts depend on, and their values in a file that does not have them."""


def differing_parts(model, path):
    """What to tell a user of a `.keras` file whose model computes something else with the same weights.

    Args:
        model: a `ConvNeXtClassifier` or `ConvNeXtBackbone`, into which the file's weights are loaded.
        path: of the file.

    Returns:
        A sentence; empty where the parts are equal, or the file does not tell them.
    """
    config, backbone = backbone_config(path), getattr(model, "backbone", model)
    if not config:
        return ""
    pairs = {name: (config.get(name, plain), getattr(backbone, name, plain)) for name, plain in PARTS.items()}
    differing = [f"{name}={stored!r} and not {own!r}" for name, (stored, own) in pairs.items() if stored != own]
    return f"The file's model was built with {', '.join(differing)}: its outputs differ." if differing else ""
