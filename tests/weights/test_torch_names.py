"""Weights reach PyTorch's names and layout and come back as they were, without PyTorch."""

import dataclasses

import jax
import numpy as np
import pytest
import safetensors.numpy

from din_jax.config import ModelConfig
from din_jax.errors import UserError
from din_jax.models.vgg import VGGDecoder, vgg_features
from din_jax.ops.preprocessing import CAFFE, Preprocessing
from din_jax.weights import VGGWeights, WeightsError, load_vgg19
from din_jax.weights.runs import flatten
from din_jax.weights.torch_names import (
    from_torch,
    model_shapes,
    our_name,
    read_torch,
    to_torch,
    torch_name,
    vgg19_to_torch,
    write_torch,
)

SMALL = ModelConfig(
    widths=(2, 4, 6),
    kernel=3,
    residuals=1,
    encoder_norm="batch",
    levels=1,
    style_encoder="mobilenet",
    style_feature="statistics",
    net_hidden=2,
    net_pool=1,
    net_kernel=1,
)
ADAIN = ModelConfig(network="vgg19", levels=1, code="adain", style_encoder="content")
CONFIGS = {
    "small": SMALL,
    "standard": dataclasses.replace(SMALL, separable=False, decoder_norm="none", residuals=2),
    "deformable": dataclasses.replace(SMALL, transform="deformable", dynamic_kernel=3),
    "feedback": dataclasses.replace(SMALL, net_feedback=1),
    "default": ModelConfig(),
    "vgg": ADAIN,
    "linear": ModelConfig(
        code="linear", style_encoder="content", normalizer="linear", widths=(2, 4, 6)
    ),
    "table": ModelConfig(
        code="cin", style_encoder="none", styles=("a", "b"), widths=(2, 4, 6), normalizer="batch"
    ),
}
# Of naoto0804/pytorch-AdaIN's `decoder.pth`: place in its nn.Sequential to the kernel's shape.
PUBLISHED = {
    1: (256, 512), 5: (256, 256), 8: (256, 256), 11: (256, 256), 14: (128, 256),
    18: (128, 128), 21: (64, 128), 25: (64, 64), 28: (3, 64),
}  # fmt: skip


def random_arrays(config, dtype=np.float32):
    rng = np.random.default_rng(5)
    shapes = model_shapes(config)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def arrays():
    return random_arrays(SMALL)


def same(found, arrays):
    found = flatten(found)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name


def test_names_and_layout_are_those_of_the_table(arrays):
    found = to_torch(arrays)
    kernel = arrays["params.encoder.down1.depthwise.conv.kernel"]
    assert kernel.shape == (3, 3, 1, 2)
    assert found["encoder.down1.depthwise.conv.weight"].shape == (2, 1, 3, 3)
    kernel = arrays["params.encoder.down2.pointwise.conv.kernel"]
    there = found["encoder.down2.pointwise.conv.weight"]
    assert there[5, 3, 0, 0] == kernel[0, 0, 3, 5]
    kernel, there = arrays["params.decoder.output.kernel"], found["decoder.output.weight"]
    assert there[2, 1, 0, 2] == kernel[0, 2, 1, 2] and there.flags.c_contiguous
    for theirs, ours in {
        "encoder.conv.norm.weight": "params.encoder.conv.norm.scale",
        "encoder.conv.norm.bias": "params.encoder.conv.norm.bias",
        "encoder.conv.norm.running_mean": "batch_stats.encoder.conv.norm.mean",
        "encoder.conv.norm.running_var": "batch_stats.encoder.conv.norm.var",
        "encoder.residuals.0.first.pointwise.conv.bias": (
            "params.encoder.residuals.0.first.pointwise.conv.bias"
        ),
        "codes.level3.bias_net.last.bias": "params.codes.level3.bias_net.last.bias",
        "standardize.variance": "batch_stats.standardize.variance",
    }.items():
        np.testing.assert_array_equal(found[theirs], arrays[ours])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_table_is_one_to_one_in_both_directions(config):
    ours = model_shapes(config)
    theirs = [torch_name(name) for name in ours]
    assert len(set(theirs)) == len(ours) > 0
    assert [our_name(name) for name in theirs] == list(ours)


@pytest.mark.parametrize("config", [SMALL, CONFIGS["standard"], CONFIGS["deformable"]])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_a_round_trip_changes_no_bit(config, dtype):
    arrays = random_arrays(config, dtype)
    same(from_torch(to_torch(arrays), config), arrays)


def test_the_tree_is_that_of_the_network(arrays):
    from din_jax.training.state import Network

    params, stats = jax.eval_shape(Network(SMALL).init, jax.random.key(0))
    found = from_torch(to_torch(arrays), SMALL)
    assert jax.tree.structure(found["params"]) == jax.tree.structure(params)
    assert jax.tree.structure(found["batch_stats"]) == jax.tree.structure(stats)


def test_all_that_is_wrong_is_named_at_once(arrays):
    given = to_torch(arrays)
    del given["encoder.conv.conv.weight"], given["standardize.mean"]
    given["encoder.extra.weight"] = np.zeros(3, np.float32)
    given["decoder.output.bias"] = np.zeros(4, np.float32)
    given["decoder.up1.depthwise.conv.weight"] = np.zeros((3, 3, 1, 6), np.float32)
    given["encoder.conv.norm.bias"] = np.zeros(2, np.int64)
    with pytest.raises(WeightsError) as caught:
        from_torch(given, SMALL, "mine.pth")
    message = str(caught.value)
    assert isinstance(caught.value, UserError) and "\n" not in message
    for part in (
        "mine.pth",
        "encoder.conv.conv.weight is missing",
        "standardize.mean is missing",
        "encoder.extra.weight is unexpected",
        "decoder.output.bias has shape (4,) where (3,) belongs",
        "decoder.up1.depthwise.conv.weight has shape (3, 3, 1, 6) where (6, 1, 3, 3) belongs",
        "encoder.conv.norm.bias holds int64",
    ):
        assert part in message
    assert message.count(" is missing") == 2 and message.count(" is unexpected") == 1


