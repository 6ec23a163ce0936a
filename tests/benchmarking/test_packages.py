"""What can be timed: which variants a package has, and what is counted for each."""

import pytest

from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.packages import PACKAGES
from keras_convnext.profiling import count
from keras_convnext.variants import VARIANTS, get_variant

PLAIN = ("convnext_tiny", "convnext_atto", "convnextv2_atto", "convnextv2_huge")
OTHERS = ("convnext_atto_ols", "convnext_zepto_rms", "test_convnext3", "convnext_large_mlp", "convnext_isotropic_small")


def case_of(package, variant):
    return Case(package, "torch", "", "forward", variant, 1, 32, "float32", "cpu")


@pytest.mark.parametrize("variant", OTHERS)
@pytest.mark.parametrize("package", ["zeromodels", "transformers"])
def test_refuses_a_variant_that_depths_widths_and_grn_do_not_make(package, variant):
    with pytest.raises(ValueError, match=f"{package} has only plain ConvNeXts.* {variant} has other "):
        PACKAGES[package].build(case_of(package, variant))


@pytest.mark.parametrize("variant", VARIANTS)
def test_transformers_builds_the_variant_or_refuses_it(variant, monkeypatch):
    """What is built has as many parameters as the variant."""
    import torch

    built = []
    monkeypatch.setattr(
        "keras_convnext.benchmarking.packages._torch_step", lambda case, model, logits: built.append(model)
    )
    try:
        with torch.device("meta"):
            PACKAGES["transformers"].build(case_of("transformers", variant))
    except ValueError:
        assert variant not in PLAIN
        return
    (model,) = built
    assert variant not in OTHERS
    assert sum(weight.numel() for weight in model.parameters()) == count(get_variant(variant)).params
