"""The classifier's layers are all in one graph: what Keras's guides do with a model's layers works."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.layers import ConvNeXtBlock


@pytest.fixture
def model(small_backbone, randomize):
    backbone = small_backbone("v1", depths=(1, 2), dims=(8, 16), input_shape=(16, 16, 3))
    return randomize(ConvNeXtClassifier(backbone, 3))


def test_layers_are_found_by_name(model):
    assert isinstance(model.get_layer("stage_1_block_1"), ConvNeXtBlock)
    assert model.get_layer("stage_1_block_1") is model.backbone.get_layer("stage_1_block_1")
    assert {layer.name for layer in model.backbone.layers} < {layer.name for layer in model.layers}


def test_several_outputs_compute_each_layer_once(model, images, numpy_of, monkeypatch):
    calls = []
    call = ConvNeXtBlock.call

    def counted(self, *args, **kwargs):
        calls.append(self.name)
        return call(self, *args, **kwargs)

    both = keras.Model(model.input, {"logits": model.output, **model.backbone.pyramid_outputs})
    x = images(2, 16, 16, 3)
    expected = {"logits": numpy_of(model, x)}
    monkeypatch.setattr(ConvNeXtBlock, "call", counted)
    outputs = numpy_of(lambda: both(x))
    assert sorted(calls) == ["stage_0_block_0", "stage_1_block_0", "stage_1_block_1"]
    assert outputs.keys() == {"logits", "P2", "P3"}
    np.testing.assert_allclose(outputs["logits"], expected["logits"], rtol=1e-4, atol=1e-4)


def test_grad_cam(model, images, gradients, numpy_of):
    """The gradient of a class in the last block's map; by the graph from there on, as JAX and PyTorch want it."""
    x = images(2, 16, 16, 3)
    feature_map = model.get_layer("stage_1_block_1").output
    features = numpy_of(keras.Model(model.input, feature_map), x)
    head = keras.Model(feature_map, model.output)
    np.testing.assert_allclose(numpy_of(head, features), numpy_of(model, x), rtol=1e-4, atol=1e-4)
    of_class = np.tile(np.float32([0, 1, 0]), (2, 1))
    in_map, _ = gradients(head, features, of_class, training=False)
    assert in_map.shape == features.shape == (2, 2, 2, 16)
    step = 1e-2 * np.sign(in_map)
    change = ((numpy_of(head, features + step) - numpy_of(head, features - step)) * of_class).sum()
    np.testing.assert_allclose(change, 2 * (step * in_map).sum(), rtol=0.05)


def test_grad_cam_with_a_tape_as_in_keras_guide(model, images, backend):
    if backend == "jax":
        return  # which has no tape: the test above is its way
    x = images(2, 16, 16, 3)
    both = keras.Model(model.inputs, [model.get_layer("stage_1_block_1").output, model.output])
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            features, logits = both(x)
            chosen = logits[:, 1]
        gradient = tape.gradient(chosen, features)
    else:
        import torch

        features, logits = both(x)
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), features)
    assert tuple(gradient.shape) == tuple(features.shape)
    assert np.abs(keras.ops.convert_to_numpy(gradient)).max() > 0


def test_images_that_are_too_small_are_refused(small_classifier):
    model = small_classifier(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"Images of 16x64 pixels are smaller than this network's stride of 32"):
        model(np.zeros((1, 16, 64, 3), "float32"))


def test_frames_of_a_clip_are_classified_each(model, images, numpy_of):
    x = images(2, 3, 16, 16, 3)
    clip = keras.Input((3, 16, 16, 3))
    y = numpy_of(keras.Model(clip, keras.layers.TimeDistributed(model)(clip)), x)
    np.testing.assert_allclose(y[:, 1], numpy_of(model, x[:, 1]), rtol=1e-4, atol=1e-4)


def test_two_classifiers_on_one_backbone_share_its_layers(small_backbone):
    backbone = small_backbone(depths=(1,), dims=(8,))
    one, other = ConvNeXtClassifier(backbone, 3), ConvNeXtClassifier(backbone, 5)
    assert one.get_layer("stem") is other.get_layer("stem")
    assert one.get_layer("head") is not other.get_layer("head")
