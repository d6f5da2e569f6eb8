"""Reads the pickles inside PyTorch files without PyTorch and without running anything in them.

A pickle is a program for a stack machine that may call whatever it can name. This machine knows
the instructions and the few names that a dictionary of tensors needs, and refuses every other one.
It calls nothing, compares nothing and formats nothing that a file can make deep or long, and it
spends time and memory in proportion to the pickle's own bytes, of which it takes a million.
Source: CPython's pickletools.py; torch/_utils.py for the names.
"""

import math
import pickletools
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from din_jax.weights.containers import Entry
from din_jax.weights.errors import one_line

MOST_AXES = 8
STORAGE_TYPES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}


class Storage(NamedTuple):
    """A run of numbers in the file: `key` names it, `size` elements from element `start` count."""

    key: str
    dtype: np.dtype
    size: int
    start: int = 0


class Tensor(NamedTuple):
    """A tensor whose numbers are still in the file; stride and offset count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def entry(self, read: Callable[[Storage], np.ndarray]) -> Entry:
        """What `read` makes of the storage, seen as this tensor when it is asked for."""
        return Entry(self.storage.dtype.name, self.shape, lambda: self.build(read(self.storage)))

    def build(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as a contiguous copy, from all elements of its storage.

        Raises:
          ValueError: the tensor reaches outside its storage.
        """
        numbers = numbers[self.storage.start : self.storage.start + self.storage.size]
        if math.prod(self.shape) == 0:
            return np.zeros(self.shape, numbers.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        if last >= numbers.size or math.prod(self.shape) > numbers.size:
            raise ValueError("a tensor needs more numbers than its storage has")
        steps = [s * numbers.itemsize for s in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps)
        return np.array(view, order="C")


class Unpickled(NamedTuple):
    """What a pickle holds, and the type of every storage that it names."""

    root: Any
    storages: dict[str, np.dtype]


def unpickle(file: BinaryIO) -> Unpickled:
    """Containers, numbers, texts and `Tensor`s, from where `file` stands to the pickle's end.

    Raises:
      ValueError: the pickle asks for what no tensors need.
      Exception: it is damaged, or no pickle.
    """
    return Unpickled(*_Machine().run(file))


def named_tensors(root: Any) -> dict[str, Tensor]:
    """The tensors of an unpickled state dict.

    Raises:
      ValueError: the root is not a dictionary, or an entry is not a tensor.
    """
    if type(root) is not dict:
        raise ValueError(f"it holds a {type(root).__name__}, not a state dict of named tensors")
    for name, value in root.items():
        if type(value) is not Tensor:
            what = type(value).__name__
            raise ValueError(f"its entry {one_line(name)!r} is a {what}, not a tensor")
    return root


class _Machine:
    """The stack, the marks on it and the memo, while one pickle runs."""

    def __init__(self):
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, np.dtype] = {}

    def run(self, file: BinaryIO) -> tuple[Any, dict[str, np.dtype]]:
        for instruction, argument, _place in pickletools.genops(file):
            name = instruction.name
            if name in _PUSHED:
                self.stack.append(argument)
            elif name in _MADE:
                self.stack.append(_MADE[name]())
            elif name == "STOP":
                return self.stack.pop(), self.storages
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise ValueError(f"it has the instruction {name}, which no tensors need")
        raise ValueError("it does not end")

    def above_mark(self) -> list:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def last(self, count: int) -> list:
        if len(self.stack) < count:
            raise ValueError("it takes more from the stack than is there")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def set_items(self, items: list) -> None:
        _fill(self.stack[-1], zip(items[::2], items[1::2], strict=True))

    def extend(self, items: list) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(items)

    def memoize(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise ValueError("it asks for something that has no name")
        if (module, name) not in _CALLS and not (module == "torch" and name in STORAGE_TYPES):
            asked = one_line(f"{module}.{name}", 60)
            raise ValueError(f"it asks for '{asked}', which no tensors need and which is not run")
        self.stack.append(_Name(module, name))

    def reduce(self) -> None:
        function, arguments = self.last(2)
        if type(function) is not _Name or type(arguments) is not tuple:
            raise ValueError("it calls what is no function")
        self.stack.append(_CALLS[function](*arguments))

    def storage(self) -> None:
        kind, storage_type, key, _location, size, *rest = self.stack.pop()
        if type(kind) is not str or kind != "storage" or type(storage_type) is not _Name:
            raise ValueError("it refers to something else where tensors have their storage")
        if type(key) is not str:
            raise ValueError("one of its storages has no name")
        dtype = self.storages[key] = STORAGE_TYPES[storage_type.name]
        start = 0
        if rest and rest[0] is not None:
            # Files older than 2018 may store a part of another storage.
            _view_key, start, size = rest[0]
        self.stack.append(Storage(key, dtype, *_whole(size, start)))


class _Name(NamedTuple):
    """A function or class that the pickle names; it can do nothing."""

    module: str
    name: str


def _fill(target: Any, pairs: Iterable) -> dict:
    if type(target) is not dict:
        raise ValueError("it sets an entry of what is no dictionary")
    for key, value in pairs:
        if type(key) is not str:  # the hash of a deep tuple ends the process
            raise ValueError(f"one of its dictionaries has a {type(key).__name__} for a name")
        target[key] = value
    return target


def _whole(*numbers: Any) -> tuple[int, ...]:
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
        raise ValueError("its sizes, strides and offsets are not all whole numbers from zero up")
    return numbers


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_unused: Any) -> Tensor:
    if type(storage) is not Storage or len(shape) != len(stride) or len(shape) > MOST_AXES:
        raise ValueError("a tensor's storage, shape and strides do not belong together")
    return Tensor(storage, *_whole(offset), _whole(*shape), _whole(*stride))


# Names that stand for something to call; those of STORAGE_TYPES only stand in a storage.
_CALLS: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): lambda pairs=(): _fill({}, pairs),
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_unused: data,
}

# pickletools' names of the instructions. The argument itself is the value:
_PUSHED = frozenset(
    "INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8".split()
)
_MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.above_mark(),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.above_mark())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.last(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.last(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.last(3))),
    "LIST": lambda m, _: m.stack.append(m.above_mark()),
    "APPEND": lambda m, _: m.extend(m.last(1)),
    "APPENDS": lambda m, _: m.extend(m.above_mark()),
    "SETITEM": lambda m, _: m.set_items(m.last(2)),
    "SETITEMS": lambda m, _: m.set_items(m.above_mark()),
    "MEMOIZE": lambda m, _: m.memoize(len(m.memo)),
    **{name: lambda m, index: m.memoize(index) for name in ("PUT", "BINPUT", "LONG_BINPUT")},
    **{
        name: lambda m, index: m.stack.append(m.memo[index])
        for name in ("GET", "BINGET", "LONG_BINGET")
    },
    "GLOBAL": lambda m, text: m.name(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*m.last(2)),
    "REDUCE": lambda m, _: m.reduce(),
    # Sets attributes, such as the version of a module; nothing here has any use for them.
    "BUILD": lambda m, _: m.stack.pop(),
    "BINPERSID": lambda m, _: m.storage(),
}
