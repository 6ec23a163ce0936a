"""Files of torch without torch: the same arrays as torch reads."""

import argparse
import pickle
import warnings
from collections import Counter, OrderedDict

import numpy as np
import pytest

from keras_convnext.checkpoints import read_arrays
from keras_convnext.checkpoints.torch_pickle import unpickle

FLOATS = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]


INTEGERS = ["int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32", "uint64"]


# === As torch reads them


@pytest.mark.parametrize("dtype", FLOATS)
def test_floating_types(torch, saved, assert_as_torch, dtype):
    values = torch.randn(5, 7).to(getattr(torch, dtype))
    arrays = assert_as_torch(saved({"a": values, "b": values[1:3, 2:], "scalar": values[0, 0].clone()}))
    assert {array.dtype.name for array in arrays.values()} == {"float32"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_every_number_of_the_types_that_numpy_does_not_have(torch, saved, assert_as_torch, dtype):
    bits = torch.arange(256 if "8_" in dtype else 1 << 16).to(torch.uint8 if "8_" in dtype else torch.uint16)
    with np.errstate(invalid="ignore"):
        assert_as_torch(saved({"a": bits.view(getattr(torch, dtype))}))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(torch, saved, assert_as_torch, dtype):
    values = torch.randint(0, 127, (3, 4)).to(getattr(torch, dtype))
    assert_as_torch(saved({"a": values, "b": values.T}))


def test_views_and_shared_storages(torch, saved, assert_as_torch):
    maps = torch.randn(2, 3, 4, 5)
    content = {
        "channels last": maps.to(memory_format=torch.channels_last),
        "transposed": maps.permute(3, 1, 0, 2),
        "strided": maps[::2, 1:, ::3],
        "shared": maps,
        "shared again": maps,
        "diagonal": torch.randn(4, 4).diagonal(),
        "expanded": torch.randn(3, 1).expand(3, 4),
        "windows": torch.arange(10.0).unfold(0, 4, 1),
        "empty": torch.empty(0),
        "empty maps": torch.empty(2, 0, 3),
        "scalar": torch.tensor(3.5),
        "of maps": maps[1, 2, 3, 4],
    }
    arrays = assert_as_torch(saved(content))
    assert np.shares_memory(arrays["shared"], arrays["shared again"])


def test_parameters(torch, saved, assert_as_torch):
    parameter = torch.nn.Parameter(torch.randn(3), requires_grad=False)
    with_attributes = torch.nn.Parameter(torch.randn(3))
    with_attributes.tag = "stem"
    tensor = torch.randn(3)
    tensor.tag = "stem"
    assert_as_torch(saved({"a": parameter, "b": with_attributes, "c": tensor, "d": torch.nn.Buffer(torch.ones(2))}))


def test_a_training_script(torch, saved, assert_as_torch):
    """As the authors' has it, and with all that torch allows beside the weights."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    content = {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.999), device=torch.device("cuda:0"), out=None),
        "epoch": 3,
        "seen": 2**70,
        "best": -0.5,
        "set": {1, 2},
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"abc"),
        "complex": 1j,
        "nested": OrderedDict(a=[(), (1,), [None, True]], b=Counter("abca")),
        "dtype": torch.bfloat16,
        "size": torch.ones(2, 3).shape,
        "rng": torch.get_rng_state(),
        (1, "tuple"): 2,
    }
    assert_as_torch(saved(content))


def test_numbers_of_numpy(torch, saved):
    """torch's own reader refuses them; the weights beside them are as good."""
    path = saved({"model": {"a": torch.ones(2)}, "top1": np.float64(82.1), "history": np.arange(3)})
    np.testing.assert_array_equal(read_arrays(path)["a"], np.ones(2, "float32"), strict=True)


def other_tensors(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "sparse": torch.eye(3).to_sparse(),
            "compressed": torch.eye(3).to_sparse_csr(),
            "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "meta": torch.ones(2, device="meta"),
            "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
            "negated": torch.ones(2, dtype=torch.complex64).conj().imag,
        }


@pytest.mark.filterwarnings("ignore")  # torch, of sparse and quantized tensors
def test_other_tensors_do_not_matter_where_they_are_not_weights(torch, saved, assert_as_torch):
    assert_as_torch(saved({"model": {"a": torch.ones(2)}, "other": other_tensors(torch)}))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["sparse", "compressed", "quantized", "meta", "conjugate", "negated"])
def test_other_tensors_as_weights(torch, saved, kind):
    with pytest.raises(ValueError, match=r"expected (an array of )?numbers, got .* in weight"):
        read_arrays(saved({"weight": other_tensors(torch)[kind]}))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols_of_pickle(torch, saved, protocol):
    values = torch.randn(3)
    state = OrderedDict(weight=values, bias=torch.nn.Parameter(values))
    path = saved({"model": state, "args": argparse.Namespace(a={1}, b=b"2")}, pickle_protocol=protocol)
    for array in read_arrays(path).values():
        np.testing.assert_array_equal(array, values.numpy())


def test_files_of_big_endian_machines(torch, saved, tmp_path, assert_as_torch, rewritten):
    content = {dtype: torch.randn(3).to(getattr(torch, dtype)) for dtype in (*FLOATS, "int64", "int16", "bool")}
    big = rewritten(saved(content), tmp_path / "big.pth", lambda name, data: b"big" if "byteorder" in name else data)
    with np.errstate(invalid="ignore", over="ignore"):
        assert_as_torch(big)


def test_without_the_records_that_early_torch_did_not_write(torch, saved, tmp_path, assert_as_torch, rewritten):
    def keep(name, data):
        return data if name.endswith(("data.pkl", "data/0", "version")) else None

    assert_as_torch(rewritten(saved({"a": torch.randn(3)}), tmp_path / "early.pth", keep))


# === Damaged archives


def test_unpickle_takes_plain_values():
    value = {"a": [1, 2.5, None, (True, False)], "b": {"c": ()}, 3: "text", -(2**40): "ü"}
    assert unpickle(pickle.dumps(value, protocol=2)) == value
