"""Known styles are painted without what reads styles, and without the VGG-19 that only does so."""

import jax
import numpy as np
import pytest

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.inference.stylizer import Stylizer
from din_jax.weights.models import load_model, save_model
from din_jax.weights.torch_names import model_shapes

MODEL = {"widths": [4, 6, 8], "kernel": 3, "residuals": 1, "separable": False, "net_hidden": 4}


def write_model(path, **settings):
    config = Config.from_dict({"model": MODEL | settings, "data": {"crop": 40, "resize": 40}})
    rng = np.random.default_rng(3)
    arrays = {
        name: np.abs(0.1 + 0.3 * rng.standard_normal(shape))
        for name, shape in model_shapes(config.model).items()
    }
    return save_model(path, config, arrays)


def bytes_of(loaded):
    return sum(x.nbytes for x in jax.tree.leaves(jax.tree.map(np.asarray, _state(loaded))))


def _state(loaded):
    from flax import nnx

    return nnx.to_pure_dict(nnx.state(loaded.model))


@pytest.mark.parametrize("feature", ["relu4_1", "statistics"])
def test_codes_are_painted_as_by_the_whole_model(tmp_path, image, feature):
    nets = {"net_pool": 1, "net_kernel": 1} if feature == "statistics" else {}
    path = write_model(
        tmp_path / "tiny.safetensors", style_encoder="mobilenet", style_feature=feature, **nets
    )
    whole, part = Stylizer.load(path), Stylizer.load(path, encoder=False)
    assert whole.loaded.fingerprint == part.loaded.fingerprint != ""
    assert whole.loaded.has_encoder and not part.loaded.has_encoder
    assert bytes_of(part.loaded) < 0.2 * bytes_of(whole.loaded)
    content = image(40, 40, 1)
    code = whole.encode_style(image(40, 40, 2))
    expected = whole.stylize(content, code)
    np.testing.assert_array_equal(part.stylize(content, code), expected)
    for given, options in ((image(40, 40, 2), {}), (code, {"strength": 0.5})):
        with pytest.raises(UserError, match="without its style encoder, .*load it with encoder=Tr"):
            part.stylize(content, given, **options)


def test_a_vgg_that_only_reads_styles_is_not_looked_for(tmp_path, monkeypatch):
    path = write_model(tmp_path / "tiny.safetensors", style_encoder="vgg19")

    def none(*_):
        raise UserError("there is no VGG-19 here")

    monkeypatch.setattr("din_jax.weights.models.vgg19_of", none)
    loaded = load_model(path, encoder=False)
    assert loaded.config.model.style_encoder == "vgg19" and loaded.vgg is None
    with pytest.raises(UserError, match="no VGG-19 here"):
        load_model(path)


def test_methods_without_nets_load_whole(tmp_path):
    path = write_model(
        tmp_path / "tiny.safetensors", code="cin", style_encoder="none", styles=["a", "b"]
    )
    assert load_model(path, encoder=False).has_encoder
