"""ONNX graphs are the network: ONNX Runtime's numbers are JAX's, at sizes that no graph knew."""

import jax
import numpy as np
import onnxruntime as ort
import pytest
from flax import nnx

from din_jax.errors import UserError
from din_jax.export.content import content_graph
from din_jax.export.graph import Graph
from din_jax.export.style import style_graph
from din_jax.inference.codes import code_shapes
from din_jax.inference.fold import for_inference
from din_jax.ops.forms import default_form
from tests.export.models import small_model

FORMS = {
    "portable": {},
    "instance": {"encoder_norm": "instance", "decoder_norm": "instance", "separable": False},
    "one level": {"levels": 1, "encoder_norm": "none"},
    "depthwise": {"dynamic_groups": 0, "normalizer": "batch"},
    "groups": {"dynamic_groups": 2, "normalizer": "centering"},
    "feedback": {"net_feedback": 2},
    "3x3": {"dynamic_kernel": 3, "dynamic_dilation": 2, "normalizer": "none"},
}
# Odd sides, and a batch: (pictures, rows, columns).
SIZES = [(1, 33, 46), (2, 37, 35)]


@pytest.fixture(scope="module", autouse=True)
def plain_convolutions():
    """Compiled in half the time; tests of ops, models and layers hold that both forms are equal."""
    with default_form("conv"):
        yield


def session(graph: Graph) -> ort.InferenceSession:
    data = graph.model({}).SerializeToString()
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"])


def planar(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def pictures(count: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Smooth in places and noisy in others, float32 [B, H, W, 3] in [0, 1]."""
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.standard_normal((count, rows, columns, 3)), 2)
    return np.float32(0.5 + 0.5 * np.sin(0.4 * waves))


def feed(code) -> dict[str, np.ndarray]:
    return {
        f"{level}.{field}": np.asarray(value)
        for level, part in code.items()
        for field, value in part._asdict().items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_graphs_compute_what_the_network_does(form):
    network = for_inference(small_model(**FORMS[form]).model)
    graph, state = nnx.split(network)
    encode = jax.jit(lambda state, x: nnx.merge(graph, state).encode_style(x))
    stylize = jax.jit(lambda state, x, code: nnx.merge(graph, state).stylize(x, code))
    shapes = code_shapes(network)
    style, content = session(style_graph(network, shapes)), session(content_graph(network, shapes))
    for count, rows, columns in SIZES if form == "portable" else SIZES[1:]:
        x, other = pictures(count, rows, columns), pictures(count, rows, columns, 1)
        code = jax.device_get(encode(state, other))
        given = feed(code)
        found = style.run(list(given), {"style": planar(other)})
        for name, value in zip(given, found, strict=True):
            np.testing.assert_allclose(value, given[name], rtol=1e-5, atol=1e-4, err_msg=name)
        expected = np.asarray(stylize(state, x, code))
        assert (np.abs(expected - 0.5) < 0.5).mean() > 0.8
        tolerance = 1e-4 * expected.std()
        (painted,) = content.run(None, {"content": planar(x)} | given)
        expected = planar(expected.clip(0, 1))
        np.testing.assert_allclose(painted, expected, rtol=0, atol=tolerance)
        # One code serves the whole batch.
        one = {name: value[:1] for name, value in given.items()}
        (painted,) = content.run(None, {"content": planar(x)} | one)
        np.testing.assert_allclose(painted[:1], expected[:1], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "settings",
    [
        {"code": "wct", "normalizer": "whitening", "style_encoder": "content",
         "style_feature": "relu4_1"},
        {"transform": "spatial", "style_feature": "relu4_1"},
        {"transform": "deformable", "dynamic_kernel": 3},
    ],
)  # fmt: skip
def test_other_networks_are_refused_in_a_sentence(settings):
    network = for_inference(small_model(**settings).model)
    with pytest.raises(UserError, match="not exported to ONNX.*(:|,) "):
        content_graph(network, code_shapes(network))


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_depthwise_weights_are_never_rounded(storage):
    """A folded norm makes those of a nearly constant channel large, and rounding them shows."""
    weights = np.random.default_rng(0).standard_normal((32, 1, 3, 3)).astype(np.float32)
    g = Graph("weights", storage)
    g.output(g.weight(weights, axis=0), "weights", [32, 1, 3, 3])
    np.testing.assert_array_equal(session(g).run(None, {})[0], weights)


@pytest.mark.parametrize("storage, bound", [("float16", 2**-11), ("int8", 1 / 254)])
def test_stored_weights_are_rounded_by_no_more_than_their_type(storage, bound):
    """float16 relative to each number, int8 to the largest of its output channel."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((7, 5, 3, 3)) * 10.0 ** rng.uniform(-2, 2, (7, 1, 1, 1))
    g = Graph("weights", storage)
    g.output(g.weight(weights, axis=0), "weights", [7, 5, 3, 3])
    (found,) = session(g).run(None, {})
    largest = np.abs(weights).max((1, 2, 3), keepdims=True)
    scale = np.abs(weights) if storage == "float16" else largest
    assert (np.abs(found - weights) <= 1.001 * bound * scale).all()
    assert np.abs(found - weights).max() > 0
