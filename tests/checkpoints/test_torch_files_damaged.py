"""Files of torch that are refused: other objects than tensors, and archives that are damaged or altered."""

import os
import pickle
import warnings
import zipfile

import numpy as np
import pytest

from keras_convnext.checkpoints import read_arrays
from keras_convnext.checkpoints.errors import DamagedFileError

# === What is refused


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


def test_a_missing_storage(archive, tmp_path, rewritten):
    path = rewritten(archive, tmp_path / "other.pth", lambda name, data: None if name.endswith("data/1") else data)
    with pytest.raises(DamagedFileError, match="model/data/1 is missing"):
        read_arrays(path)


def test_an_unknown_order_of_bytes(archive, tmp_path, rewritten):
    path = rewritten(archive, tmp_path / "other.pth", lambda name, data: b"pdp" if "byteorder" in name else data)
    with pytest.raises(DamagedFileError, match="cut off or damaged"):
        read_arrays(path)


def test_compressed_records(archive, tmp_path, rewritten):
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
