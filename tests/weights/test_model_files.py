"""Model files and run directories: what is saved comes back, damage is named in one sentence."""

import gc
import json

import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from din_jax.config import Config
from din_jax.models.network import StylizationNetwork
from din_jax.models.vgg import Frozen, conv_shapes, layers_up_to
from din_jax.ops.preprocessing import CAFFE
from din_jax.weights.model_files import digest
from din_jax.weights.models import ModelError, build_model, load_model, save_model
from din_jax.weights.vgg19 import VGGWeights, save_vgg19

TINY = {"widths": [4, 8, 8], "residuals": 1, "net_hidden": 4, "net_kernel": 1}


def make_config(**model):
    return Config.from_dict({"model": {**TINY, "style_encoder": "mobilenet", **model}})


def random_variables(config, seed=0):
    """Fresh numbers in every entry: an initialized bias or mean is zero and would hide a mix-up."""
    rng = np.random.default_rng(seed)
    model = nnx.eval_shape(lambda: StylizationNetwork(config.model, None, rngs=nnx.Rngs(0)))
    _, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)

    def fill(tree):
        if isinstance(tree, dict):
            return {key: fill(value) for key, value in tree.items()}
        return rng.normal(0.5, 1, tree.shape).astype(np.float32)

    return {
        "params": fill(nnx.to_pure_dict(params)),
        "batch_stats": fill(nnx.to_pure_dict(stats)),
    }


