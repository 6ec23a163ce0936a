"""Files of torch, read with NumPy: against `torch.load`, and what is refused."""

import argparse
import os
import pickle
import warnings
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

from keras_convnext.checkpoints import read_arrays
from keras_convnext.checkpoints.errors import DamagedFileError
from keras_convnext.checkpoints.torch_pickle import unpickle
from keras_convnext.checkpoints.torch_writer import write_torch

FLOATS = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32", "uint64"]


@pytest.fixture
def saved(torch, tmp_path):
    """A function: saves an object as torch does; the path."""

    def save(content, **options):
        torch.save(content, tmp_path / "model.pth", **options)
        return tmp_path / "model.pth"

    return save


@pytest.fixture
def assert_as_torch(torch):
    """A function: holds the arrays that are read from a file against what torch reads."""

    def check(path):
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, weights_only=True)
        expected = {k: v for k, v in content.get("model", content).items() if isinstance(v, torch.Tensor)}
        found = read_arrays(path)
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            tensor = (tensor.float() if tensor.is_floating_point() else tensor).detach()
            np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name, strict=True)
            assert found[name].flags.writeable
        return found

    return check


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


def test_files_of_big_endian_machines(torch, saved, tmp_path, assert_as_torch):
    content = {dtype: torch.randn(3).to(getattr(torch, dtype)) for dtype in (*FLOATS, "int64", "int16", "bool")}
    big = rewritten(saved(content), tmp_path / "big.pth", lambda name, data: b"big" if "byteorder" in name else data)
    with np.errstate(invalid="ignore", over="ignore"):
        assert_as_torch(big)


def test_without_the_records_that_early_torch_did_not_write(torch, saved, tmp_path, assert_as_torch):
    def keep(name, data):
        return data if name.endswith(("data.pkl", "data/0", "version")) else None

    assert_as_torch(rewritten(saved({"a": torch.randn(3)}), tmp_path / "early.pth", keep))


# === What is refused


def rewritten(path, to, change, **options):
    """The archive with each record changed by a function of its name and bytes, and left out for None; the path."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", **options) as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(info.filename, data)
    return to


def with_pickle(tmp_path, data, numbers=b"\0" * 16):
    """An archive as torch makes it, with a pickle of one's own and a storage of 16 bytes."""
    path = tmp_path / "made.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made/data.pkl", data)
        archive.writestr("made/data/0", numbers)
        archive.writestr("made/version", b"3")
    return path


def global_(name):
    return b"c" + name.replace(" ", "\n").encode() + b"\n"


def integer(value):
    return pickle.dumps(value, protocol=2)[2:-1]


STORAGE = b"(X\x07\0\0\0storage" + global_("torch FloatStorage") + b"X\x01\0\0\x000X\x03\0\0\0cpu" + b"%stQ"


def tensor(offset=0, shape=(4,), strides=(1,), stored=4):
    """The pickle of `{"weight": tensor}`."""
    call = global_("torch._utils _rebuild_tensor_v2") + b"(" + STORAGE % integer(stored) + integer(offset)
    call += integer(shape) + integer(strides) + b"\x89" + global_("collections OrderedDict") + b")RtR"
    return b"\x80\x02}X\x06\0\0\0weight" + call + b"s."


def test_the_pickle_made_here_is_one_of_torch(tmp_path, assert_as_torch):
    assert_as_torch(with_pickle(tmp_path, tensor(1, (2,), (2,))))


