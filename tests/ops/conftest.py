"""Slow references in float64 NumPy, one loop per definition."""

import types

import numpy as np
import pytest


def convolve(x, kernel, stride=1):
    """Position by position; [B, H, W, I] by [K, K, I / groups, O]."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    side, _, per_group, outputs = kernel.shape
    pad = side // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    per_output = outputs // (x.shape[3] // per_group)
    rows, columns = range(0, x.shape[1], stride), range(0, x.shape[2], stride)
    y = np.zeros((x.shape[0], len(rows), len(columns), outputs))
    for o in range(outputs):
        first = o // per_output * per_group
        for r, i in enumerate(rows):
            for c, j in enumerate(columns):
                patch = padded[:, i : i + side, j : j + side, first : first + per_group]
                y[:, r, c, o] = (patch * kernel[..., o]).sum((1, 2, 3))
    return y


def convolve_each(x, kernel, bias):
    """Every image by its own kernel [B, K, K, I / groups, O], plus its own bias [B, O]."""
    rows = [convolve(x[i : i + 1], kernel[i])[0] + np.asarray(bias[i]) for i in range(len(x))]
    return np.stack(rows)


def normalize(x, epsilon=1e-5):
    x = np.asarray(x, np.float64)
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def pool(x, rows, columns):
    """Adaptive average pooling, bin by bin."""
    b, h, w, c = x.shape
    y = np.zeros((b, rows, columns, c))
    for i in range(rows):
        for j in range(columns):
            top, bottom = (i * h) // rows, int(np.ceil((i + 1) * h / rows))
            left, right = (j * w) // columns, int(np.ceil((j + 1) * w / columns))
            y[:, i, j] = np.asarray(x, np.float64)[:, top:bottom, left:right].mean((1, 2))
    return y


def slopes(function, x, step=1e-5):
    """Central differences of a NumPy function with one number as its value."""
    x = np.array(x, np.float64)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + step
        above = function(x)
        x[index] = kept - step
        gradient[index] = (above - function(x)) / (2 * step)
        x[index] = kept
    return gradient


@pytest.fixture(scope="session")
def reference():
    return types.SimpleNamespace(
        convolve=convolve,
        convolve_each=convolve_each,
        normalize=normalize,
        pool=pool,
        slopes=slopes,
    )


@pytest.fixture
def rng():
    return np.random.default_rng(7)
