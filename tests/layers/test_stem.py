"""Stem: values against NumPy, channel counts, shapes at odd sizes."""

import numpy as np
import pytest

from keras_convnext.layers import Stem

KINDS = [
    ("patchify", 1),
    ("patchify", 2),
    ("patchify", 4),
    ("patchify", 16),
    ("overlap", 4),
    ("overlap_tiered", 4),
    ("overlap_act", 4),
]


@pytest.fixture
def random_stem(randomize):
    def make(channels, **arguments):
        stem = Stem(**arguments)
        stem.build((None, None, None, channels))
        return randomize(stem)

    return make


@pytest.mark.parametrize("use_norm", [True, False])
@pytest.mark.parametrize(("kind", "patch_size"), KINDS)
def test_equals_the_formula(random_stem, formulas, numpy_of, rng, kind, patch_size, use_norm):
    stem = random_stem(3, dim=24, kind=kind, patch_size=patch_size, use_norm=use_norm, norm_eps=1e-3)
    x = rng.normal(size=(2, 35, 48, 3)).astype("float32")
    weights = stem.get_weights()
    if kind == "patchify":
        expected = formulas.convolution(x, *weights[:2], strides=patch_size)
    else:
        expected = formulas.convolution(x, *weights[:2], strides=2, padding=(1, 1))
        expected = formulas.gelu(expected) if kind == "overlap_act" else expected
        expected = formulas.convolution(expected, *weights[2:4], strides=2, padding=(1, 1))
    if use_norm:
        expected = formulas.layer_norm(expected, *weights[-2:], epsilon=1e-3)
    np.testing.assert_allclose(numpy_of(stem, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["rms_norm", "simple_norm"])
@pytest.mark.parametrize(("kind", "patch_size"), [("patchify", 4), ("overlap_act", 4)])
def test_other_norms_and_no_bias(random_stem, formulas, numpy_of, rng, kind, patch_size, norm):
    stem = random_stem(3, dim=8, kind=kind, norm=norm, activation="silu", conv_bias=False)
    x = rng.normal(size=(2, 35, 48, 3)).astype("float32")
    *kernels, gamma = stem.get_weights()
    if kind == "patchify":
        expected = formulas.convolution(x, *kernels, strides=4)
    else:
        expected = formulas.silu(formulas.convolution(x, kernels[0], strides=2, padding=(1, 1)))
        expected = formulas.convolution(expected, kernels[1], strides=2, padding=(1, 1))
    expected = getattr(formulas, norm)(expected, gamma, 1e-6)
    np.testing.assert_allclose(numpy_of(stem, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (18, 17)])
@pytest.mark.parametrize(("kind", "patch_size"), KINDS)
def test_compute_output_shape_is_the_shape_of_the_output(numpy_of, kind, patch_size, size):
    stem = Stem(8, kind=kind, patch_size=patch_size)
    shape = (1, *size, 3)
    assert stem.compute_output_shape(shape) == numpy_of(stem, np.zeros(shape, "float32")).shape


@pytest.mark.parametrize(("kind", "patch_size"), KINDS)
def test_free_sizes_stay_free(kind, patch_size):
    stem = Stem(8, kind=kind, patch_size=patch_size)
    assert stem.compute_output_shape((None, None, None, 3)) == (None, None, None, 8)


@pytest.mark.parametrize(("dim", "first"), [(40, 24), (48, 24), (64, 32)])
def test_first_convolution_of_the_tiered_stem(dim, first):
    """timm's convnext_atto_ols, femto_ols and pico_ols."""
    stem = Stem(dim, kind="overlap_tiered")
    stem.build((None, None, None, 3))
    assert [weight.shape for weight in stem.weights[:4:2]] == [(3, 3, 3, first), (3, 3, first, dim)]


def test_first_convolution_of_the_overlapping_stem():
    stem = Stem(80, kind="overlap")
    stem.build((None, None, None, 3))
    assert [weight.shape for weight in stem.weights[:4:2]] == [(3, 3, 3, 80), (3, 3, 80, 80)]


def test_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match=r"patchify, overlap, overlap_tiered, overlap_act.*kind='conv'"):
        Stem(8, kind="conv")


@pytest.mark.parametrize("kind", ["overlap", "overlap_tiered", "overlap_act"])
def test_overlapping_stems_refuse_another_stride(kind):
    with pytest.raises(ValueError, match=r"supports only patch_size=4.*patch_size=2"):
        Stem(8, kind=kind, patch_size=2)
