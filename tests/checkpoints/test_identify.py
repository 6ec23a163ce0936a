"""The variant of a checkpoint, from the sizes of its arrays."""

import numpy as np
import pytest

from keras_convnext import VARIANTS, ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import identify, read_arrays
from keras_convnext.checkpoints.identify import LAYOUTS


class Sized:
    """Stands for an array of that size: those of the largest variants would fill the memory."""

    def __init__(self, size):
        self.size = size


def arrays_of(variant, layout, classes):
    """The arrays of a variant that say which it is."""
    dim, norm = variant.dims[0], ["gamma", "beta"] if variant.norm == "layer_norm" else ["gamma"]
    if variant.stem == "patchify":
        paths = {"stem/conv/kernel": 48 * dim, "stem/conv/bias": dim}
    else:
        paths = {f"stem/{conv}/{weight}": dim for conv in ("conv_1", "conv_2") for weight in ("kernel", "bias")}
        paths["stem/conv_2/kernel"] = 9 * dim**2
    paths |= {f"stem/norm/{weight}": dim for weight in norm if variant.stem_norm}
    for stage, (depth, dim) in enumerate(zip(variant.depths, variant.dims, strict=True)):
        for block in range(depth):
            side = variant.kernel_size[stage] if isinstance(variant.kernel_size, tuple) else variant.kernel_size
            paths[f"stage_{stage}_block_{block}/depthwise_conv/kernel"] = dim * side**2
            paths[f"stage_{stage}_block_{block}/depthwise_conv/bias"] = dim
            paths |= {f"stage_{stage}_block_{block}/norm/{weight}": dim for weight in norm}
            if variant.use_grn:
                paths[f"stage_{stage}_block_{block}/grn/gamma"] = 4 * dim
            if variant.layer_scale_init_value is not None:
                paths[f"stage_{stage}_block_{block}/layer_scale/gamma"] = dim
    paths |= {"head_norm/gamma": variant.dims[-1]}
    paths |= {"head_hidden/bias": variant.head_hidden_size} if variant.head_hidden_size else {}
    paths["head/bias"] = classes
    return {entry.name: Sized(size) for path, size in paths.items() if (entry := layout.entry(path))}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_in_each_layout_that_has_it(name):
    variant, found = VARIANTS[name], []
    for layout in LAYOUTS:
        arrays = arrays_of(variant, layout, 7)
        complete = len(arrays) == len(arrays_of(variant, LAYOUTS[-1], 7))
        if complete and layout.head_norm_first == variant.head_norm_first:
            assert identify(arrays) == (name, 7), layout.name
            found.append(layout.name)
    assert found


def test_a_file_without_a_head(tmp_path):
    backbone = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3).backbone
    save_checkpoint(backbone, tmp_path / "model.safetensors")
    assert identify(read_arrays(tmp_path / "model.safetensors")) == ("convnext_mini", None)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_each_weight_has_one_row_and_a_name_of_its_own(layout):
    layers = [layer.format(s=s, b=b) for layer, _, _ in layout.rows for s in (0, 1) for b in (0, 1)]
    names = {}
    for layer in sorted({*layers} - {"stage_0_downsample/norm", "stage_0_downsample/conv"}):
        rows = [
            arrays
            for ours, _, arrays in layout.rows
            if layer in {ours.format(s=s, b=b) for s in (0, 1) for b in (0, 1)}
        ]
        assert len(rows) == 1, layer
        for weight in rows[0]:
            names[f"{layer}/{weight}"] = layout.entry(f"{layer}/{weight}").name
    assert len(set(names.values())) == len(names)


def test_no_known_variant(small_classifier, tmp_path):
    save_checkpoint(small_classifier(), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="not a variant that `keras-convnext list` prints"):
        identify(read_arrays(tmp_path / "model.safetensors"))
    with pytest.raises(ValueError, match="not a variant"):
        identify({"weight": np.ones(3)})
