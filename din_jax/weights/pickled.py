"""Reads the pickles inside PyTorch files without PyTorch and without running anything in them.

A pickle is a program that may call whatever it can name. This reader knows the few names that a
file of tensors needs and refuses every other one, so a hostile file can only fail.
"""

import collections
import dataclasses
import math
import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from din_jax.weights.errors import WeightsError

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

# What a damaged pickle can raise; a MemoryError comes from an absurd length in it.
PICKLE_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclasses.dataclass(frozen=True)
class Storage:
    """A run of numbers in the file: `key` names it, `size` elements from element `start` count."""

    key: str
    dtype: np.dtype
    size: int
    start: int = 0


@dataclasses.dataclass(frozen=True)
class LazyTensor:
    """A tensor whose numbers are still in the file; stride and offset count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

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
            raise ValueError(f"a tensor of shape {self.shape} needs more numbers than are stored")
        steps = [s * numbers.itemsize for s in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps)
        return np.array(view, order="C")


class _StorageType:
    """Stands for a class such as torch.FloatStorage, and can do nothing."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype


def _whole(*numbers: Any) -> tuple[int, ...]:
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"sizes, strides and offsets must be whole numbers, not {numbers}")
    return numbers


def _allowed_globals() -> dict[tuple[str, str], Any]:
    # Made anew for every file: a pickle may set attributes on what it gets, and these die with it.
    def rebuild_tensor(storage, offset, shape, stride, *_unused):
        if not isinstance(storage, Storage) or len(shape) != len(stride):
            raise ValueError("a tensor's storage, shape and strides do not belong together")
        return LazyTensor(storage, *_whole(offset), _whole(*shape), _whole(*stride))

    def rebuild_parameter(data, *_unused):
        return data

    types = {("torch", n): _StorageType(dtype) for n, dtype in STORAGE_TYPES.items()}
    return types | {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    }


class RestrictedUnpickler(pickle.Unpickler):
    """Builds containers, numbers, strings and `LazyTensor`; refuses every other name."""

    def __init__(self, file: BinaryIO):
        # Files of Python 2 hold byte strings; theirs are plain names.
        super().__init__(file, encoding="utf-8")
        self._allowed = _allowed_globals()
        self.storages: dict[str, np.dtype] = {}  # every storage met, kept or not

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            asked = repr(f"{module}.{name}")  # repr, since the file may put line breaks into it
            raise WeightsError(
                f"it asks for {asked}, which a file of plain tensors does not need and which is "
                "not run here; save it again as a state dict of tensors"
            )
        return self._allowed[module, name]

    def persistent_load(self, saved: Any) -> Storage:
        kind, storage_type, key, _location, size, *rest = saved
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise ValueError(f"it holds a {kind!r} where tensors have their storage")
        self.storages[str(key)] = storage_type.dtype
        if rest and rest[0] is not None:
            # Files older than 2018 may store a part of another storage.
            _view_key, start, size = rest[0]
            return Storage(str(key), storage_type.dtype, *_whole(size, start))
        return Storage(str(key), storage_type.dtype, *_whole(size))


def named_tensors(root: Any, keep: Callable[[str], bool]) -> dict[str, LazyTensor]:
    """The tensors of an unpickled state dict whose names `keep` accepts.

    Raises:
      ValueError: the root is not a dictionary, or an accepted entry is not a tensor.
    """
    if not isinstance(root, dict):
        raise ValueError(f"it holds a {type(root).__name__}, not a state dict of named tensors")
    # dict.items, because a pickle may have given the dictionary an attribute of that name.
    kept = {str(name): value for name, value in dict.items(root) if keep(str(name))}
    for name, value in kept.items():
        if not isinstance(value, LazyTensor):
            raise ValueError(f"its entry {name!r} is a {type(value).__name__}, not a tensor")
    return kept
