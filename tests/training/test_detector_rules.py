"""Decay and rate of every weight of detectors of other libraries, and the layer ids of detection and segmentation."""

import json
import re
from pathlib import Path

import pytest

from keras_convnext import RECIPES, ConvNeXtBackbone
from keras_convnext.training import AdamW, layer_decay_rules

pytestmark = pytest.mark.once

DEPTHS = (1, 1, 3, 1)
REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "recipes.json").read_text())["layer_decay"]


@pytest.fixture
def backbone():
    return ConvNeXtBackbone(depths=DEPTHS, dims=(4, 8, 12, 16), input_shape=(64, 64, 3), level_norm=True)


def keras_cv_retinanet(backbone):
    import keras_cv

    return keras_cv.models.RetinaNet(num_classes=3, bounding_box_format="xyxy", backbone=backbone)


def keras_cv_yolov8(backbone):
    import keras_cv

    return keras_cv.models.YOLOV8Detector(num_classes=3, bounding_box_format="xyxy", backbone=backbone, fpn_depth=1)


def keras_hub_retinanet(backbone):
    """With batch norm in the pyramid and the heads."""
    import keras_hub
    from keras_hub.src.models.retinanet.retinanet_label_encoder import RetinaNetLabelEncoder

    levels = {"min_level": 3, "max_level": 5}
    anchors = keras_hub.layers.AnchorGenerator("xyxy", **levels, num_scales=3, aspect_ratios=[1.0], anchor_size=4)
    pyramid = keras_hub.models.RetinaNetBackbone(
        image_encoder=backbone, **levels, use_p5=False, use_fpn_batch_norm=True, image_shape=(64, 64, 3)
    )
    return keras_hub.models.RetinaNetObjectDetector(
        backbone=pyramid,
        label_encoder=RetinaNetLabelEncoder(bounding_box_format="xyxy", anchor_generator=anchors),
        num_classes=3,
        bounding_box_format="xyxy",
        use_prediction_head_norm=True,
    )


@pytest.mark.parametrize("detector", [keras_cv_retinanet, keras_cv_yolov8, keras_hub_retinanet])
def test_each_weight_matches_one_rule_and_the_head_learns_at_the_full_rate(backbone, detector):
    model = detector(backbone)
    optimizer = AdamW(learning_rate_rules=layer_decay_rules(DEPTHS, 0.5))
    optimizer.build(model.trainable_variables)  # refuses a weight that matches no rule, or several
    of_backbone = {id(weight) for weight in backbone.trainable_variables}
    for weight in model.trainable_variables:
        in_stages = id(weight) in of_backbone and not is_level_norm(weight.path)
        assert (optimizer.factor(weight) < 1) == in_stages, weight.path
        assert optimizer.decays(weight) == weight.path.endswith("kernel"), weight.path
        assert len(weight.shape) > 1 or not optimizer.decays(weight), weight.path
    assert all(weight.path.endswith(("moving_mean", "moving_variance")) for weight in model.non_trainable_variables)
    assert any(map(is_level_norm, (weight.path for weight in model.trainable_variables)))


def is_level_norm(path):
    return path.split("/")[0] in {f"stage_{stage}_norm" for stage in range(4)}


@pytest.mark.parametrize("variant", ["convnext_tiny", "convnext_small", "convnext_base"])
@pytest.mark.parametrize("name", ["detection_v1", "segmentation_v1"])
def test_the_rates_are_those_of_the_published_number_of_layers(name, variant):
    """6 layers for tiny and 12 for the others: the reference's ids of COCO, and its exponents of ADE20K."""
    recipe, layers = RECIPES[name].for_variant(variant), 6 if variant == "convnext_tiny" else 12
    depths = (3, 3, 9 if layers == 6 else 27, 3)
    rules = layer_decay_rules(depths, recipe.layer_decay, recipe.layer_decay_kind)
    if name == "segmentation_v1":
        exponents = REFERENCE["ade_stage_wise"]["exponents"]["num_layers_6 (T)" if layers == 6 else "num_layers_12"]
        expected = {f"stage_{stage}_block_0": exponents[f"stage{stage}"] for stage in range(4)}
        expected |= {"stem": exponents["downsample"], "stage_2_downsample": exponents["downsample"]}
        expected |= {"stage_2_norm": exponents["other"], "head": exponents["other"]}
    else:
        table = "coco_layer_wise_tiny" if layers == 6 else "v1_group"
        ids = REFERENCE[table]["ids_depths_3_3_9_3" if layers == 6 else "ids_depths_3_3_27_3"]
        expected = {
            f"stage_{stage}_block_{block}": layers + 1 - number
            for stage in range(4)
            for block, number in enumerate(ids[f"stages.{stage}"])
        }
        expected |= {f"stage_{stage}_downsample": layers + 1 - ids[f"downsample_layers.{stage}"] for stage in (1, 2, 3)}
        expected |= {"stem": layers + 1 - ids["downsample_layers.0"], "stage_2_norm": 0, "head": 0}
    for layer, exponent in expected.items():
        matching = [factor for regex, factor in rules if re.search(regex, f"{layer}/conv/kernel")]
        assert matching == [pytest.approx(recipe.layer_decay**exponent, rel=1e-12)], layer