def test_counters_of_batches_are_let_pass(arrays):
    counted = {"encoder.conv.norm.num_batches_tracked": np.array(7)}
    same(from_torch(to_torch(arrays) | counted, SMALL), arrays)


def test_files_of_both_kinds_come_back(tmp_path, make, arrays):
    path = write_torch(tmp_path / "model.safetensors", arrays)
    assert safetensors.numpy.load_file(path).keys() == to_torch(arrays).keys()
    same(read_torch(path, SMALL), arrays)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    pickled = tmp_path / "model.pth"
    pickled.write_bytes(make.zip(to_torch(arrays)))
    same(read_torch(pickled, SMALL), arrays)


def test_only_safetensors_are_written(tmp_path, arrays):
    with pytest.raises(WeightsError, match="torch.save"):
        write_torch(tmp_path / "model.pth", arrays)
    assert not list(tmp_path.iterdir())


def test_the_published_decoder_fills_the_mirrored_one_in_order():
    published = {
        f"{place}.bias": np.full(o, place, np.float32) for place, (o, _) in PUBLISHED.items()
    }
    for place, shape in PUBLISHED.items():
        published[f"{place}.weight"] = np.full((*shape, 3, 3), place, np.float32)
    found = from_torch(published, ADAIN)["params"]["decoder"]["convs"]
    assert [int(found[i]["bias"][0]) for i in range(9)] == list(PUBLISHED)
    assert [found[i]["kernel"].shape[2:] for i in range(9)] == [s[::-1] for s in PUBLISHED.values()]
    back = to_torch({"params": {"decoder": {"convs": found}}})
    assert back.keys() == {f"decoder.{name}" for name in published}


@pytest.mark.parametrize("naming", ["torchvision", "adain"])
def test_vgg19_goes_out_and_comes_back(tmp_path, narrow, naming):
    params = {
        name: {"kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), "bias": bias}
        for name, (kernel, bias) in narrow.items()
    }
    weights = VGGWeights(params, CAFFE, tuple(params))
    path = tmp_path / "vgg.safetensors"
    safetensors.numpy.save_file(vgg19_to_torch(weights, naming), path)
    back = load_vgg19(path, None if naming == "adain" else CAFFE)
    # The 1x1 convolution of the AdaIN authors' file holds the preprocessing.
    assert back.preprocessing == CAFFE
    assert back.layers == weights.layers
    for name, layer in params.items():
        for key in layer:
            assert back.params[name][key].tobytes() == layer[key].tobytes()


def test_the_first_convolution_of_the_adain_layout_preprocesses():
    preprocessing = Preprocessing(255.0, (120.0, 110.0, 100.0), (2.0, 4.0, 5.0), bgr=True)
    arrays = vgg19_to_torch(VGGWeights({}, preprocessing, ()), "adain")
    image = np.random.default_rng(0).random((1, 2, 2, 3)).astype(np.float32)
    by_hand = image @ arrays["0.weight"][:, :, 0, 0].T + arrays["0.bias"]
    np.testing.assert_allclose(by_hand, preprocessing(image), rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_a_trained_adain_decoder_paints_what_the_encoder_saw(shared_data):
    """Real numbers: relu4_1 of a photograph, through the decoder, is that photograph again."""
    from PIL import Image

    stored = np.load(shared_data / "weights" / "adain_decoder_8bit.npz")
    names = [name for name in stored["order"] if name != "U"]
    published = {}
    for place, name in zip(PUBLISHED, names, strict=True):
        published[f"{place}.weight"] = stored[f"{name}_kernel"].transpose(3, 2, 0, 1)
        published[f"{place}.bias"] = stored[f"{name}_bias"]
    params = from_torch(published, ADAIN)["params"]["decoder"]

    vgg = load_vgg19(shared_data / "weights" / "vgg19_normalised_to_relu4_1.npz")
    photograph = Image.open(shared_data / "test" / "content" / "landscape_01.jpg").convert("RGB")
    image = np.asarray(photograph.resize((96, 64)), np.float32)[None] / 255
    painted = np.asarray(
        jax.jit(_reconstruct, static_argnums=1)(vgg.params, vgg.preprocessing, image, params)
    )
    assert painted.shape == image.shape
    assert np.corrcoef(painted.ravel(), image.ravel())[0, 1] > 0.85
    assert np.corrcoef(painted[:, ::-1].ravel(), image.ravel())[0, 1] < 0.2
    np.testing.assert_allclose(painted.mean((0, 1, 2)), image.mean((0, 1, 2)), atol=0.1)


def _reconstruct(vgg, preprocessing, image, params):
    from flax import nnx

    features = vgg_features(vgg, preprocessing, image, ["relu4_1"])["relu4_1"]
    graph, _ = nnx.split(nnx.eval_shape(lambda: VGGDecoder(rngs=nnx.Rngs(0))))
    return nnx.merge(graph, params)(features)
