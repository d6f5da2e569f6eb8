"""Files made to harm: one short sentence each, nothing run, no memory taken but what is needed."""

import hashlib
import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.weights import find, load_vgg19
from din_jax.weights.models import load_model, read_model, save_model
from din_jax.weights.opening import open_weights
from din_jax.weights.torch_names import model_shapes, read_torch, to_torch

MEGABYTES = 1 << 20
CONFIG = Config.from_dict(
    {
        "model": {
            "widths": [4, 8, 8],
            "residuals": 1,
            "style_encoder": "mobilenet",
            "style_feature": "statistics",
            "net_hidden": 4,
            "net_pool": 1,
            "net_kernel": 1,
        }
    }
)


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    shapes = model_shapes(CONFIG.model)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def vgg(narrow):
    """A small VGG-19 in this project's names."""
    arrays = {}
    for name, (kernel, bias) in narrow.items():
        arrays[f"{name}_kernel"], arrays[f"{name}_bias"] = kernel.transpose(2, 3, 1, 0), bias
    return arrays | {"mean_bgr": np.array([104, 117, 124], np.float32)}


def refusal(load, *arguments, megabytes=8):
    """The sentence that a file is refused with, after at most so much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            load(*arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.isprintable() and len(message) < 2500 and " ()" not in message
    assert peak < megabytes * MEGABYTES, peak / MEGABYTES
    return message


def put(tmp_path, data):
    path = tmp_path / "weights"
    path.write_bytes(data)
    return path


def read_all(path):
    with open_weights(path) as entries:
        return {name: entry.read() for name, entry in entries.items()}


def zipped(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(arrays):
    return zipped({f"{name}.npy": npy(array) for name, array in arrays.items()})


def tensors(header, data=b""):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def doubled(times):
    """Instructions that leave a tuple of two to the power of `times` leaves: ((.., x), (.., x))."""
    return b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(times))


PICKLES = {
    # A key whose hash goes down 200,000 tuples.
    "deep key": b"}" + b")" + b"\x85" * 200_000 + b"Ns.",
    # A key whose hash takes 2^60 steps.
    "wide key": b"}" + doubled(60) + b"Ns.",
    "memo": b")r\xff\xff\xff\x0f.",
    "kind": b"(" + doubled(25) + b"NNNNtQ.",
    "sizes": b"ctorch._utils\n_rebuild_tensor\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
    b"X\x01\0\0\x000NK\x01tQK\0(" + doubled(25) + b"t(K\x01ttR.",
    "name": b"c" + b"a" * 500_000 + b"\nb\n.",
    "deep value": b"}X\x01\0\0\0w)" + b"\x85" * 50_000 + b"s.",
    "long": b"\x8b" + struct.pack("<i", -5) + b".",
    "endless": b"N" * 500_000,
    "empty": b"",
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_take_neither_memory_nor_the_process(tmp_path, name):
    pickle = b"\x80\x02" + PICKLES[name]
    refusal(read_all, put(tmp_path, zipped({"archive/data.pkl": pickle})), megabytes=24)


def test_nor_do_those_of_the_older_layout(tmp_path):
    refusal(read_all, put(tmp_path, b"\x80\x02" + PICKLES["wide key"]))
    refusal(read_all, put(tmp_path, b"\x80\x02" + b"N" * 10 * MEGABYTES), megabytes=24)


def test_many_views_of_one_storage_are_not_copied(tmp_path, make, numbers):
    stored = make.Stored("0", np.zeros(200_000, np.float32))
    views = {f"w{i}": make.Tensor(stored, 0, (200_000,), (1,)) for i in range(100)}
    path = put(tmp_path, make.zip(views))
    assert "w0 is unexpected" in refusal(read_torch, path, CONFIG.model)


def test_a_pickle_that_nobody_knows_is_no_vgg(tmp_path, make, narrow, monkeypatch):
    data = make.zip({"features.0.weight": narrow["conv1_1"][0]})
    monkeypatch.setattr("din_jax.weights.pth.unpickle", None)  # not even opened
    message = refusal(load_vgg19, put(tmp_path, data))
    assert "vgg19-dcbb9e9d.pth" in message and "safetensors.torch" in message
    assert list(find.PUBLISHED) == [find.SHA256]


def test_a_published_pickle_is_known_by_its_bytes(tmp_path, make, narrow, monkeypatch):
    kernel, bias = narrow["conv1_1"]
    data = make.legacy({"features.0.weight": kernel, "features.0.bias": bias})
    monkeypatch.setitem(find.PUBLISHED, hashlib.sha256(data).hexdigest(), "this")
    path = put(tmp_path, data)
    assert load_vgg19(path).layers == ("conv1_1",)
    refusal(load_vgg19, put(tmp_path, data + b"\0"))


def test_arrays_that_do_not_belong_are_not_decompressed(tmp_path, vgg):
    zeros = np.zeros((3, 3, 4096, 512), np.float32)  # 75 MB, of which 75 kB are stored
    for name in ("conv1_2_kernel", "something"):
        path = tmp_path / "bomb.npz"
        np.savez_compressed(path, **vgg | {name: zeros})
        assert path.stat().st_size < 500_000
        assert name in refusal(load_vgg19, path)


def with_header(shape="(2,)", descr="'<f4'", fortran="False", more=""):
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, {more}}}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + bytes(8)


HEADERS = {
    "petabytes": with_header("(1000000, 1000000, 1000)"),
    "overflow": with_header(f"({2**62}, 4)"),
    "negative": with_header("(-1,)"),
    "expression": with_header("(" * 4000 + ")" * 4000),
    "unclosed": with_header("(2,"),
    "objects": with_header(descr="'|O'"),
    "fields": with_header(descr="[('a', '<f4')]"),
    "nonsense": with_header(descr="'<f3'"),
    "more": with_header(more="'a': 1, "),
    "short": with_header("(1000,)"),
    "cut": with_header()[:40],
    "nothing": b"",
}


@pytest.mark.parametrize("name", HEADERS)
def test_bad_headers_in_npz_files(tmp_path, vgg, name):
    members = {f"{key}.npy": npy(array) for key, array in vgg.items()}
    data = zipped(members | {"conv1_1_bias.npy": HEADERS[name]})
    message = refusal(load_vgg19, put(tmp_path, data))
    assert "conv1_1_bias" in message or "data type '<f3'" in message


def changed(data, at, value):
    """The zip with a field of every directory entry (at + 2 in the local header) replaced."""
    data = bytearray(data)
    for mark, offset in ((b"PK\x01\x02", at), (b"PK\x03\x04", at - 2)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset : place + offset + 2] = struct.pack("<H", value)
            place = data.find(mark, place + 4)
    return bytes(data)


@pytest.mark.parametrize(
    "at, value",
    [(8, 1), (10, 14), (10, 12), (10, 93), (6, 99)],
    ids=["encrypted", "lzma", "bzip2", "zstd", "version 9.9"],
)
def test_zips_that_python_does_not_read(tmp_path, make, vgg, narrow, at, value):
    torch = make.zip({"features.0.weight": narrow["conv1_1"][0]})
    refusal(load_vgg19, put(tmp_path, changed(npz(vgg), at, value)))
    refusal(read_all, put(tmp_path, changed(torch, at, value)))


def test_a_directory_of_a_million_members_is_not_read(tmp_path):
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *[20] * 2, *[0] * 4, *[0] * 3, 1, *[0] * 6)
    directory = (entry + b"a") * 400_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, len(directory), 0, 0)
    refusal(load_vgg19, put(tmp_path, b"PK\x03\x04" + directory + end))


EMPTY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


@pytest.mark.parametrize(
    "data",
    [
        tensors({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"ab"),
        tensors({"w": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 8]}}, bytes(8)),
        tensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, bytes(8)),
        tensors(b'{"w":' * 100_000),
        tensors(b"{" + b" " * (2 * MEGABYTES) + b"}"),
        struct.pack("<Q", 2**63) + b"{}",
        tensors({f"w{i}": EMPTY for i in range(5000)}),
        tensors({"é\n" * 5000: EMPTY}),
    ],
    ids=["f8", "exabyte", "backwards", "nested", "blanks", "endless", "many", "long name"],
)
def test_bad_safetensors_files(tmp_path, data):
    path = put(tmp_path, data)
    refusal(load_vgg19, path, megabytes=20)
    refusal(load_model, path, megabytes=20)
    refusal(read_torch, path, CONFIG.model, megabytes=20)


WRONG = {"nan": np.float32(np.nan), "infinite": np.float32(-np.inf), "huge": np.float32(1e35)}


@pytest.mark.parametrize("value", [*WRONG.values(), np.int32(3)], ids=[*WRONG, "int32"])
def test_wrong_numbers_in_a_vgg_a_model_and_a_state_dict(tmp_path, vgg, numbers, value):
    def spoiled(arrays, name):
        array = arrays[name].astype(value.dtype)
        array[..., -1] = value
        return arrays | {name: array}

    assert "conv3_2_bias" in refusal(
        load_vgg19, put(tmp_path, npz(spoiled(vgg, "conv3_2_bias")))
    )
    theirs = spoiled(to_torch(numbers), "decoder.output.bias")
    message = refusal(read_torch, put(tmp_path, safetensors.numpy.save(theirs)), CONFIG.model)
    assert "decoder.output.bias" in message
    ours = spoiled(numbers, "params.decoder.output.bias")
    assert "params.decoder.output.bias holds" in refusal(load_model, model_file(tmp_path, ours))


@pytest.mark.parametrize(
    "preprocessing",
    [
        {"mean_bgr": np.array([0, np.nan, 0], np.float32)},
        {"mean_bgr": np.zeros(4, np.float32)},
        {"preprocessing_std": np.array([1.0, 0.0, 1.0])},
        {"preprocessing_std": np.array([1.0, -1.0, 1.0])},
        {"preprocessing_std": np.full(3, 1e-30)},
        {"preprocessing_scale": np.array(0.0)},
        {"preprocessing_scale": np.array(np.nan)},
        {"preprocessing_mean": np.array([1e30, 0.0, 0.0])},
        {"preprocessing_bgr": np.array(1.0)},
        {"note": np.array("x" * 100_000)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_preprocessing_that_spoils_every_image_is_refused(tmp_path, vgg, preprocessing):
    good = {
        "preprocessing_scale": np.array(255.0),
        "preprocessing_mean": np.zeros(3),
        "preprocessing_std": np.ones(3),
        "preprocessing_bgr": np.array(True),
    }
    if "mean_bgr" not in preprocessing:
        del vgg["mean_bgr"]
    arrays = vgg | (good if "mean_bgr" not in preprocessing else {}) | preprocessing
    refusal(load_vgg19, put(tmp_path, npz(arrays)))
    unspoiled = vgg | (good if "mean_bgr" not in preprocessing else {"mean_bgr": np.zeros(3)})
    load_vgg19(put(tmp_path, npz(unspoiled)))


@pytest.mark.parametrize("scale", [0, np.nan, -255, 1e-30])
def test_a_first_convolution_that_spoils_every_image_is_refused(tmp_path, narrow, scale):
    kernel, bias = narrow["conv1_1"]
    first = np.diag(np.array([255, scale, 255], np.float32))[:, :, None, None]
    arrays = {"0.weight": first, "0.bias": np.zeros(3, np.float32), "2.weight": kernel}
    refusal(load_vgg19, put(tmp_path, npz(arrays | {"2.bias": bias})))


def test_a_note_cannot_steer_a_terminal(tmp_path, vgg):
    note = "by hand \x1b[2J\n" + "x" * 4000
    found = load_vgg19(put(tmp_path, npz(vgg | {"note": np.array(note)}))).note
    assert found.startswith("by hand") and found.isprintable() and len(found) <= 400


def model_file(tmp_path, arrays, **metadata):
    """A model file with any arrays and metadata, its digest as it should be."""
    from din_jax.weights.model_files import FORMAT, digest

    texts = {
        "format": FORMAT,
        "config": json.dumps(CONFIG.to_dict()),
        "card": "{}",
        "sha256": digest(arrays),
    }
    texts |= metadata
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.numpy.save(arrays, metadata=texts))
    return path


def settings(**changes):
    values = CONFIG.to_dict()
    for name, value in changes.items():
        section, _, field = name.rpartition("__")
        (values[section] if section else values)[field] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"model__residuals": 10**7}, "residual"),
        ({"model__net_hidden": -5}, ""),
        ({"model__widths": [4, 8, 2**40]}, ""),
        ({"model__levels": 9}, "levels"),
        ({"model__kernel": "9"}, "kernel"),
        ({"model__nothing": 1}, "nothing"),
        ({"data__crop": 7}, "crop"),
    ],
    ids=str,
)
def test_settings_in_a_model_file_are_held_to_the_rules(tmp_path, numbers, changes, says):
    path = model_file(tmp_path, numbers, config=settings(**changes))
    assert says in refusal(load_model, path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"card": "[" * 100_000},
        {"card": '{"a":' * 500 + "1" + "}" * 500},
        {"card": '{"a":' * 20 + "1" + "}" * 20},
        {"card": '{"step": [1]}'},
        {"card": '{"step": -1}'},
        {"card": '{"step": 1' + "0" * 5000 + "}"},
        {"card": "[]"},
        {"card": json.dumps({"a": "x" * 100_000})},
        {"config": "[" * 100_000},
        {"config": "[]"},
        {"config": "null"},
        {"config": '{"name": "' + "x" * 100_000 + '"}'},
    ],
    ids=lambda metadata: f"{[*metadata][0]} {[*metadata.values()][0][:12]}",
)
def test_bad_metadata_in_a_model_file(tmp_path, numbers, metadata):
    refusal(load_model, model_file(tmp_path, numbers, **metadata))


@pytest.mark.parametrize(
    "text, says",
    [
        (np.zeros(3, np.float32), "is no text"),
        (np.zeros((1, 3), np.uint8), "is no text"),
        (np.zeros((1 << 24) + 1, np.uint8), "is no text of at most 16777216 bytes"),
        (np.full(3, 255, np.uint8), "utf-8"),
        (np.full(1 << 18, 0, np.uint8), "must list 0 to 65536 values, not 65537"),
        (np.full(3, ord("\a"), np.uint8), "must be one line"),
        (np.full(3, ord("a"), np.uint8), "rows of the table of code='cin'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_of_styles_in_a_model_file_are_held_to_the_rules(tmp_path, numbers, text, says):
    path = model_file(tmp_path, numbers | {"model.styles": text})
    assert says in refusal(load_model, path, megabytes=16)


def test_a_path_in_a_model_file_is_not_opened(tmp_path, numbers):
    bait = tmp_path / "bait"
    config = settings(
        loss__weights=str(bait), data__content=str(bait), train__initialize=str(bait), name="kept"
    )
    found = read_model(model_file(tmp_path, numbers, config=config)).config
    assert str(bait) not in json.dumps(found.to_dict()) and found.model == CONFIG.model


def test_a_model_that_needs_a_vgg_takes_the_users_and_not_the_files(tmp_path, monkeypatch):
    monkeypatch.delenv("DIN_JAX_VGG19", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DIN_JAX_VGG19_URL", "http://127.0.0.1:1/vgg.pth")
    bait = tmp_path / "bait"
    bait.write_bytes(b"not to be opened")
    values = {"model": {**CONFIG.to_dict()["model"], "style_encoder": "vgg19"}}
    config = Config.from_dict(values | {"loss": {"weights": str(bait)}})
    shapes = model_shapes(config.model)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    message = refusal(load_model, save_model(tmp_path / "m.safetensors", config, arrays))
    assert str(bait) not in message and "127.0.0.1:1" in message
    with pytest.raises(UserError, match="bait"):
        load_model(tmp_path / "m.safetensors", vgg=bait)


def test_what_is_wrong_with_a_thousand_arrays_is_still_a_sentence(tmp_path, numbers):
    more = {f"{'x' * 200}{i}": np.zeros(1, np.float32) for i in range(1000)}
    message = refusal(load_model, model_file(tmp_path, more | numbers))
    assert "more" in message
    message = refusal(read_torch, put(tmp_path, safetensors.numpy.save(more)), CONFIG.model)
    assert "is missing" in message and "is unexpected" in message
    message = refusal(load_vgg19, put(tmp_path, npz(more)))
    assert "no first convolution" in message
