"""The pickle in a file that `torch.save` wrote, read as data: nothing that it names is imported or called.

A pickle is a program for a small stack machine. `unpickle` runs only those instructions that make dicts, lists, tuples,
numbers and strings. Whatever the program calls must be in one of the lists below. A tensor becomes a description of
where its numbers are in the file. An object that is not a weight, such as a training script's arguments, becomes an
`Unread`.
"""

import pickletools
import re
from math import prod
from pickle import UnpicklingError
from typing import NamedTuple

import numpy as np

STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
"""The data types of torch's classes of storages, such as `torch.FloatStorage`."""

STORED_AS = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}
"""For each type that NumPy does not have, a type of the same size that it has."""

UNREAD_TENSORS = re.compile(
    r"torch\._utils\._rebuild_(sparse_tensor|qtensor|meta_tensor_no_storage|nested_tensor|wrapper_subclass"
    r"|device_tensor_from_(numpy|cpu_tensor))"
)
"""Functions that make tensors other than plain arrays of numbers."""

UNREAD = re.compile(
    r"argparse\.Namespace|collections\.Counter|builtins\.(set|bytearray|complex)|_codecs\.encode"
    r"|numpy\.(dtype|ndarray|_?core\.multiarray\.(scalar|_reconstruct))"
    r"|torch\.(Tensor|device|serialization\._get_layout|(cuda\.)?\w+Storage|storage\.(Untyped|Typed)Storage)"
    r"|torch\.(bool|bfloat16|((u|q|qu)?int|float|complex|bits)\w+|per_(tensor|channel)_\w+)"
)
"""Other allowed names: types, and objects that training scripts save. Calling them returns an `Unread`."""

MOST_AXES = 64
"""The most axes that a tensor of torch, and an array of NumPy, can have."""


class Global(NamedTuple):
    """A function or class that the pickle names, such as `torch._utils._rebuild_tensor_v2`."""

    name: str


class Unread:
    """A placeholder for an object that is not read."""

    def __init__(self, name):
        self.name = name


class UnreadTensor(Unread):
    """A placeholder for a tensor that is not read."""


class Storage(NamedTuple):
    """A contiguous sequence of numbers in the file.

    Attributes:
        key: str, the name of the file's record.
        dtype: str, torch's name of their type.
        size: int, how many there are.
    """

    key: str
    dtype: str
    size: int


class Tensor(NamedTuple):
    """Where the numbers of a tensor are: `[i, j]` is at `offset + i * strides[0] + j * strides[1]` in its storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


# === What a pickle may call


def _tensor(storage, offset, shape, strides, *_):
    if type(storage) is not Storage:
        raise UnpicklingError("a tensor without a storage")
    if not _is_number(storage.dtype):
        return UnreadTensor(f"torch.{storage.dtype}")
    if not (type(shape) is type(strides) is tuple and len(shape) == len(strides) <= MOST_AXES):
        raise UnpicklingError("a tensor without a shape")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise UnpicklingError("a tensor whose shape is not made of numbers from 0")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if prod(shape) and last >= storage.size:
        raise UnpicklingError(f"a tensor that needs {last + 1} numbers of a storage of {storage.size}")
    return Tensor(storage, offset, shape, strides)


def _tensor_v2(storage, offset, shape, strides, requires_grad, hooks, metadata=None):
    tensor = _tensor(storage, offset, shape, strides)
    return UnreadTensor("a conjugate or negated view") if metadata else tensor


def _tensor_v3(storage, offset, shape, strides, requires_grad, hooks, dtype, metadata=None):
    """A tensor of a type without a separate storage class. The size of its storage is in bytes."""
    if type(storage) is not Storage or type(dtype) is not Global:
        raise UnpicklingError("a tensor without a storage or type")
    dtype = dtype.name.removeprefix("torch.")
    if not _is_number(dtype):
        return UnreadTensor(f"torch.{dtype}")
    size = storage.size * itemsize(storage.dtype) // itemsize(dtype)
    return _tensor_v2(Storage(storage.key, dtype, size), offset, shape, strides, requires_grad, hooks, metadata)


def _same(data, *_):
    return data


CALLED = {
    "collections.OrderedDict": lambda: {},
    "torch.Size": lambda sizes=(): sizes,
    "torch.nn.parameter.Parameter": _same,
    "torch._utils._rebuild_parameter": _same,
    "torch._utils._rebuild_parameter_with_state": _same,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._tensor._rebuild_from_type_v2": lambda function, kind, arguments, state: _call(function, arguments),
}
"""What is computed in place of a function or class that the pickle calls."""


def _call(function, arguments):
    if type(function) is not Global or type(arguments) is not tuple:
        raise UnpicklingError("a call of something that is not a function")
    if function.name in CALLED:
        return CALLED[function.name](*arguments)
    return (UnreadTensor if UNREAD_TENSORS.fullmatch(function.name) else Unread)(function.name)


def _is_number(dtype):
    return dtype in STORED_AS or re.fullmatch(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)", dtype)


def itemsize(dtype):
    """The size in bytes of a torch type."""
    return np.dtype(STORED_AS.get(dtype, dtype)).itemsize


# === The machine


def unpickle(data):
    """Reads a pickle of `torch.save`.

    Args:
        data: bytes, the pickle.

    Returns:
        Dicts, lists, tuples, numbers and strings, with `Tensor` in place of tensors and `Unread` in place of other
        objects. An `OrderedDict` becomes a dict.

    Raises:
        UnpicklingError: the pickle names or calls something that is not in the lists above, or was not made by torch.
        LookupError, TypeError, ValueError: the pickle is damaged.

    Example:

    >>> import pickle
    >>> from keras_convnext.checkpoints.torch_pickle import unpickle
    >>> unpickle(pickle.dumps({"epoch": 3}, protocol=2))
    {'epoch': 3}
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in INSTRUCTIONS:
            raise UnpicklingError(f"the instruction {opcode.name}, which torch does not write")
        INSTRUCTIONS[opcode.name](machine, argument)
    (value,) = machine.stack
    return value