def flatten(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", np.asarray(value)


def numbers_of(model):
    _, params, stats, _ = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    variables = {"params": nnx.to_pure_dict(params), "batch_stats": nnx.to_pure_dict(stats)}
    return dict(flatten(variables))


@pytest.fixture
def config():
    return make_config(encoder_norm="batch")


@pytest.fixture
def variables(config):
    return random_variables(config)


@pytest.fixture
def file(tmp_path, config, variables):
    return save_model(tmp_path / "model.safetensors", config, variables, card={"step": 12})


def tell_loss(run, step, loss):
    """The validation loss of a checkpoint, where orbax writes it."""
    folder = run / "checkpoints" / str(step) / "metrics"
    folder.mkdir()
    (folder / "metrics").write_text(json.dumps({"loss": loss}))


def write_run(folder, config, variables, steps):
    import orbax.checkpoint as ocp

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    with ocp.CheckpointManager((folder / "checkpoints").absolute()) as manager:
        for step in steps:
            scaled = {
                "params": {
                    **variables["params"],
                    "decoder": {
                        **variables["params"]["decoder"],
                        "output": {
                            "kernel": variables["params"]["decoder"]["output"]["kernel"] * step,
                            "bias": variables["params"]["decoder"]["output"]["bias"],
                        },
                    },
                },
            }
            if variables["batch_stats"]:
                scaled["batch_stats"] = variables["batch_stats"]
            items = ocp.args.Composite(
                variables=ocp.args.StandardSave(scaled),
                train=ocp.args.StandardSave({"step": np.asarray(step)}),
            )
            manager.save(step, args=items)
        manager.wait_until_finished()
    return folder


def test_float32_file_gives_back_every_number(tmp_path, config, variables):
    path = tmp_path / "new" / "model.safetensors"
    save_model(path, config, variables, dtype="float32", card={"step": 7, "data": "none"})
    loaded = load_model(path)
    saved, got = dict(flatten(variables)), numbers_of(loaded.model)
    assert saved.keys() == got.keys() and any(name.startswith("batch_stats") for name in got)
    for name in saved:
        np.testing.assert_array_equal(got[name], saved[name], strict=True)
    assert (loaded.config, loaded.step, loaded.source) == (config, 7, path)
    assert loaded.card == {"step": 7, "data": "none"} and loaded.vgg is None
    assert loaded.model.encoder.conv.norm.use_running_average
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_float16_file_is_half_the_size_and_within_half_precision(tmp_path, config, variables):
    half = save_model(tmp_path / "half.safetensors", config, variables)
    full = save_model(tmp_path / "full.safetensors", config, variables, dtype="float32")
    assert half.stat().st_size < 0.55 * full.stat().st_size
    for name, value in numbers_of(load_model(half).model).items():
        assert value.dtype == np.float32
        expected = dict(flatten(variables))[name]
        np.testing.assert_allclose(value, expected, rtol=2**-11, atol=2**-24)


def test_as_many_known_styles_are_saved_as_a_config_admits(tmp_path):
    """Their names do not fit a header, also those of which some alone were trained."""
    styles = [f"Étude {i} after a painting whose title is long\udcff" for i in range(65_536)]
    table = {"code": "cin", "style_encoder": "none", "styles": styles}
    config = Config.from_dict({"model": {**TINY, **table}, "train": {"only_styles": styles[7:]}})
    variables = random_variables(config)
    path = save_model(tmp_path / "m.safetensors", config, variables, dtype="float32")
    loaded = load_model(path)
    assert loaded.config == config and loaded.fingerprint == digest(dict(flatten(variables)))
    assert numbers_of(loaded.model).keys() == dict(flatten(variables)).keys()


def test_a_file_whose_names_of_styles_are_in_its_config_still_loads(tmp_path):
    config = make_config(code="cin", style_encoder="none", styles=["waves", "glass"])
    path = save_model(tmp_path / "m.safetensors", config, random_variables(config))
    arrays = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata() | {"config": json.dumps(config.to_dict())}
    assert arrays.pop("model.styles").tobytes() == b"waves\0glass"
    safetensors.numpy.save_file(arrays, path, metadata=metadata)
    assert load_model(path).config == config


def test_run_directory_gives_newest_named_and_best_checkpoint(tmp_path, config, variables):
    run = write_run(tmp_path / "run", config, variables, [2, 3, 10])
    for step, loss in ((2, 0.7), (3, 0.5), (10, 0.6)):
        tell_loss(run, step, loss)
    (run / "checkpoints" / "40.orbax-checkpoint-tmp-1").mkdir()
    for asked, step in ((None, 10), (2, 2), ("2", 2), ("best", 3)):
        loaded = load_model(run, step=asked)
        assert loaded.step == step
        got = numbers_of(loaded.model)
        for name, value in flatten(variables):
            factor = step if name == "params.decoder.output.kernel" else 1
            np.testing.assert_array_equal(got[name], value * np.float32(factor))


def test_run_without_batch_statistics_loads(tmp_path):
    config = make_config()
    variables = random_variables(config)
    assert not variables["batch_stats"]
    loaded = load_model(write_run(tmp_path / "run", config, variables, [1]))
    got = numbers_of(loaded.model)
    assert got.keys() == dict(flatten(variables)).keys()


def test_all_entries_that_do_not_fit_are_named_at_once(config, variables):
    broken = dict(flatten(variables))
    del broken["params.decoder.up1.pointwise.conv.bias"]
    broken["params.decoder.extra"] = np.zeros(1, np.float32)
    broken["params.encoder.conv.conv.bias"] = np.zeros(5, np.float32)
    with pytest.raises(ModelError) as caught:
        build_model(config, broken)
    message = str(caught.value)
    assert "params.decoder.up1.pointwise.conv.bias is missing" in message
    assert "params.decoder.extra is unexpected" in message
    assert "params.encoder.conv.conv.bias has shape (5,) where (4,) belongs" in message


def test_a_vgg_style_encoder_gets_its_weights_from_the_file_named(tmp_path):
    rng = np.random.default_rng(0)
    params = {
        name: {
            "kernel": rng.standard_normal(conv_shapes()[name], np.float32),
            "bias": rng.standard_normal(conv_shapes()[name][3], np.float32),
        }
        for name in layers_up_to("relu4_1")
    }
    vgg = VGGWeights(params, CAFFE, tuple(params), "by hand")
    save_vgg19(vgg, tmp_path / "vgg.npz")
    small = make_config()
    config = make_config(style_encoder="vgg19")
    variables = random_variables(small)
    del variables["params"]["style_encoder"]
    path = save_model(tmp_path / "m.safetensors", config, variables)
    assert path.stat().st_size < 100_000  # VGG-19 is not in it
    loaded = load_model(path, vgg=tmp_path / "vgg.npz")
    assert loaded.vgg.note == "by hand" and loaded.model.vgg.preprocessing == CAFFE
    got = dict(flatten(nnx.to_pure_dict(nnx.state(loaded.model, Frozen))))
    assert len(got) == 18
    for name, value in got.items():
        _, _, layer, kind = name.split(".")
        np.testing.assert_array_equal(value, params[layer][kind])


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "bit flipped":
        data[-100] ^= 1
    elif how == "empty":
        data = b""
    elif how == "other kind":
        data = b"\x89PNG\r\n" + bytes(200)
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "bit flipped", "empty", "other kind"])
def test_damaged_file_is_refused_in_one_sentence(file, how):
    damage(file, how)
    with pytest.raises(ModelError, match="damaged") as caught:
        load_model(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata, match",
    [
        (None, "holds no din_jax model"),
        ({"format": "din_jax model 99"}, "holds no din_jax model 1"),
        ({"format": "din_jax model 1"}, "damaged"),
    ],
)
def test_foreign_safetensors_file_is_refused(tmp_path, metadata, match):
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(3, np.float32)}, path, metadata=metadata)
    with pytest.raises(ModelError, match=match):
        load_model(path)


