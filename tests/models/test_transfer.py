"""A trained model for another task: which of its weights are taken, and which are new."""

import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone
from keras_convnext.models import transfer


def weights_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_other_classes_have_a_new_last_layer(small_classifier, randomize, version):
    old = randomize(small_classifier(version, num_classes=5))
    new = transfer(old, num_classes=3, head_init_scale=0.001, drop_path_rate=0.2, input_shape=(64, 64, 3))
    before, after = weights_of(old), weights_of(new)
    assert before.keys() == after.keys()
    for path, value in after.items():
        if path.startswith("head/"):
            assert value.shape[-1] == 3
            assert np.abs(value).max() < 1e-3
        else:
            np.testing.assert_array_equal(value, before[path])
    assert new.backbone.drop_path_rate == 0.2
    assert new.input_shape == (None, 64, 64, 3)


def test_as_many_classes_keep_the_last_layer(small_classifier, randomize, images, numpy_of):
    old = randomize(small_classifier(num_classes=5))
    new = transfer(old, num_classes=5, drop_path_rate=0.1)
    batch = images(2, 32, 32, 3)
    np.testing.assert_allclose(numpy_of(new, batch), numpy_of(old, batch), rtol=1e-5, atol=1e-5)


def test_of_a_backbone_alone(small_backbone, randomize):
    old = randomize(small_backbone())
    new = transfer(old, num_classes=4)
    for path, value in weights_of(old).items():
        np.testing.assert_array_equal(weights_of(new)[path], value)
    assert new.output.shape == (None, 4)


def test_what_was_frozen_learns_again(small_classifier):
    old = small_classifier()
    old.backbone.freeze_stages(2)
    assert len(transfer(old, num_classes=3).trainable_weights) == len(old.weights)


def test_refuses_changes_of_the_weights():
    old = ConvNeXtBackbone(depths=(1, 1), dims=(8, 16), kernel_size=3)
    with pytest.raises(
        ValueError,
        match=r"depthwise_conv/kernel: the classifier needs shape \(5, 5, 8, 1\), the model has \(3, 3, 8, 1\)",
    ):
        transfer(old, num_classes=2, kernel_size=5)
