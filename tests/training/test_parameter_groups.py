"""Decay and rate of every weight, against rules written anew from the reference's text, on the authors' names."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.checkpoints.layouts import LAYOUTS
from keras_convnext.layers.initialization import Normal
from keras_convnext.training import AdamW, layer_decay_rules

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "recipes.json").read_text())["layer_decay"]
OFFICIAL = next(layout for layout in LAYOUTS if layout.name == "official" and layout.entry("stem/norm/gamma"))


def group_id(name, depths):
    """V1's grouped ids of the authors' names (optim_factory.py, `get_num_layer_for_convnext`); and the last one's."""
    if depths[2] == 27:
        table, last = REFERENCE["v1_group"]["ids_depths_3_3_27_3"], REFERENCE["v1_group"]["num_layers"]
    else:
        table, last = REFERENCE["coco_layer_wise_tiny"]["ids_depths_3_3_9_3"], 6
    return _from(table, name, last + 1), last


def single_id(name, depths):
    """V2's ids, a block each."""
    if match := re.match(r"downsample_layers\.(\d)\.", name):
        return sum(depths[: int(match[1])]) + 1, sum(depths)
    if match := re.match(r"stages\.(\d)\.(\d+)\.", name):
        return sum(depths[: int(match[1])]) + int(match[2]) + 1, sum(depths)
    return sum(depths) + 1, sum(depths)


def stage_wise_id(name, depths):
    """Segmentation's ids."""
    last = 12 if depths[2] == 27 else 6
    if name.startswith("downsample_layers."):
        return 0, last
    if match := re.match(r"stages\.(\d)\.", name):
        return int(match[1]) + 1, last
    return last + 1, last


def _from(table, name, otherwise):
    """The id in one of the reference's tables."""
    if match := re.match(r"(downsample_layers\.\d)\.", name):
        return table[match[1]]
    if match := re.match(r"(stages\.\d)\.(\d+)\.", name):
        return table[match[1]][int(match[2])]
    assert re.match(r"(norm|head)\.", name), name
    return otherwise


KINDS = {"group": group_id, "single": single_id, "stage_wise": stage_wise_id}


@pytest.fixture
def undrawn(monkeypatch):
    """Starts all weights at zero, in less time."""
    monkeypatch.setattr(Normal, "__call__", lambda self, shape, dtype=None: np.zeros(shape, dtype))
    yield
    keras.backend.clear_session()


def official_name(path):
    return OFFICIAL.entry(path).name


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("variant", "kind"),
    [
        pytest.param(variant, kind, marks=[pytest.mark.slow] if variant.endswith("_base") else [])
        for variant in ("convnext_tiny", "convnext_base", "convnextv2_atto", "convnextv2_base")
        for kind in KINDS
        if variant != "convnextv2_atto" or kind == "single"  # the authors have no other ids for its depths
    ],
)
def test_every_weight_has_the_authors_rate_and_decay(variant, kind):
    model = ConvNeXtClassifier.from_preset(variant)
    depths = model.backbone.depths
    optimizer = AdamW(learning_rate_rules=layer_decay_rules(depths, 0.7, kind))
    optimizer.build(model.trainable_variables)
    for weight in model.trainable_variables:
        name = official_name(weight.path)
        number, last = KINDS[kind](name, depths)
        assert optimizer.factor(weight) == pytest.approx(0.7 ** (last + 1 - number), rel=1e-12), weight.path
        is_scale = name.endswith((".bias", ".gamma", ".beta")) or len(weight.shape) == 1
        assert optimizer.decays(weight) == (not is_scale), weight.path


@pytest.mark.usefixtures("undrawn")
def test_the_example_of_the_reference():
    example = REFERENCE["v2_single"]["example_depths_2_2_8_2"]
    model = ConvNeXtClassifier.from_preset("convnextv2_nano")
    optimizer = AdamW(learning_rate_rules=layer_decay_rules((2, 2, 8, 2), 0.5, "single"))
    optimizer.build(model.trainable_variables)
    for weight in model.trainable_variables:
        number = _from(example, official_name(weight.path), 15)
        assert optimizer.factor(weight) == 0.5 ** (15 - number), weight.path


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_of_the_backbone_learns_at_the_full_rate(kind):
    """A detector's neck and heads, and the norms of the levels; the backbone within has another path before it."""
    backbone = ConvNeXtBackbone.from_preset("convnext_tiny", level_norm=True, input_shape=(32, 32, 3))
    levels = list(backbone.pyramid_outputs.values())
    neck = keras.layers.Conv2D(4, 1, name="stem_like_neck")(levels[-1])
    model = keras.Model(backbone.input, neck)
    optimizer = AdamW(learning_rate_rules=layer_decay_rules(backbone.depths, 0.5, kind))
    optimizer.build(model.trainable_variables)
    full = {w.path for w in model.trainable_variables if optimizer.factor(w) == 1}
    assert full == {w.path for w in model.trainable_variables if re.search(r"stage_\d_norm|neck", w.path)}


def test_other_numbers_of_stages_have_single_ids(make_model):
    model = make_model(head_hidden_size=4)
    optimizer = AdamW(learning_rate_rules=layer_decay_rules((1, 1), 0.5, "single"))
    optimizer.build(model.trainable_variables)
    factors = {weight.path.split("/")[0]: optimizer.factor(weight) for weight in model.trainable_variables}
    assert factors == {
        "stem": 0.25,
        "stage_0_block_0": 0.25,
        "stage_1_downsample": 0.5,
        "stage_1_block_0": 0.5,
        "head_norm": 1.0,
        "head_hidden": 1.0,
        "head": 1.0,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 3, 9, 3), 0.7, "layer_wise"), "`kind` must be one of group, single, stage_wise"),
        (((3, 3, 9, 3), 0.0), "`decay` must be above 0"),
        (((3, 3, 9, 3), 1.5), "`decay` must be above 0"),
        (((2, 2, 2), 0.7), "is for four stages; `single` is for any"),
    ],
)
def test_refuses_what_is_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        layer_decay_rules(*arguments)


def test_factors_survive_saving_and_loading(make_model, tmp_path, few_digits):
    model = make_model()
    model.compile(AdamW(0.01, learning_rate_rules=layer_decay_rules((1, 1), 0.5, "single")), "categorical_crossentropy")
    y = keras.utils.to_categorical(few_digits.train.labels[:8], 10)
    model.fit(few_digits.train.pixels[:8].astype("float32"), y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for weight, same in zip(loaded.trainable_variables, model.trainable_variables, strict=True):
        assert loaded.optimizer.factor(weight) == model.optimizer.factor(same)
        assert loaded.optimizer.decays(weight) == model.optimizer.decays(same)
