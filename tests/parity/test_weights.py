"""State dicts of real PyTorch modules and files that PyTorch wrote, both ways, bit by bit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

from din_jax.config import ModelConfig  # noqa: E402
from din_jax.ops.preprocessing import CAFFE  # noqa: E402
from din_jax.weights import WeightsError, find, load_vgg19  # noqa: E402
from din_jax.weights.opening import sha256_of  # noqa: E402
from din_jax.weights.runs import flatten  # noqa: E402
from din_jax.weights.torch_names import (  # noqa: E402
    from_torch,
    model_shapes,
    read_torch,
    to_torch,
    torch_name,
    vgg19_to_torch,
    write_torch,
)
from parity.pair import load  # noqa: E402
from parity.reference.stylizer import Stylizer  # noqa: E402
from parity.reference.vgg import VGG19, vgg_decoder  # noqa: E402
from parity.variants import SMALL, VARIANTS  # noqa: E402

COUNTER = "num_batches_tracked"
CONFIGS = {
    name: ModelConfig(**({} if changes.get("network") else SMALL) | changes)
    for name, changes in VARIANTS.items()
}


def make(config):
    torch.manual_seed(3)
    return Stylizer(config, None)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_entry_of_a_module_has_its_place_and_shape(config):
    state = make(config).state_dict()
    ours = model_shapes(config)
    names = {name for name in state if not name.endswith(COUNTER)}
    assert names == {torch_name(name) for name in ours}
    back = to_torch({name: np.zeros(shape, np.float32) for name, shape in ours.items()})
    for name, array in back.items():
        assert array.shape == tuple(state[name].shape), name


@pytest.mark.parametrize("name", ["portable", "johnson", "deformable", "spatial"])
def test_there_and_back_changes_no_bit_and_loads_strictly(name):
    config = CONFIGS[name]
    model, other = make(config), Stylizer(config, None)
    state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    variables = from_torch(model.state_dict(), config)
    load(other, to_torch(variables))
    for key, tensor in other.state_dict().items():
        assert tensor.numpy().tobytes() == state[key].tobytes(), key
    assert flatten(variables).keys() == model_shapes(config).keys()


def test_files_of_pytorch_are_read_and_ours_by_pytorch(tmp_path):
    from safetensors.torch import load_file, save_file

    config = CONFIGS["portable"]
    model = make(config)
    expected = flatten(from_torch(model.state_dict(), config))
    torch.save(model.state_dict(), tmp_path / "new.pth")
    torch.save(model.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(model.state_dict(), tmp_path / "state.safetensors")
    for path in sorted(tmp_path.iterdir()):
        found = flatten(read_torch(path, config))
        for key, array in expected.items():
            assert found[key].tobytes() == array.tobytes(), (path.name, key)
    written = write_torch(tmp_path / "ours.safetensors", read_torch(tmp_path / "new.pth", config))
    for key, tensor in load_file(written).items():
        assert torch.equal(tensor, model.state_dict()[key]), key


def test_another_models_weights_are_refused_by_name():
    with pytest.raises(WeightsError) as caught:
        from_torch(make(CONFIGS["din"]).state_dict(), CONFIGS["portable"])
    message = str(caught.value)
    assert "style_encoder.features.blocks.0.depthwise.conv.bias is missing" in message
    assert "codes.level1.weight_net.first.weight has shape (16, 512, 3, 3)" in message
    assert " more, " in message and len(message) < 2500


def test_a_published_decoder_is_the_vgg_networks(tmp_path):
    torch.manual_seed(0)
    decoder, config = vgg_decoder(), CONFIGS["vgg-adain"]
    torch.save(decoder.state_dict(), tmp_path / "decoder.pth")
    model = Stylizer(config, None)
    load(model, to_torch(read_torch(tmp_path / "decoder.pth", config)))
    for key, tensor in decoder.state_dict().items():
        assert torch.equal(model.state_dict()[f"decoder.{key}"], tensor)


def test_vgg19_of_pytorch_comes_back_from_both_published_layouts(tmp_path, vgg, monkeypatch):
    network = VGG19(vgg.preprocessing, len(vgg.layers))
    load(network, vgg19_to_torch(vgg))
    torch.save(network.state_dict(), tmp_path / "torchvision.pth")
    adain = vgg19_to_torch(vgg, "adain")
    torch.save({k: torch.from_numpy(np.array(x)) for k, x in adain.items()}, tmp_path / "adain.pth")
    for name in ("torchvision", "adain"):
        path = tmp_path / f"{name}.pth"
        monkeypatch.setitem(find.PUBLISHED, sha256_of(path), "as if published")
        back = load_vgg19(path, CAFFE if name == "torchvision" else None)
        for conv, layer in vgg.params.items():
            for key, array in layer.items():
                assert back.params[conv][key].tobytes() == np.asarray(array).tobytes()
