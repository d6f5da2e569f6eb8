"""FID's network against PyTorch's modules, from a file of their own names, random weights."""

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

import jax  # noqa: E402
import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402

from din_jax.models.inception import (  # noqa: E402
    SIDE,
    art_features,
    inception_features,
    inception_maps,
)
from din_jax.weights import inception as files  # noqa: E402


class Unit(nn.Module):
    def __init__(self, inputs, outputs, sides=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches by name: a list of rows, each a chain whose last member may be a fork."""

    def __init__(self, pool, chains, **units):
        super().__init__()
        self.pool, self.chains = pool, chains
        for name, unit in units.items():
            self.add_module(name, Unit(*unit))

    def forward(self, x):
        found = []
        for chain in self.chains:
            y = x
            for link in chain:
                if link == "pool":
                    y = self.pool(y)
                elif isinstance(link, tuple):
                    y = torch.cat([getattr(self, name)(y) for name in link], 1)
                else:
                    y = getattr(self, link)(y)
            found.append(y)
        return torch.cat(found, 1)


def mean(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def padded_mean(x):
    return F.avg_pool2d(x, 3, 1, 1)


def largest(x):
    return F.max_pool2d(x, 3, 1, 1)


def halved(x):
    return F.max_pool2d(x, 3, 2)


ROW, COLUMN = (1, 7), (7, 1)  # kernels; padded by (0, 3) and (3, 0)


def a(inputs, pooled):
    return Block(
        mean,
        [["branch1x1"], ["branch5x5_1", "branch5x5_2"],
         ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"], ["pool", "branch_pool"]],
        branch1x1=(inputs, 64), branch5x5_1=(inputs, 48), branch5x5_2=(48, 64, 5, 1, 2),
        branch3x3dbl_1=(inputs, 64), branch3x3dbl_2=(64, 96, 3, 1, 1),
        branch3x3dbl_3=(96, 96, 3, 1, 1), branch_pool=(inputs, pooled),
    )  # fmt: skip


def b(inputs):
    return Block(
        halved,
        [["branch3x3"], ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"], ["pool"]],
        branch3x3=(inputs, 384, 3, 2), branch3x3dbl_1=(inputs, 64),
        branch3x3dbl_2=(64, 96, 3, 1, 1), branch3x3dbl_3=(96, 96, 3, 2),
    )  # fmt: skip


def c(inputs, n):
    twice = [f"branch7x7dbl_{i}" for i in range(1, 6)]
    return Block(
        mean,
        [["branch1x1"], ["branch7x7_1", "branch7x7_2", "branch7x7_3"], twice,
         ["pool", "branch_pool"]],
        branch1x1=(inputs, 192), branch7x7_1=(inputs, n), branch7x7_2=(n, n, ROW, 1, (0, 3)),
        branch7x7_3=(n, 192, COLUMN, 1, (3, 0)), branch7x7dbl_1=(inputs, n),
        branch7x7dbl_2=(n, n, COLUMN, 1, (3, 0)), branch7x7dbl_3=(n, n, ROW, 1, (0, 3)),
        branch7x7dbl_4=(n, n, COLUMN, 1, (3, 0)), branch7x7dbl_5=(n, 192, ROW, 1, (0, 3)),
        branch_pool=(inputs, 192),
    )  # fmt: skip


def d(inputs):
    return Block(
        halved,
        [["branch3x3_1", "branch3x3_2"], [f"branch7x7x3_{i}" for i in range(1, 5)], ["pool"]],
        branch3x3_1=(inputs, 192), branch3x3_2=(192, 320, 3, 2), branch7x7x3_1=(inputs, 192),
        branch7x7x3_2=(192, 192, ROW, 1, (0, 3)), branch7x7x3_3=(192, 192, COLUMN, 1, (3, 0)),
        branch7x7x3_4=(192, 192, 3, 2),
    )  # fmt: skip


def e(inputs, pool):
    fork = (384, 384, (1, 3), 1, (0, 1)), (384, 384, (3, 1), 1, (1, 0))
    return Block(
        pool,
        [["branch1x1"], ["branch3x3_1", ("branch3x3_2a", "branch3x3_2b")],
         ["branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")],
         ["pool", "branch_pool"]],
        branch1x1=(inputs, 320), branch3x3_1=(inputs, 384), branch3x3_2a=fork[0],
        branch3x3_2b=fork[1], branch3x3dbl_1=(inputs, 448), branch3x3dbl_2=(448, 384, 3, 1, 1),
        branch3x3dbl_3a=fork[0], branch3x3dbl_3b=fork[1], branch_pool=(inputs, 192),
    )  # fmt: skip


class Halved(nn.Module):
    def forward(self, x):
        return halved(x)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = nn.Sequential()
    for name, part in (
        ("Conv2d_1a_3x3", Unit(3, 32, 3, 2)), ("Conv2d_2a_3x3", Unit(32, 32, 3)),
        ("Conv2d_2b_3x3", Unit(32, 64, 3, 1, 1)), ("pool1", Halved()),
        ("Conv2d_3b_1x1", Unit(64, 80)), ("Conv2d_4a_3x3", Unit(80, 192, 3)), ("pool2", Halved()),
        ("Mixed_5b", a(192, 32)), ("Mixed_5c", a(256, 64)), ("Mixed_5d", a(288, 64)),
        ("Mixed_6a", b(288)), ("Mixed_6b", c(768, 128)), ("Mixed_6c", c(768, 160)),
        ("Mixed_6d", c(768, 160)), ("Mixed_6e", c(768, 192)), ("Mixed_7a", d(768)),
        ("Mixed_7b", e(1280, mean)), ("Mixed_7c", e(2048, largest)),
    ):  # fmt: skip
        network.add_module(name, part)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(1, 2)
            module.bias.data.uniform_(-0.2, 0.5)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.2, 0.5)
    return network.eval()


def test_its_maps_and_its_input_are_pytorchs(network, tmp_path, monkeypatch):
    path = tmp_path / files.FILE
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(files, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    params = files.find_inception(path)
    assert len(params) == 94
    images = np.random.default_rng(0).random((2, 139, 107, 3), np.float32)
    with torch.no_grad():
        given = torch.from_numpy(images.transpose(0, 3, 1, 2))
        expected = network(2 * given - 1).numpy().transpose(0, 2, 3, 1)
        large = F.interpolate(given, (SIDE, SIDE), mode="bilinear", align_corners=False)
    found = np.asarray(jax.jit(inception_maps)(params, 2 * images - 1))
    assert found.shape == expected.shape and min(found.shape[1:3]) > 1 and expected.std() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    seen = []
    monkeypatch.setattr(
        "din_jax.models.inception.inception_maps", lambda params, x: seen.append(x) or x
    )
    inception_features({}, images)
    resized = 2 * large.numpy().transpose(0, 2, 3, 1) - 1
    np.testing.assert_allclose(seen[0], resized, atol=1e-5)


def test_features_for_artfid_are_those_of_its_pools(network, tmp_path, monkeypatch):
    path = tmp_path / files.FILE
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(files, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    params = files.find_inception(path)
    for module in network:
        if isinstance(module, Block) and module.pool in (mean, largest):
            monkeypatch.setattr(module, "pool", padded_mean)
    images = np.random.default_rng(0).random((2, 139, 107, 3), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2))).mean((2, 3)).numpy()
    found = np.asarray(jax.jit(art_features)(params, images))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    other = np.asarray(jax.jit(lambda p, x: inception_maps(p, x).mean((1, 2)))(params, images))
    assert np.abs(other - expected).max() > 1e-2 * np.abs(expected).max()
