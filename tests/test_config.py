import dataclasses
import json
import math
import re

import pytest

from din_jax import fields
from din_jax.config import Config, DataConfig, ModelConfig
from din_jax.errors import UserError

ADAIN = {"code": "adain", "style_encoder": "content"}
CIN = {"code": "cin", "style_encoder": "none"}
# Section and its fields, and what the sentence must hold.
BAD = [
    ("model", {"network": "resnet"}, "mobilenet, vgg19, not 'resnet'"),
    ("model", {"encoder_norm": "layer"}, "instance, batch, none, not 'layer'"),
    ("model", {"decoder_norm": "layer"}, "instance, batch, none, not 'layer'"),
    ("model", {"code": "avatar"}, "din, adain, wct, linear, cin, not 'avatar'"),
    ("model", {"style_encoder": "clip"}, "vgg19, mobilenet, content, unshared, none, not 'clip'"),
    ("model", {"normalizer": "layer"}, "batch, none, linear, not 'layer'"),
    ("model", {"style_feature": "relu5_1"}, "relu4_1, statistics, not 'relu5_1'"),
    ("model", {"kernel": 4}, "kernel must be odd, at least 1 and at most 31, not 4"),
    ("model", {"kernel": -1}, "not -1"),
    ("model", {"widths": [32, 64]}, "must list 3 values, not 2: (32, 64)"),
    ("model", {"widths": [32, 64, 0]}, "at least 1 and at most 1024, not 0 in (32, 64, 0)"),
    ("model", {"residuals": -1}, "residuals must be at least 0 and at most 64, not -1"),
    ("model", {"residuals": 10**7}, "at most 64, not 10000000"),
    ("model", {"levels": 4}, "at most 3, not 4"),
    ("model", {"levels": 0}, "at least 1 and at most 3, not 0"),
    ("model", {"network": "vgg19", "levels": 2}, "1 to 1 for vgg19, not 2"),
    ("model", {"code": "adain"}, "'adain' and 'vgg19'"),
    ("model", {"style_encoder": "content"}, "'din' and 'content'"),
    ("model", {"normalizer": "whitening"} | ADAIN, "'adain' and 'whitening'"),
    ("model", {"code": "wct", "style_encoder": "content"}, "normalizer to 'whitening'"),
    ("model", {"code": "cin", "styles": ["a"]}, "style_encoder to 'none'"),
    ("model", CIN, "config.model.styles must name the styles"),
    ("model", CIN | {"styles": ["a", "b", "a"]}, "each once"),
    ("model", CIN | {"styles": ["a"], "dynamic_groups": 0}, "defaults for code='cin'"),
    ("model", {"styles": ["a"]}, "leave it empty for code='din'"),
    ("model", ADAIN | {"style_feature": "statistics"}, "default for code='adain'"),
    ("model", {"style_feature": "statistics"}, "net_pool and net_kernel to 1, not 4 and 3"),
    ("model", {"transform": "affine"}, "standard, deformable, spatial, not 'affine'"),
    ("model", {"dynamic_kernel": 2}, "dynamic_kernel must be odd, at least 1"),
    ("model", {"dynamic_kernel": -1}, "not -1"),
    ("model", {"dynamic_dilation": 0}, "dynamic_dilation must be at least 1"),
    ("model", {"spatial_grid": 0}, "spatial_grid must be at least 1"),
    ("model", {"dynamic_groups": 3}, "every styled level, 32, 64, 128, not 3"),
    ("model", {"dynamic_groups": -1}, "dynamic_groups must be at least 0"),
    ("model", {"levels": 1, "offset_groups": 5}, "every styled level, 128, not 5"),
    ("model", {"net_hidden": 0}, "net_hidden must be at least 1 and at most 1024, not 0"),
    ("model", {"net_hidden": -5}, "not -5"),
    ("model", {"net_pool": 0}, "net_pool must be at least 1"),
    ("model", {"net_kernel": 0}, "net_kernel must be at least 1"),
    ("model", {"net_scale": math.nan}, "above 0 and at most 1000.0, not nan"),
    ("model", {"net_scale": -1.0}, "not -1.0"),
    ("model", {"net_feedback": 1}, "set style_feature to 'statistics', or net_feedback to 0"),
    ("model", {"net_feedback": 1} | ADAIN, "leave it at 0 for code='adain'"),
    ("model", {"dynamic_kernel": 3} | ADAIN, "defaults for code='adain'"),
    ("model", {"transform": "spatial", "dynamic_kernel": 3}, "leave config.model.dynamic_*"),
    (
        "model",
        {"transform": "spatial", "style_feature": "statistics", "net_pool": 1, "net_kernel": 1},
        "set style_feature to 'relu4_1', not 'statistics'",
    ),
    ("loss", {"network": "vgg16"}, "vgg19, random, not 'vgg16'"),
    ("loss", {"style_layers": []}, "style_layers must list 1 to 16 values, not 0: ()"),
    ("loss", {"content_layers": []}, "content_layers must list 1 to 16 values, not 0: ()"),
    ("loss", {"style_layers": ["relu9_9"]}, "relu5_4, not 'relu9_9' in ('relu9_9',)"),
    ("loss", {"content_layers": ["relu1_1", "relu1_1"]}, "list each value once"),
    ("loss", {"shrink": [2, 4, 2]}, "shrink must list each value once, not (2, 4, 2)"),
    ("loss", {"style_weight": math.nan}, "style_weight must be finite and at least 0, not nan"),
    ("loss", {"content_weight": -1}, "content_weight must be at least 0, not -1.0"),
    ("loss", {"gram_weight": 10**400}, "gram_weight must be finite and at least 0, not inf"),
    ("optim", {"decay": "linear"}, "constant, cosine, not 'linear'"),
    ("optim", {"learning_rate": 0}, "above 0, not 0"),
    ("optim", {"learning_rate": math.inf}, "finite and above 0, not inf"),
    ("optim", {"b1": 2}, "b1 must be at least 0 and below 1, not 2.0"),
    ("optim", {"b2": 1.0}, "b2 must be at least 0 and below 1, not 1.0"),
    ("optim", {"warmup": -5}, "warmup must be at least 0"),
    ("optim", {"clip": -1}, "clip must be at least 0, not -1.0"),
    ("optim", {"dynamic_multiplier": -1.0}, "dynamic_multiplier must be at least 0"),
    ("data", {"crop": 100}, "a multiple of 8, at least 16 and at most 4096, not 100"),
    ("data", {"crop": 24}, "crop must be at least 32 for mobilenet, not 24"),
    ("data", {"style_crop": 20}, "style_crop must be a multiple of 8"),
    ("data", {"style_crop": -8}, "not -8"),
    ("data", {"resize": 128}, "resize (128) must be at least crop (256)"),
    ("data", {"resize": 10**8}, "at most 4096, not 100000000"),
    ("data", {"zoom": 0.5}, "at least 1 and at most 64, not 0.5"),
    ("data", {"style_jitter": 1.5}, "at least 0 and at most 1, not 1.5"),
    ("data", {"validation": 0}, "at least 1 and at most 1000000, not 0"),
    ("data", {"threads": -1}, "threads must be at least 1 and at most 256, not -1"),
    ("data", {"threads": 0}, "threads must be at least 1 and at most 256, not 0"),
    ("data", {"workers": -1}, "workers must be at least 0"),
    ("data", {"prefetch": -1}, "prefetch must be at least 1"),
    ("data", {"content": "a\0b"}, r"one line of at most 4096 characters, not 'a\x00b'"),
    ("train", {"initialize": "x" * 5000}, "one line of at most 4096 characters, not 'xxx"),
    ("train", {"compute_dtype": "float16"}, "float32, bfloat16, not 'float16'"),
    ("train", {"fsdp": 0}, "at least 1 and at most 65536, not 0"),
    ("train", {"shard": ["a", "("]}, "shard must be a regular expression, not '('"),
    ("train", {"steps": 0}, "steps must be at least 1"),
    ("train", {"batch": 0}, "batch must be at least 1"),
    ("train", {"teacher_steps": -1}, "teacher_steps must be at least 0"),
    ("train", {"log_every": 0}, "log_every must be at least 1"),
    ("train", {"grid_every": 0}, "grid_every must be at least 1"),
    ("train", {"validate_every": 0}, "validate_every must be at least 1"),
    ("train", {"checkpoint_every": 0}, "checkpoint_every must be at least 1"),
    ("train", {"keep_last": 0}, "keep_last must be at least 1"),
    ("train", {"keep_best": -1}, "keep_best must be at least 0"),
    ("train", {"steps": 1.5}, "config.train.steps must be of type int, not 1.5"),
    ("train", {"steps": True}, "config.train.steps must be of type int, not True"),
    ("data", {"flip": 1}, "config.data.flip must be of type bool, not 1"),
    ("data", {"zoom": "2"}, "config.data.zoom must be of type float, not '2'"),
    ("data", {"zoom": True}, "config.data.zoom must be of type float, not True"),
    ("model", {"widths": "abc"}, "config.model.widths must be a list, not 'abc'"),
    ("model", {"widths": [1, 2, "3"]}, "config.model.widths must be of type int, not '3'"),
    ("model", {"levls": 3}, "config.model has no field levls; its fields are network"),
    ("model", {"x" * 10**5: 3}, "config.model has no field xxx"),
    ("model", 7, "config.model must have fields network"),
]


