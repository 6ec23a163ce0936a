"""Files that are written as torch writes them."""

import numpy as np
import pytest

from keras_convnext.checkpoints.torch_writer import write_torch


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_reads_what_is_written(torch, tmp_path, rng, mmap):
    dtypes = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"]
    arrays = {dtype: (10 * rng.normal(size=(3, 4, 1))).astype(dtype) for dtype in dtypes}
    arrays |= {"scalar": np.array(3.5), "empty": np.empty((2, 0, 3)), "many": np.ones(70_000), "ü": np.ones((1,) * 9)}
    write_torch(tmp_path / "model.pth", {"model": arrays, "license": "CC-BY-NC-4.0", "none": {}})
    content = torch.load(tmp_path / "model.pth", weights_only=True, mmap=mmap)
    assert (content["license"], content["none"], list(content)) == ("CC-BY-NC-4.0", {}, ["model", "license", "none"])
    assert list(content["model"]) == list(arrays)
    for name, array in arrays.items():
        found = content["model"][name]
        np.testing.assert_array_equal(found.numpy(), array, err_msg=name, strict=True)
        assert found.is_contiguous()
        assert not mmap or not array.size or found.data_ptr() % 64 == 0


def test_files_written_twice_are_equal(tmp_path):
    for name in ("first.pth", "second.pth"):
        write_torch(tmp_path / name, {"a": np.ones(3, "float32")})
    assert (tmp_path / "first.pth").read_bytes() == (tmp_path / "second.pth").read_bytes()
