"""Parameters and MACs of every published network against the exact figures in tests/reference/.

They are the same on every backend; conftest.py has them counted on one.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import VARIANTS, ConvNeXtClassifier, roadmap
from keras_convnext.extras import import_torchvision
from keras_convnext.layers.initialization import Normal
from keras_convnext.profiling import profile

REFERENCE = Path(__file__).with_name("reference")
ROWS = json.loads((REFERENCE / "variants.json").read_text())["variants"]
COMPUTED = {row["name"]: row["computed"] for row in ROWS if "computed" in row}
STEPS = {row["id"]: row for row in json.loads((REFERENCE / "roadmap.json").read_text())["steps"]}
COUNTED_IN_EVERY_RUN = ("resnet", "depthwise_conv", "kernel_7", "separate_downsampling")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Starts all weights at zero, and lets a model go before the next one comes: the largest takes 3.4 GB."""
    monkeypatch.setattr(Normal, "__call__", lambda self, shape, dtype=None: np.zeros(shape, dtype))
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if row["params"] > 10**8 else []) for name, row in COMPUTED.items()],
)
def test_of_a_variant(name):
    expected = dict(COMPUTED[name])
    side = expected.pop("resolution")
    assert VARIANTS[name].image_size == side
    model = ConvNeXtClassifier.from_preset(name, num_classes=expected.pop("num_classes"))
    result = profile(model, (side, side, 3))
    found = {"params": result.params, "macs_conv_linear": result.macs}
    for key in expected:
        if key.startswith("macs_conv_linear_"):
            side = int(key.rpartition("_")[2])
            found[key] = profile(model, (side, side, 3)).macs
        elif key == "params_21841_classes":
            found[key] = ConvNeXtClassifier(model.backbone, 21841, **VARIANTS[name].head_arguments()).count_params()
        elif key == "params_backbone_no_final_norm_no_head":
            found[key] = model.backbone.count_params()
    assert found == expected


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in COMPUTED and name != "convnext_mini"])
def test_of_a_variant_that_timm_counts(name):
    import_torchvision()
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    peer, side = timm.create_model(name), VARIANTS[name].image_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        peer(torch.zeros(1, 3, side, side))
    result = profile(ConvNeXtClassifier.from_preset(name), (side, side, 3))
    assert result.params == sum(weight.numel() for weight in peer.parameters())
    assert 2 * result.macs == counter.get_total_flops()


@pytest.mark.parametrize("regime", ["resnet50", pytest.param("resnet200", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "step",
    [pytest.param(step, marks=[] if step in COUNTED_IN_EVERY_RUN else [pytest.mark.slow]) for step in STEPS],
)
def test_of_a_step(step, regime):
    row = STEPS[step][f"{regime}_regime"]
    result = profile(roadmap.build(step, regime))
    assert (result.params, result.macs) == (row["computed_params"], row["computed_macs"])
    is_as_printed = round(result.macs / 1e9, 2) == pytest.approx(roadmap.STEPS[step].published[regime].gflops)
    assert is_as_printed == row["reproduced"]