@pytest.mark.parametrize("section,fields,words", BAD)
def test_a_bad_value_is_refused_with_one_sentence(section, fields, words):
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        Config.from_dict({section: fields})
    message = str(caught.value)
    assert message.startswith("config.") and message.endswith(".") and "\n" not in message
    assert f"config.{section}" in message and len(message) < 700


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_what_all_generators_take(seed):
    with pytest.raises(UserError, match="config.seed must be at least 0 and at most 4294967295"):
        Config.from_dict({"seed": seed})


def leaves(cls, where="config"):
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.default):
            yield from leaves(type(field.default), f"{where}.{field.name}")
        else:
            yield f"{where}.{field.name}", field


@pytest.mark.parametrize("name,field", [pytest.param(*leaf, id=leaf[0]) for leaf in leaves(Config)])
def test_every_field_states_what_it_may_be(name, field):
    rule = field.metadata["rule"]
    if isinstance(field.default, int) and not isinstance(field.default, bool):
        assert rule.least is not None and rule.most is not None
    # Of floats, all refuse what is not finite, and all have a lower bound.
    if isinstance(field.default, float):
        assert rule.least is not None or rule.above is not None
        assert rule.broken_by(math.nan) and rule.broken_by(math.inf) and rule.broken_by(-math.inf)
    assert not rule.broken_by(field.default)