@pytest.mark.parametrize(
    "facts",
    [
        {"offset": 1},
        {"offset": -1, "shape": (2,)},
        {"offset": 2**63},
        {"shape": (5,)},
        {"shape": (-1,)},
        {"shape": (2, 2), "strides": (4, 1)},
        {"shape": (2,), "strides": (-1,), "offset": 3},
        {"shape": (2, 2)},
        {"shape": (1,) * 65, "strides": (1,) * 65},
        {"shape": [4], "strides": [1]},
        {"shape": (4.0,)},
        {"stored": 5},
        {"stored": 2**62, "shape": (2**62,)},
        {"stored": -1},
        # As memory bombs: they need no number that is not there.
        {"shape": (10**9, 10**9), "strides": (0, 0)},
        {"shape": (4, 10**6), "strides": (1, 0)},
        {"shape": (10**9, 0, 10**30), "strides": (0, 0, 0)},
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_their_storage(tmp_path, facts):
    with pytest.raises(DamagedFileError, match=r"made\.pth: "):
        read_arrays(with_pickle(tmp_path, tensor(**facts)))


class Named:
    """Pickles as a call of any function, which is not called here."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


FORBIDDEN = {
    "os.system": global_("posix system") + b"X\x04\0\0\0true\x85R",
    "eval": global_("builtins eval") + b"X\x01\0\0\x001\x85R",
    "of Python 2": global_("__builtin__ eval") + b"X\x01\0\0\x001\x85R",
    "getattr": global_("builtins getattr") + b")R",
    "a method": global_("torch.Tensor mean"),
    "any function of torch": global_("torch.hub load") + b")R",
    "by its name on the stack": b"X\x05\0\0\0posixX\x06\0\0\0system\x93",
    "an object without a class": b"(i__main__\nNamed\n",
    "an extension": b"\x82\x01",
    "a call of a text": b"X\x04\0\0\0evalX\x01\0\0\x001\x85R",
    "the state of a class": global_("argparse Namespace") + b"}b",
    "the state of a list": b"]}b",
    "the state of a function": global_("torch._utils _rebuild_tensor_v2") + b"N}\x86b",
    "a text for a storage": b"X\x04\0\0\0pathQ",
    "a module for a storage": b"(X\x06\0\0\0module" + global_("torch FloatStorage") + b"X\x01\0\0\x000NK\x01tQ",
    "a path for a storage": b"(X\x07\0\0\0storageX\x01\0\0\0aX\x01\0\0\x000NK\x01tQ",
    "a storage by number": b"(X\x07\0\0\0storage" + global_("torch FloatStorage") + b"K\x00NK\x01tQ",
    "a tensor without a storage": global_("torch._utils _rebuild_tensor_v2") + b"(NK\x00))\x89}tR",
    "items of a list": b"]K\x01K\x02s",
    "a list as a key": b"}]K\x02s",
    "keys that take for ever to hash": b"}K\x01\x85" + b"q\x00h\x00\x86" * 60 + b"K\x02s",
    "an empty stack": b"0",
    "more than one value": b"K\x01",
    "what was not stored": b"h\x05",
    "no mark": b"t",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_nothing_else_is_named_called_or_changed(tmp_path, name):
    data = b"\x80\x02" + FORBIDDEN[name] + b"N."
    with pytest.raises(DamagedFileError, match=r"made\.pth: (refused: it is damaged, or holds|cut off or damaged)"):
        read_arrays(with_pickle(tmp_path, data))


def test_a_folder_is_not_made(torch, saved, tmp_path):
    trap = tmp_path / "made by the pickle"
    with pytest.raises(DamagedFileError, match=r"refused: .*mkdir"):
        read_arrays(saved({"model": {"a": torch.ones(2)}, "args": Named(trap)}))
    assert not trap.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
        b"\x80\x02" + b"N" + b"\x85" * 10**6 + b".",
        b"\x80\x02" + (b"(" * 10**6) + b"t" * 10**6 + b".",
    ],
    ids=["lists", "tuples", "marks"],
)
def test_deep_nesting(tmp_path, data):
    with pytest.raises(ValueError, match=r"made\.pth: (expected a dict of tensors, got|cut off)"):
        read_arrays(with_pickle(tmp_path, data))


def test_recursive_calls(tmp_path):
    function = global_("torch._tensor _rebuild_from_type_v2")
    data = b"\x80\x02" + function + b"q\x00" + b"(h\x00N" * 5000 + b")" + b"Nt" * 5000 + b"R."
    with pytest.raises(DamagedFileError, match="recursion"):
        read_arrays(with_pickle(tmp_path, data))


def test_a_program_of_torchscript(torch, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(torch.nn.Linear(2, 3)).save(tmp_path / "program.pt")
    with pytest.raises(ValueError, match="expected weights, got a TorchScript program"):
        read_arrays(tmp_path / "program.pt")


def test_other_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "report.zip", "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(DamagedFileError, match=r"expected an archive that torch\.save wrote, got one of \['word/doc"):
        read_arrays(tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(DamagedFileError):
        read_arrays(tmp_path / "empty.zip")


# === Damaged archives


@pytest.fixture
def archive(torch, saved):
    """A file with weights and more."""
    return saved({"model": {"a": torch.randn(100), "b": torch.randn(100)}, "optimizer": torch.randn(100)})


def test_cut_off_anywhere(archive):
    data = archive.read_bytes()
    for length in range(4, len(data), 61):
        archive.write_bytes(data[:length])
        with pytest.raises(DamagedFileError, match=r"cut off|damaged"):
            read_arrays(archive)


def test_a_changed_byte_anywhere(tmp_path):
    """It is found, or is one of those that say nothing about the weights, such as a record's date."""
    path = with_pickle(tmp_path, tensor(), np.arange(4, dtype="float32").tobytes())
    data = path.read_bytes()
    found = 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            np.testing.assert_array_equal(read_arrays(path)["weight"], range(4))
        except DamagedFileError:
            found += 1
    assert found > len(data) / 2


@pytest.mark.parametrize("record", ["data.pkl", "data/0", "data/1", "data/2"])
def test_a_flipped_bit_in_any_record(archive, record):
    """The optimizer's too: the file is not as it was written."""
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo(f"model/{record}")
        data = opened.read(info)
    body = bytearray(archive.read_bytes())
    body[body.index(data) + len(data) // 2] ^= 1
    archive.write_bytes(body)
    with pytest.raises(DamagedFileError, match=f"{record} in it is damaged"):
        read_arrays(archive)


def test_a_missing_storage(archive, tmp_path):
    path = rewritten(archive, tmp_path / "other.pth", lambda name, data: None if name.endswith("data/1") else data)
    with pytest.raises(DamagedFileError, match="model/data/1 is missing"):
        read_arrays(path)


def test_an_unknown_order_of_bytes(archive, tmp_path):
    path = rewritten(archive, tmp_path / "other.pth", lambda name, data: b"pdp" if "byteorder" in name else data)
    with pytest.raises(DamagedFileError, match="cut off or damaged"):
        read_arrays(path)


def test_compressed_records(archive, tmp_path):
    """A hundred gigabytes of zeros take a hundred megabytes; torch stores what it saves as it is."""
    path = rewritten(archive, tmp_path / "other.pth", lambda name, data: data, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DamagedFileError, match="compressed, which torch never does"):
        read_arrays(path)


def test_records_that_overlap(archive, tmp_path):
    """Many names for the same bytes."""
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("model/data.pkl", tensor())
        made.writestr("model/data/0", bytes(4096))
        first = made.infolist()[-1]
        for number in range(1, 50):
            info = zipfile.ZipInfo(f"model/data/{number}")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(info, field, getattr(first, field))
            made.filelist.append(info)
            made.NameToInfo[info.filename] = info
    with pytest.raises(DamagedFileError, match="larger together than the file"):
        read_arrays(path)


def test_two_records_of_one_name(tmp_path):
    path = with_pickle(tmp_path, tensor())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("made/data/0", bytes(16))
    with pytest.raises(DamagedFileError, match="two records of one name"):
        read_arrays(path)


def test_unpickle_takes_plain_values():
    value = {"a": [1, 2.5, None, (True, False)], "b": {"c": ()}, 3: "text", -(2**40): "ü"}
    assert unpickle(pickle.dumps(value, protocol=2)) == value


# === Writing


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
