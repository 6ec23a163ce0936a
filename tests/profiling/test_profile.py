"""`profile` against arithmetic by hand, over models that are none of ours."""

import keras
import numpy as np
import pytest

from keras_convnext.profiling import profile

L = keras.layers

# layer, shape of one input, MACs by hand
LAYERS = {
    "dense": (lambda: L.Dense(5), (7,), 7 * 5),
    "dense over positions": (lambda: L.Dense(5), (6, 6, 7), 36 * 7 * 5),
    "conv, same": (lambda: L.Conv2D(16, 3, padding="same"), (8, 8, 3), 64 * 9 * 3 * 16),
    "conv, valid": (lambda: L.Conv2D(16, 3), (8, 9, 3), 6 * 7 * 9 * 3 * 16),
    "conv, strides": (lambda: L.Conv2D(16, 4, strides=4), (8, 12, 3), 6 * 16 * 3 * 16),
    "conv, dilation": (lambda: L.Conv2D(4, 3, dilation_rate=2), (9, 9, 3), 25 * 9 * 3 * 4),
    "conv, groups": (lambda: L.Conv2D(8, 3, groups=4, padding="same"), (5, 5, 8), 25 * 9 * 2 * 8),
    "conv 1d": (lambda: L.Conv1D(4, 3, padding="same"), (10, 2), 10 * 3 * 2 * 4),
    "conv 3d": (lambda: L.Conv3D(4, 3, padding="same"), (4, 4, 4, 2), 64 * 27 * 2 * 4),
    "depthwise": (lambda: L.DepthwiseConv2D(7, padding="same"), (8, 8, 6), 64 * 49 * 6),
    "separable": (lambda: L.SeparableConv2D(4, 3, padding="same"), (8, 8, 6), 64 * (9 * 6 + 6 * 4)),
    "transposed": (lambda: L.Conv2DTranspose(4, 2, strides=2), (5, 5, 3), 25 * 4 * 3 * 4),
    "transposed 1d": (lambda: L.Conv1DTranspose(4, 2, strides=2), (5, 3), 5 * 2 * 3 * 4),
    "transposed 3d": (lambda: L.Conv3DTranspose(4, 2, strides=2), (5, 5, 5, 3), 125 * 8 * 3 * 4),
    "einsum": (lambda: L.EinsumDense("abc,cde->abde", (None, 2, 5)), (6, 7), 6 * 7 * 2 * 5),
    "einsum, ellipsis": (lambda: L.EinsumDense("...x,xy->...y", 5), (6, 7), 6 * 7 * 5),
    "norms and pooling": (lambda: keras.Sequential([L.LayerNormalization(), L.AveragePooling2D(2)]), (8, 8, 3), 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_macs_of_a_layer(name):
    make, shape, macs = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    result = profile(model)
    assert result.macs == macs
    assert result.params == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_channels_first():
    image = keras.Input((3, 8, 9))
    conv = L.Conv2D(16, 3, padding="same", data_format="channels_first")
    assert conv.compute_output_shape((1, 3, 8, 9)) == (1, 16, 8, 9)
    assert profile(keras.Model(image, _Shaped(conv)(image))).macs == 72 * 9 * 3 * 16


class _Shaped(L.Layer):
    """Gives a layer's shape without its computation: TensorFlow has no channels-first convolution on the CPU."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def build(self, input_shape):
        self.layer.build(input_shape)

    def call(self, inputs):
        return self.layer(inputs)


def nested_model():
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, name="conv"), L.BatchNormalization()], name="inner"
    )
    image = keras.Input((8, 8, 3))
    return keras.Model(image, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(inner(image))))


def test_a_row_for_each_call_of_each_innermost_layer():
    result = profile(nested_model())
    kinds = ["Conv2D", "BatchNormalization", "GlobalAveragePooling2D", "Dense"]
    assert [row.layer for row in result.rows if row.layer in kinds] == kinds
    conv, norm, _, head = (row for row in result.rows if row.layer in kinds)
    assert (conv.output_shape, conv.params, conv.macs) == ((6, 6, 4), 112, 36 * 27 * 4)
    assert (norm.params, norm.macs) == (8, 0), "moving averages are no parameters, as in torch"
    assert (head.path, head.output_shape, head.params, head.macs) == ("head", (2,), 10, 8)


def test_totals_are_the_sums_of_the_rows():
    result = profile(nested_model())
    assert result.params == sum(row.params for row in result.rows) == 112 + 8 + 10
    assert result.macs == sum(row.macs for row in result.rows) == 36 * 27 * 4 + 8


def test_a_shared_layer_has_two_rows_and_its_parameters_once():
    image = keras.Input((4,))
    dense = L.Dense(4)
    result = profile(keras.Model(image, dense(dense(image))))
    assert [row.macs for row in result.rows if row.layer == "Dense"] == [16, 16]
    assert (result.params, result.macs) == (20, 32)


def test_a_subclassed_model():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = L.Dense(8), L.Dense(2)

        def call(self, inputs):
            return self.second(self.first(inputs))

    model = Twice()
    model.build((None, 4))
    assert profile(model, (4,)).macs == 4 * 8 + 8 * 2


def test_the_shape_that_is_given_counts():
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 1)])
    assert profile(model, (10, 20, 3)).macs == 200 * 6
    assert profile(model, (20, 20, 3)).macs == 400 * 6


def test_a_frozen_layer_has_no_trainable_parameters_but_its_macs():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)])
    model.layers[0].trainable = False
    result = profile(model)
    assert (result.params, result.macs) == (3 * 2 + 2, 4 * 3 + 3 * 2)


def test_asks_for_a_shape_that_the_model_leaves_open():
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 1)])
    with pytest.raises(ValueError, match=r"`input_shape` must be given.*\(None, None, 3\)"):
        profile(model)


def _assert_calls_are_their_own(model):
    assert [layer.name for layer in model._flatten_layers() if "call" in vars(layer)] == []


def test_leaves_the_model_as_it_was(rng):
    model = nested_model()
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    before = keras.ops.convert_to_numpy(model(x))
    weights, config = [weight.path for weight in model.weights], model.to_json()
    profile(model)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)
    assert [weight.path for weight in model.weights] == weights
    assert model.to_json() == config
    _assert_calls_are_their_own(model)


def test_leaves_the_model_as_it_was_after_an_error():
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3)])
    with pytest.raises(ValueError):
        profile(model, (8, 8, 4))
    _assert_calls_are_their_own(model)
    assert profile(model).macs == 36 * 27 * 2


def attention_model():
    """Self-attention of 9 tokens of 8 numbers: two heads of 4."""
    tokens = keras.Input((9, 8))
    x = L.MultiHeadAttention(2, key_dim=4)(tokens, tokens)
    return keras.Model(tokens, L.Add()([tokens, x]))


def test_products_of_attention_count_where_asked_for():
    model = attention_model()
    linear = 4 * 9 * 8 * (2 * 4)  # queries, keys, values, outputs
    assert profile(model).macs == linear
    result = profile(model, attention=True)
    assert result.macs == linear + 2 * 9 * 9 * 2 * 4
    assert result.params == profile(model).params == sum(row.params for row in result.rows)


def test_attention_over_maps_and_by_keywords():
    """Every position of a 3 x 3 map attends to each of a 2 x 5 map; the scores are given too."""

    class Attends(L.Layer):
        def __init__(self):
            super().__init__()
            self.attention = L.MultiHeadAttention(2, key_dim=4)

        def build(self, input_shape):
            self.attention.build((1, 3, 3, 8), (1, 2, 5, 8))

        def call(self, inputs):
            queries, values = inputs[:, :9], inputs[:, 9:]
            queries, values = keras.ops.reshape(queries, (-1, 3, 3, 8)), keras.ops.reshape(values, (-1, 2, 5, 8))
            return self.attention(value=values, query=queries, return_attention_scores=True)[0]

    model = keras.Sequential([keras.Input((19, 8)), Attends()])
    assert profile(model, attention=True).macs - profile(model).macs == 9 * 10 * 2 * (4 + 4)


def test_a_layer_around_others_has_a_row_for_weights_of_its_own():
    class Scaled(L.Layer):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3)

        def build(self, input_shape):
            self.dense.build(input_shape)
            self.scale = self.add_weight(shape=(3,), name="scale")

        def call(self, inputs):
            return self.dense(inputs) * self.scale

    result = profile(keras.Sequential([keras.Input((4,)), Scaled()]), elementwise=True)
    assert [(row.layer, row.params, row.macs) for row in result.rows] == [("Dense", 15, 12), ("Scaled", 3, 0)]


def test_numbers_count_where_asked_for():
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 1), L.LayerNormalization(), L.ReLU()])
    assert profile(model).macs == 64 * 12
    assert profile(model, elementwise=True).macs == 64 * 12 + 2 * 64 * 4


class Windows(L.Layer):
    """Folds windows into the batch, gives them to layers inside, and multiplies each by itself."""

    def __init__(self, side):
        super().__init__()
        self.side, self.dense = side, L.Dense(5)

    def build(self, input_shape):
        self.dense.build((None, self.side, input_shape[-1]))

    def call(self, inputs):
        windows = keras.ops.reshape(inputs, (-1, self.side, inputs.shape[-1]))
        x = self.dense(windows)
        return keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))


def test_windows_in_the_batch_count():
    model = keras.Sequential([keras.Input((12, 3)), Windows(4)])
    assert profile(model).macs == 12 * 3 * 5


def test_own_products_count_where_a_function_says_how_many():
    model = keras.Sequential([keras.Input((12, 3)), Windows(4)])
    asked = []

    def products(layer, inputs, output):
        asked.append((inputs, output))
        return inputs[0][1] * layer.side * 5

    result = profile(model, counts={Windows: products})
    assert asked[-1] == ([(1, 12, 3)], (3, 4, 4))
    assert result.macs == 12 * 3 * 5 + 12 * 4 * 5
    assert result.params == sum(row.params for row in result.rows)


def test_a_layer_that_gives_its_input_back_costs_nothing():
    model = keras.Sequential([keras.Input((4,)), L.Dropout(0.0), L.Identity(), L.Dense(2)])
    result = profile(model, elementwise=True)
    assert [(row.macs, row.activation_bytes) for row in result.rows if row.layer != "Dense"] == [(0, 0)] * 2


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2), ("float16", 2)])
def test_activation_bytes(dtype, size):
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3, dtype=dtype), L.MaxPooling2D(2, dtype=dtype)])
    result = profile(model)
    assert [row.activation_bytes for row in result.rows] == [36 * 4 * size, 9 * 4 * size]
    assert result.activation_bytes == 45 * 4 * size