def test_an_unknown_section_is_refused_by_name():
    with pytest.raises(UserError, match="config has no field modle; its fields are name, seed"):
        Config.from_dict({"modle": {}})


def test_checks_hold_without_from_dict():
    with pytest.raises(UserError, match="odd"):
        Config(model=ModelConfig(kernel=2))
    with pytest.raises(UserError, match="odd"):
        dataclasses.replace(Config(), model=ModelConfig(kernel=2))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "a", "seed": 3, "model": {"widths": [8, 16, 32], "levels": 1}},
        {"model": {"network": "vgg19", "levels": 1} | ADAIN, "data": {"crop": 64, "resize": 64}},
        {"model": {"code": "wct", "style_encoder": "content", "normalizer": "whitening"}},
        {"model": CIN | {"styles": ["waves", "glass"], "normalizer": "batch"}},
        {"loss": {"style_layers": ["relu1_1"], "style_weight": 3}, "optim": {"clip": 1}},
        {"train": {"compute_dtype": "bfloat16"}, "data": {"style_crop": 128}},
    ],
)
def test_a_config_survives_its_dictionary_and_json(values):
    config = Config.from_dict(values)
    assert Config.from_dict(config.to_dict()) == config
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_defaults_are_valid_and_hashable():
    assert hash(Config()) == hash(Config.from_dict({}))


def test_integers_become_floats_where_floats_are_meant():
    value = Config.from_dict({"loss": {"style_weight": 3}}).loss.style_weight
    assert value == 3 and isinstance(value, float)


def test_a_word_is_read_as_what_its_field_wants():
    @dataclasses.dataclass
    class Lists:
        numbers: tuple[int, ...] = fields.setting((1,))
        factors: tuple[float, ...] = fields.setting((1.0,))
        names: tuple[str, ...] = fields.setting(("a",))

    words = [fields.Word("8"), fields.Word("16")]
    made = fields.build(Lists, {"numbers": words, "factors": words, "names": words}, "lists")
    assert made == Lists((8, 16), (8.0, 16.0), ("8", "16"))
    assert {type(x) for x in made.numbers + made.factors + made.names} == {int, float, str}
    with pytest.raises(UserError, match="lists.numbers must be of type int, not '1.5'"):
        fields.build(Lists, {"numbers": [fields.Word("1.5")]}, "lists")


def test_the_style_crop_is_the_crop_unless_given():
    assert Config().style_crop == Config().data.crop
    assert Config(data=DataConfig(style_crop=128)).style_crop == 128


@pytest.mark.parametrize(
    "values,needed",
    [
        ({}, True),
        ({"loss": {"network": "random"}}, True),
        ({"loss": {"network": "random"}, "model": {"style_encoder": "mobilenet"}}, False),
        ({"loss": {"network": "random"}, "model": ADAIN}, False),
        ({"model": {"style_encoder": "mobilenet"}}, True),
    ],
)
def test_vgg19_is_needed_where_loss_or_model_reads_it(values, needed):
    assert Config.from_dict(values).needs_vgg19 == needed


def test_settings_that_say_nothing_any_more_are_taken_from_old_runs():
    old = Config().to_dict()
    old["train"]["params"] = "sharded"
    assert Config.from_dict(old) == Config()
    assert "params" in old["train"]  # left as it was
