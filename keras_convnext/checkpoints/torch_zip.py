"""Reading the zip archive of `torch.save`, a pickle and a record per storage of numbers, with NumPy alone."""

import os
import zipfile
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from keras_convnext.checkpoints.errors import CheckpointFileError, DamagedFileError
from keras_convnext.checkpoints.torch_pickle import STORED_AS, itemsize, unpickle
from keras_convnext.checkpoints.widened import WIDENED

CHUNK = 1 << 24
"""How many bytes are read and checked at a time."""


class TorchZip:
    """The content of a torch file.

    A storage is read, and the checksum of its record checked, when `array` is called for one of its tensors. No array
    is larger than the file allows.

    Args:
        archive: `zipfile.ZipFile` of the file, which must stay open as long as arrays are read.

    Attributes:
        content: the saved object, as `unpickle` returns it. `array` turns each `Tensor` in it into an array.

    Raises:
        DamagedFileError: the file is not as torch writes it.
        CheckpointFileError: the file is a TorchScript program.
        UnpicklingError: the pickle holds other objects than tensors and plain values.
    """

    def __init__(self, archive):
        self.archive, self.path = archive, archive.filename
        self.records = {info.filename: info for info in archive.infolist()}
        self.root = next(iter(self.records), "").partition("/")[0]
        self.unread, self.numbers = set(self.records), {}
        self._check()
        self.byteorder = {"little": "<", "big": ">"}[self._text("byteorder", "little")]
        self.content = unpickle(self._bytes("data.pkl").tobytes())

    def array(self, tensor):
        """Reads the array of a `Tensor`; floating-point ones as float32. Tensors of one storage share its memory."""
        numbers = self._numbers(tensor.storage)
        size = prod(tensor.shape)
        if size > max(numbers.size, self.size):  # with strides of 0
            raise DamagedFileError(f"{self.path}: a tensor of shape {tensor.shape} from {numbers.size} numbers.")
        if not size:
            return np.empty(tensor.shape, numbers.dtype)
        strides = [stride * numbers.itemsize for stride in tensor.strides]
        view = as_strided(numbers[tensor.offset :], tensor.shape, strides)
        return view.copy() if size > numbers.size else view

    def check_rest(self):
        """Checks the checksums of the records that have not been read."""
        for name in sorted(self.unread):
            for _ in self._chunks(name):
                pass

    def _check(self):
        """Raises an error if the archive is not one of torch, or claims to be larger than its file."""
        self.size = os.path.getsize(self.path)
        if len(self.records) < len(self.archive.infolist()):
            raise DamagedFileError(f"{self.path}: it has two records of one name.")
        if f"{self.root}/constants.pkl" in self.records:
            raise CheckpointFileError(
                f"{self.path}: expected weights, got a TorchScript program. Save its weights alone where it was "
                "made: torch.save(torch.jit.load(path).state_dict(), other)."
            )
        if f"{self.root}/data.pkl" not in self.records:
            raise DamagedFileError(
                f"{self.path}: expected an archive that torch.save wrote, got one of {[*self.records][:3]}."
            )
        records = self.records.values()
        if any(info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size for info in records):
            raise DamagedFileError(f"{self.path}: its records are compressed, which torch never does.")
        if sum(info.file_size for info in records) > self.size:
            raise DamagedFileError(f"{self.path}: its records are larger together than the file: cut off or damaged.")
        if not all(0 <= info.header_offset < self.size for info in records):
            raise DamagedFileError(f"{self.path}: cut off or damaged: a record begins outside the file.")

    def _text(self, name, default):
        return self._bytes(name).tobytes().decode() if f"{self.root}/{name}" in self.records else default

    def _bytes(self, name):
        name = f"{self.root}/{name}"
        if name not in self.records:
            raise DamagedFileError(f"{self.path}: cut off or damaged: {name} is missing.")
        buffer, start = np.empty(self.records[name].file_size, "uint8"), 0
        for chunk in self._chunks(name):
            buffer[start : start + len(chunk)] = np.frombuffer(chunk, "uint8")
            start += len(chunk)
        return buffer

    def _chunks(self, name):
        """The bytes of a record. `zipfile` checks the checksum when the last byte has been read."""
        try:
            with self.archive.open(self.records[name]) as record:
                while chunk := record.read(CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise DamagedFileError(f"{self.path}: {name} in it is damaged.") from error
        self.unread.discard(name)

    def _numbers(self, storage):
        key, dtype, size = storage
        if (key, dtype) not in self.numbers:
            bits = self._bytes(f"data/{key}")
            bits = bits[: bits.size // itemsize(dtype) * itemsize(dtype)]
            bits = bits.view(np.dtype(STORED_AS.get(dtype, dtype)).newbyteorder(self.byteorder))
            numbers = WIDENED[dtype](bits) if dtype in WIDENED else bits
            to = "float32" if numbers.dtype.kind == "f" else numbers.dtype.newbyteorder("=")
            self.numbers[key, dtype] = numbers.astype(to, copy=False)
        numbers = self.numbers[key, dtype]
        if numbers.size < size:
            raise DamagedFileError(f"{self.path}: expected {size} numbers in {key}, got {numbers.size}: cut off.")
        return numbers[:size]
