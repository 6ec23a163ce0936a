"""Weight names, the address of checkpoints and weight-decay rules, against golden lists, wherever a model stands."""

from pathlib import Path

import keras
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier

pytestmark = pytest.mark.once

GOLDEN = {path.stem: path.read_text().splitlines() for path in sorted(Path(__file__).with_name("golden").glob("*.txt"))}
L = keras.layers


def test_there_are_golden_lists():
    assert {name: len(lines) for name, lines in GOLDEN.items()} == {"convnext_tiny": 182, "convnextv2_atto": 140}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_classifier_has_exactly_the_golden_names(name):
    model = ConvNeXtClassifier.from_preset(name, num_classes=1000)
    assert [f"{weight.path} {tuple(weight.shape)}" for weight in model.weights] == GOLDEN[name]


# Where a model may stand. Each function returns the weights of one that stands there.


class Subclassed(keras.Model):
    def __init__(self, preset):
        super().__init__(name="subclassed")
        self.backbone = ConvNeXtBackbone.from_preset(preset)

    def call(self, images, training=None):
        return self.backbone(images, training=training)


class Built(L.Layer):
    def __init__(self, preset):
        super().__init__(name="built")
        self.preset = preset

    def build(self, input_shape):
        self.backbone = ConvNeXtBackbone.from_preset(self.preset)

    def call(self, images, training=None):
        return self.backbone(images, training=training)


def in_a_subclassed_model(preset, tmp_path):
    model = Subclassed(preset)
    model.build((None, 32, 32, 3))
    return model


def in_the_build_of_a_layer(preset, tmp_path):
    image = keras.Input((32, 32, 3))
    return keras.Model(image, Built(preset)(image))


def nested_in_a_functional_model(preset, tmp_path):
    image = keras.Input((32, 32, 3))
    inner = keras.Model(image, ConvNeXtBackbone.from_preset(preset)(image), name="inner")
    outer = keras.Input((32, 32, 3))
    return keras.Model(outer, inner(outer), name="outer")


def in_a_sequential_model(preset, tmp_path):
    return keras.Sequential([keras.Input((32, 32, 3)), ConvNeXtBackbone.from_preset(preset)])


def under_time_distributed(preset, tmp_path):
    clip = keras.Input((2, 32, 32, 3))
    return keras.Model(clip, L.TimeDistributed(ConvNeXtBackbone.from_preset(preset))(clip))


def loaded(preset, tmp_path):
    ConvNeXtClassifier.from_preset(preset).save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


def cloned(preset, tmp_path):
    return keras.models.clone_model(ConvNeXtClassifier.from_preset(preset))


def the_second_of_its_kind(preset, tmp_path):
    ConvNeXtBackbone.from_preset(preset)
    return ConvNeXtBackbone.from_preset(preset)


PLACES = [
    in_a_subclassed_model,
    in_the_build_of_a_layer,
    nested_in_a_functional_model,
    in_a_sequential_model,
    under_time_distributed,
    loaded,
    cloned,
    the_second_of_its_kind,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("name", GOLDEN)
def test_names_end_with_the_golden_ones_in_their_order(name, place, tmp_path):
    found = [f"/{weight.path} {tuple(weight.shape)}" for weight in place(name, tmp_path).weights]
    golden = GOLDEN[name]
    if len(found) < len(golden):  # a backbone
        golden = [line for line in golden if not line.startswith("head")]
    assert len(found) == len(golden)
    assert [line for line, end in zip(found, golden, strict=True) if not line.endswith(f"/{end}")] == []
