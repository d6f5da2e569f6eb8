"""Damaged at random, every kind of file is read or refused, and nothing else happens.

`DIN_JAX_FUZZ=2000 python -m pytest -rP tests/weights/test_fuzz.py` damages 2,000 files a kind,
others than without it.
"""

import io
import json
import os
import zipfile
from collections import Counter

import numpy as np
import pytest
import safetensors.numpy

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.weights import find, load_vgg19, names
from din_jax.weights.model_files import FORMAT, digest
from din_jax.weights.models import read_model
from din_jax.weights.opening import open_weights
from din_jax.weights.torch_names import model_shapes

KINDS = ("npz", "npy", "safetensors", "header", "zip", "pickle", "legacy", "model", "settings")
TOKENS = [
    b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x7f", b"\x80", b"\x85", b"}", b")", b"(", b"0",
    b"PK\x01\x02", b"PK\x05\x06", b"[", b"{", b'"', b"-1", b"99999999999", b"1e400", b"NaN",
    b"F8_E4M3", b"BF16", b"|O", b"<U", b"'", b",", b".", b"null",
]  # fmt: skip


def mutate(data, rng):
    """One to four changes: a flipped bit, a token put in or over, a part cut, doubled or zeroed."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        # Headers stand at the start and the end.
        at = int(len(data) * rng.choice([rng.random(), rng.random() ** 4, 1 - rng.random() ** 4]))
        length = int(2 ** rng.integers(0, 9))
        token = TOKENS[rng.integers(len(TOKENS))]
        match rng.integers(6):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.integers(8)
            case 1:
                data[at:at] = token
            case 2:
                data[at : at + len(token)] = token
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case _:
                data[at : at + length] = bytes(len(data[at : at + length]))
    return bytes(data)


def rezip(data, ending, change):
    """The zip with one kind of member changed, its checksums as they should be."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            change_it = change if info.filename.endswith(ending) else bytes
            new.writestr(info.filename, change_it(old.read(info)))
    return file.getvalue()


class Files:
    """Good files of every kind, how each is damaged, and how it is read."""

    def __init__(self, make, narrow, config):
        theirs, ours = {}, {"mean_bgr": np.ones(3, np.float32), "note": np.asarray("by hand")}
        for name, (kernel, bias) in list(narrow.items())[:3]:
            theirs[names.TORCHVISION_FULL.kernels[name]] = kernel
            theirs[names.TORCHVISION_FULL.biases[name]] = bias
            ours[f"{name}_kernel"], ours[f"{name}_bias"] = kernel.transpose(2, 3, 1, 0), bias
        stored = io.BytesIO()
        np.savez_compressed(stored, **ours)
        shapes = model_shapes(config.model)
        self.numbers = {name: np.ones(shape, np.float16) for name, shape in shapes.items()}
        self.texts = {
            "format": FORMAT,
            "config": json.dumps(config.to_dict()),
            "card": '{"step": 3, "data": ["a", 1]}',
            "sha256": digest(self.numbers),
        }
        self.good = {
            "npz": stored.getvalue(),
            "npy": stored.getvalue(),
            "safetensors": safetensors.numpy.save(theirs),
            "header": safetensors.numpy.save(theirs),
            "zip": make.zip(theirs),
            "pickle": make.zip(theirs),
            "legacy": make.legacy(theirs),
            "model": safetensors.numpy.save(self.numbers, self.texts),
            "settings": safetensors.numpy.save(self.numbers, self.texts),
        }

    def damaged(self, kind, rng):
        data = self.good[kind]
        if kind == "settings":
            texts = dict(self.texts)
            for name in ("config", "card"):
                if rng.random() < 0.7:
                    texts[name] = mutate(texts[name].encode(), rng).decode(errors="replace")
            return safetensors.numpy.save(self.numbers, texts)
        if kind == "npy":
            return rezip(data, ".npy", lambda x: mutate(x, rng) if rng.random() < 0.3 else x)
        if kind == "pickle":
            return rezip(data, "data.pkl", lambda x: mutate(x, rng))
        if kind == "header":
            size = int.from_bytes(data[:8], "little")
            header = mutate(data[8 : 8 + size], rng)
            return len(header).to_bytes(8, "little") + header + data[8 + size :]
        return mutate(data, rng)

    def read(self, kind, path):
        if kind in ("model", "settings"):
            read_model(path)
            return
        load_vgg19(path)
        with open_weights(path) as entries:
            for entry in entries.values():
                entry.read()


def tiny_config():
    model = {
        "widths": [2, 2, 2],
        "kernel": 1,
        "residuals": 0,
        "levels": 1,
        "style_encoder": "mobilenet",
        "style_feature": "statistics",
        "net_hidden": 2,
        "net_pool": 1,
        "net_kernel": 1,
    }
    return Config.from_dict({"model": model})


class Everything(dict):
    def __contains__(self, key):
        return True


@pytest.fixture
def files(make, narrow, monkeypatch):
    monkeypatch.setattr(find, "PUBLISHED", Everything())
    return Files(make, narrow, tiny_config())


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(tmp_path, files, kind):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(files.good[kind])
    files.read(kind, path)

    longer = os.environ.get("DIN_JAX_FUZZ", "")
    rng = np.random.default_rng([bool(longer), KINDS.index(kind)])
    outcomes = Counter()
    for number in range(int(longer or 40)):
        path.write_bytes(files.damaged(kind, rng))
        try:
            files.read(kind, path)
            outcomes["read"] += 1
        except UserError as error:
            message = str(error)
            assert message.isprintable() and len(message) < 2500 and " ()" not in message, message
            outcomes["refused"] += 1
        except Exception as error:
            error.add_note(f"{kind}, file {number}")
            raise
    print(kind, dict(outcomes))
    assert outcomes["refused"] > 10
