"""Files of weights made by hand, in every layout, without PyTorch and without 80 MB."""

import collections
import dataclasses
import io
import pickle
import zipfile

import numpy as np
import pytest

from din_jax.weights import names

STORAGE_NAMES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


@dataclasses.dataclass(frozen=True)
class Global:
    """A name that the pickle asks for; callable so that pickle lets it stand before arguments."""

    module: str
    name: str

    def __call__(self):
        raise AssertionError("only its name is written")


@dataclasses.dataclass(eq=False)
class Stored:
    key: str
    numbers: np.ndarray


@dataclasses.dataclass(eq=False)
class Tensor:
    """What torch._utils._rebuild_tensor_v2 is called with."""

    stored: Stored
    offset: int
    shape: tuple
    stride: tuple
    function: str = "_rebuild_tensor_v2"


@dataclasses.dataclass(eq=False)
class Call:
    """A call of any function, as hostile files hold them."""

    function: Global
    arguments: tuple


class Pickler(pickle._Pickler):
    """Python's own pickler, told to write names of a PyTorch that is not installed."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file, extra=()):
        super().__init__(file, protocol=2)
        self.extra = extra
        self.seen = {}

    def persistent_id(self, obj):
        if not isinstance(obj, Stored):
            return None
        self.seen[obj.key] = obj
        kind = Global("torch", STORAGE_NAMES[obj.numbers.dtype.name])
        return ("storage", kind, obj.key, "cpu", obj.numbers.size, *self.extra)

    def save_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_tensor(self, obj):
        function = Global("torch._utils", obj.function)
        arguments = (obj.stored, obj.offset, obj.shape, obj.stride)
        if obj.function == "_rebuild_tensor_v2":
            arguments += (False, collections.OrderedDict())
        self.save_reduce(function, arguments)

    def save_call(self, obj):
        self.save_reduce(obj.function, obj.arguments)

    dispatch[Global] = save_name
    dispatch[Tensor] = save_tensor
    dispatch[Call] = save_call


def to_tensor(array, key):
    """An array as a contiguous tensor in a storage of its own."""
    array = np.array(array, order="C")
    stride = tuple(step // array.itemsize for step in array.strides)
    return Tensor(Stored(key, array.reshape(-1)), 0, array.shape, stride)


def fill(root):
    if not isinstance(root, dict):
        return root
    return collections.OrderedDict(
        (name, to_tensor(value, str(i)) if isinstance(value, np.ndarray) else value)
        for i, (name, value) in enumerate(root.items())
    )


def zip_pth(root, *, order="<", compression=zipfile.ZIP_STORED, leave_out=()):
    """The layout since PyTorch 1.6, of a dictionary of arrays and `Tensor`s."""
    pickled = io.BytesIO()
    pickler = Pickler(pickled)
    pickler.dump(fill(root))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        archive.writestr("archive/byteorder", {"<": "little", ">": "big"}[order])
        for key, stored in pickler.seen.items():
            if key not in leave_out:
                raw = stored.numbers.astype(stored.numbers.dtype.newbyteorder(order)).tobytes()
                archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def legacy_pth(root, *, extra=(None,), magic=0x1950A86A20F9469CFC6C):
    """The layout before PyTorch 1.6."""
    file = io.BytesIO()
    pickle.dump(magic, file, protocol=2)
    pickle.dump(1001, file, protocol=2)
    sizes = {"short": 2, "int": 4, "long": 4}
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    pickle.dump(facts, file, protocol=2)
    pickler = Pickler(file, extra)
    pickler.dump(fill(root))
    keys = sorted(pickler.seen)
    pickle.dump(keys, file, protocol=2)
    for key in keys:
        numbers = pickler.seen[key].numbers
        file.write(numbers.size.to_bytes(8, "little"))
        file.write(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes())
    return file.getvalue()


@pytest.fixture
def make():
    """The builders above, as attributes."""
    builders = collections.namedtuple("Make", "zip legacy Tensor Stored Call Global")
    return builders(zip_pth, legacy_pth, Tensor, Stored, Call, Global)


@pytest.fixture(params=["zip", "legacy"])
def layout(request):
    return {"zip": zip_pth, "legacy": legacy_pth}[request.param]


@pytest.fixture
def narrow(monkeypatch):
    """VGG-19 with 2 to 6 channels, so that a whole file is small; gives its kernels and biases."""
    widths = {"1": 2, "2": 3, "3": 4, "4": 5, "5": 6}
    table, before = {}, 3
    for name in names.CHANNELS:
        table[name] = (before, widths[name[4]])
        before = widths[name[4]]
    monkeypatch.setattr(names, "CHANNELS", table)
    rng = np.random.default_rng(0)
    return {
        name: (
            rng.standard_normal((outputs, inputs, 3, 3), np.float32),
            rng.standard_normal(outputs, np.float32),
        )
        for name, (inputs, outputs) in table.items()
    }
