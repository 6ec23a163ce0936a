"""Freezing: by stage, by layer, as a whole; kept through configurations and training."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier

TWO_STAGES = {"depths": (1, 1), "dims": (8, 16)}


@pytest.mark.parametrize(
    ("count", "trainable"),
    [
        (None, {"stem", "stage_0", "stage_1", "stage_2", "stage_3"}),
        (0, {"stage_0", "stage_1", "stage_2", "stage_3"}),
        (1, {"stage_1", "stage_2", "stage_3"}),
        (3, {"stage_3"}),
        (4, set()),
    ],
)
@pytest.mark.parametrize("before", [None, 2, "everything"])
def test_freeze_stages(small_backbone, count, trainable, before):
    """Whatever was frozen before."""
    backbone = small_backbone(level_norm=True)
    if before == "everything":
        backbone.trainable = False
    elif before:
        backbone.freeze_stages(before)
    backbone.freeze_stages(count)
    for one in (backbone, ConvNeXtBackbone.from_config(backbone.get_config())):
        parts = {weight.path.split("/")[0][: len("stage_0")] for weight in one.trainable_weights}
        assert parts == trainable


@pytest.mark.parametrize("count", [-1, 5])
def test_freeze_stages_refuses_a_count_that_is_none(small_backbone, count):
    with pytest.raises(ValueError, match=rf"from 0 to 4\. Received: {count}"):
        small_backbone().freeze_stages(count)


def test_freeze_stages_reads_whole_numbers(small_backbone):
    """Stage 1 is not stage 10."""
    backbone = small_backbone(depths=(1,) * 11, dims=(4,) * 11, output_stride=4)
    backbone.freeze_stages(2)
    assert {weight.path.split("_")[1] for weight in backbone.trainable_weights} == {str(n) for n in range(2, 11)}


@pytest.mark.parametrize("count", [None, 1])
def test_an_untrainable_backbone_stays_so_through_its_configuration(small_backbone, count):
    backbone = small_backbone()
    backbone.freeze_stages(count)
    backbone.trainable = False
    assert ConvNeXtBackbone.from_config(backbone.get_config()).trainable_weights == []


def test_a_single_frozen_layer_stays_so_through_its_configuration(small_backbone):
    backbone = small_backbone(frozen_layers=["stage_2_block_1"])
    backbone.get_layer("stage_1_downsample").trainable = False
    again = ConvNeXtBackbone.from_config(backbone.get_config())
    frozen = {weight.path.split("/")[0] for weight in again.non_trainable_weights}
    assert frozen == {"stage_1_downsample", "stage_2_block_1"}


def test_frozen_weights_do_not_move_in_training(small_backbone, randomize, images):
    backbone = small_backbone(**TWO_STAGES, input_shape=(16, 16, 3))
    backbone.freeze_stages(1)
    model = randomize(ConvNeXtClassifier(backbone, 2))
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(images(4, 16, 16, 3), np.eye(2, dtype="float32")[[0, 1, 0, 1]], verbose=0)
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert (old == new).all() == weight.path.startswith(("stem", "stage_0")), weight.path
