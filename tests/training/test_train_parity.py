"""Thirty training steps of ConvNeXt-T: losses, against timm's model under a loop of torch by the authors' settings.

The loop is written from the reference (tests/reference/recipes.json): groups of weights by decay and layer id, cosine
by step, AdamW, cross-entropy of soft targets.
"""

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier, Recipe, save_checkpoint
from keras_convnext.preprocessing.augmentation import MixUpOrCutMix

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "recipes.json").read_text())
STEPS, EPOCHS = 10, 3
SETTINGS = {"learning_rate": 1e-3, "weight_decay": 0.05, "layer_decay": 0.8, "warmup_epochs": 1}


@pytest.fixture(scope="module")
def batches():
    """Thirty normalized batches with labels that are smoothed and mixed."""
    random, mixing = np.random.default_rng(0), MixUpOrCutMix()
    found = []
    for number in range(STEPS * EPOCHS):
        pixels = random.normal(size=(8, 32, 32, 3)).astype("float32")
        one_hot = np.eye(10, dtype="float32")[random.integers(10, size=8)]
        found.append(mixing.augment_batch(pixels, one_hot, mixing.generator((0, 0, number))))
    return found


class Given(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def torch_losses(weights, batches):
    """The loss of each step, in torch."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    import timm
    import torch
    from safetensors.torch import load_file

    model = timm.create_model("convnext_tiny", num_classes=10)
    model.load_state_dict(load_file(weights))
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [parameter],
                "weight_decay": 0.0 if parameter.ndim == 1 or name.endswith(".bias") else SETTINGS["weight_decay"],
                "scale": SETTINGS["layer_decay"] ** (7 - layer_id(name)),
            }
            for name, parameter in model.named_parameters()
        ],
        betas=REFERENCE["optimizer_common"]["betas"],
        eps=REFERENCE["optimizer_common"]["eps"],
    )
    losses = []
    for rate, (pixels, targets) in zip(rates(), batches, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        logits = model(torch.tensor(pixels.transpose(0, 3, 1, 2)))
        loss = -(torch.tensor(targets) * torch.log_softmax(logits, -1)).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def layer_id(name):
    """The grouped id of one of timm's names."""
    table = REFERENCE["layer_decay"]["coco_layer_wise_tiny"]["ids_depths_3_3_9_3"]
    if name.startswith("stem"):
        return table["downsample_layers.0"]
    if not name.startswith("stages"):
        return 7
    _, stage, part, *rest = name.split(".")
    return table[f"downsample_layers.{stage}"] if part == "downsample" else table[f"stages.{stage}"][int(rest[0])]


def rates():
    """The authors' `cosine_scheduler`: warmup by `linspace` from 0 to the peak, then half a cosine."""
    peak, least = SETTINGS["learning_rate"], REFERENCE["optimizer_common"]["min_lr"]
    warmup = SETTINGS["warmup_epochs"] * STEPS
    rest = STEPS * EPOCHS - warmup
    cosine = [least + 0.5 * (peak - least) * (1 + math.cos(math.pi * step / rest)) for step in range(rest)]
    return [*np.linspace(0, peak, warmup), *cosine]


@pytest.mark.once
def test_losses_of_thirty_steps_equal_torchs(batches, tmp_path):
    recipe = Recipe(source="test", epochs=EPOCHS, batch_size=8, label_smoothing=0.0, **SETTINGS)
    model = ConvNeXtClassifier.from_preset(
        "convnext_tiny", num_classes=10, include_preprocessing=False, input_shape=(32, 32, 3), **recipe.model_arguments
    )
    save_checkpoint(model, tmp_path / "start.safetensors", layout="timm")
    expected = torch_losses(tmp_path / "start.safetensors", batches)
    recipe.compile(model, steps_per_epoch=STEPS)
    means = []

    def note(batch, logs):  # the mean of the epoch so far
        means.append(logs["loss"])

    for epoch in range(EPOCHS):
        model.fit(
            Given(batches[epoch * STEPS : (epoch + 1) * STEPS]),
            shuffle=False,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
        )
    means = np.array(means, "float64").reshape(EPOCHS, STEPS)
    losses = np.diff(means * np.arange(1, STEPS + 1), axis=1, prepend=0).ravel()
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert abs(expected[-1] / expected[0] - 1) > 0.02