@pytest.mark.parametrize(
    "config_text", ["{", "[]", '{"model": {"widhts": 3}}', '{"model": {"levels": 9}}']
)
def test_unusable_config_is_refused(tmp_path, config_text, config, variables):
    run = write_run(tmp_path / "run", config, variables, [1])
    (run / "config.json").write_text(config_text)
    with pytest.raises(ModelError, match=r"config\.json' is unusable"):
        load_model(run)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e5])
def test_numbers_that_half_precision_cannot_hold_are_refused(tmp_path, config, variables, value):
    variables["params"]["decoder"]["output"]["bias"][1] = value
    with pytest.raises(ModelError, match=r"params\.decoder\.output\.bias are not"):
        save_model(tmp_path / "m.safetensors", config, variables)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("card", [{"step": "12"}, {"a": "x" * 70_000}, {"a": [[[[[[[[1]]]]]]]]}])
def test_a_card_that_could_not_be_read_is_not_written(tmp_path, config, variables, card):
    with pytest.raises(ModelError, match="card"):
        save_model(tmp_path / "m.safetensors", config, variables, card=card)
    assert not list(tmp_path.iterdir())


def test_failed_write_keeps_the_old_file(file, config, variables, monkeypatch):
    before = file.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(file, config, variables, dtype="float32")
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name, dtype", [("m.npz", "float32"), ("m.safetensors", "int8")])
def test_other_suffixes_and_types_are_refused(tmp_path, config, variables, name, dtype):
    with pytest.raises(ModelError, match="as float16 or float32"):
        save_model(tmp_path / name, config, variables, dtype=dtype)


def test_wrong_paths_and_steps_are_one_sentence_each(tmp_path, config, variables, file):
    with pytest.raises(ModelError, match="there is no model"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="leave the step out"):
        load_model(file, step=3)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match="has no checkpoints"):
        load_model(empty)
    run = write_run(tmp_path / "run", config, variables, [4, 5])
    with pytest.raises(ModelError, match="has no checkpoint 6; its steps are 4, 5"):
        load_model(run, step=6)
    with pytest.raises(ModelError, match="tells its validation loss"):
        load_model(run, step="best")
    (run / "config.json").unlink()
    with pytest.raises(ModelError, match="has no config.json"):
        load_model(run)


# Orbax leaves its other reads running when one has failed; they then find their loop closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("what", ["_METADATA", "manifest.ocdbt", "d/*", "all"])
def test_damaged_checkpoint_is_refused_in_one_sentence(tmp_path, config, variables, what):
    run = write_run(tmp_path / "run", config, variables, [4])
    item = run / "checkpoints" / "4" / "variables"
    removed = [p for p in item.rglob("*" if what == "all" else what) if p.is_file()]
    assert removed
    for path in removed:
        path.unlink()
    with pytest.raises(ModelError, match="damaged or incomplete") as caught:
        load_model(run)
    assert "\n" not in str(caught.value)
    gc.collect()  # the warnings must fall into this test