class _Machine:
    """The stack, and the instructions that work on it. Each instruction takes its argument in the pickle, or None."""

    def __init__(self):
        self.stack, self.marked, self.memo = [], [], {}

    def pop(self, count):
        if len(self.stack) < count:
            raise IndexError("an instruction without its arguments")
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values

    def pop_to_mark(self):
        values, self.stack = self.stack, self.marked.pop()
        return values

    def target(self, *kinds):
        """The object on top of the stack, which the instruction fills."""
        if type(self.stack[-1]) not in kinds:
            raise UnpicklingError(f"a change to {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def nothing(self, _):
        pass

    def push(self, value):
        self.stack.append(value)

    # === The memo: objects that are used again

    def put(self, number):
        self.memo[number] = self.stack[-1]

    def memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, number):
        self.stack.append(self.memo[number])

    # === Lists, tuples, dicts

    def mark(self, _):
        self.marked.append(self.stack)
        self.stack = []

    def tuple(self, _):
        values = (*self.pop_to_mark(),)
        self.stack.append(values)

    def append(self, _):
        (value,) = self.pop(1)
        self.target(list).append(value)

    def appends(self, _):
        values = self.pop_to_mark()
        self.target(list).extend(values)

    def add_items(self, _):
        self.pop_to_mark()
        self.target(Unread)

    def set_item(self, _):
        self.fill(self.pop(2))

    def set_items(self, _):
        self.fill(self.pop_to_mark())

    def fill(self, values):
        target, keys = self.target(dict, Unread), values[::2]
        if not all(map(_is_key, keys)):
            raise UnpicklingError("a dict whose keys are neither numbers nor strings")
        if type(target) is dict:
            target.update(zip(keys, values[1::2], strict=True))

    # === Functions, classes and storages

    def name(self, name):
        name = name.replace(" ", ".").replace("__builtin__.", "builtins.")
        if name not in CALLED and not UNREAD_TENSORS.fullmatch(name) and not UNREAD.fullmatch(name):
            raise UnpicklingError(
                f"{name} is not a tensor or plain value: save `model.state_dict()`, or its arrays alone"
            )
        self.stack.append(Global(name))

    def name_on_stack(self, _):
        self.name(".".join(self.pop(2)))

    def call(self, _):
        self.stack.append(_call(*self.pop(2)))

    def set_state(self, _):
        """Drops the attributes of an object."""
        self.pop(1)
        self.target(dict, Tensor, Unread, UnreadTensor)

    def storage(self, _):
        (identity,) = self.pop(1)
        kind, storage, key, _, size = identity
        if (kind, type(storage), type(key), type(size)) != ("storage", Global, str, int) or size < 0:
            raise UnpicklingError("a reference to something that is not a storage")
        name = storage.name.rpartition(".")[2].removesuffix("Storage")
        self.stack.append(Storage(key, "uint8" if name == "Untyped" else STORAGES.get(name, name), size))


def _is_key(value):
    """A dict's key: a number, a string, or a flat tuple of them. Hashing nested tuples can take exponential time."""
    values = value if type(value) is tuple else (value,)
    return all(type(each) in (str, bytes, int, float, bool, type(None), Global, Unread) for each in values)


INSTRUCTIONS = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _Machine.nothing),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _Machine.push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"), _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_SET": lambda machine, _: machine.push(Unread("builtins.set")),
    "TUPLE1": lambda machine, _: machine.push(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.pop(3)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "MEMOIZE": _Machine.memoize,
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.add_items,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.set_state,
    "BINPERSID": _Machine.storage,
}
"""The instructions that torch writes, and no others, by their names in `pickletools`."""
