import dataclasses
import json
import re

import pytest

from din_jax.config import Config, DataConfig, ModelConfig
from din_jax.errors import UserError

ADAIN = {"code": "adain", "style_encoder": "content"}
CIN = {"code": "cin", "style_encoder": "none"}
# Section and its fields, and what the sentence must hold.
BAD = [
    ("model", {"network": "resnet"}, "mobilenet, vgg19, not 'resnet'"),
    ("model", {"encoder_norm": "layer"}, "instance, batch, none, not 'layer'"),
    ("model", {"decoder_norm": "layer"}, "instance, batch, none, not 'layer'"),
    ("model", {"code": "avatar"}, "din, adain, wct, cin, not 'avatar'"),
    ("model", {"style_encoder": "clip"}, "vgg19, mobilenet, content, none, not 'clip'"),
    ("model", {"normalizer": "layer"}, "instance, whitening, centering, batch, none, not 'layer'"),
    ("model", {"style_feature": "relu5_1"}, "relu4_1, statistics, not 'relu5_1'"),
    ("model", {"kernel": 4}, "odd, not 4"),
    ("model", {"widths": [32, 64]}, "three positive channel counts, not (32, 64)"),
    ("model", {"widths": [32, 64, 0]}, "not (32, 64, 0)"),
    ("model", {"levels": 4}, "1 to 3 for mobilenet, not 4"),
    ("model", {"levels": 0}, "1 to 3 for mobilenet, not 0"),
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
    ("model", {"dynamic_kernel": 2}, "dynamic_kernel must be odd, not 2"),
    ("model", {"dynamic_kernel": 0}, "dynamic_kernel must be at least 1, not 0"),
    ("model", {"dynamic_groups": 3}, "every styled level, 32, 64, 128, not 3"),
    ("model", {"dynamic_groups": -1}, "every styled level, 32, 64, 128, not -1"),
    ("model", {"levels": 1, "offset_groups": 5}, "every styled level, 128, not 5"),
    ("model", {"dynamic_kernel": 3} | ADAIN, "defaults for code='adain'"),
    ("model", {"transform": "spatial", "dynamic_kernel": 3}, "leave config.model.dynamic_*"),
    (
        "model",
        {"transform": "spatial", "style_feature": "statistics", "net_pool": 1, "net_kernel": 1},
        "set style_feature to 'relu4_1', not 'statistics'",
    ),
    ("loss", {"network": "vgg16"}, "vgg19, random, not 'vgg16'"),
    ("loss", {"style_layers": []}, "at least one layer"),
    ("optim", {"decay": "linear"}, "constant, cosine, not 'linear'"),
    ("optim", {"learning_rate": 0}, "positive"),
    ("data", {"crop": 100}, "multiple of 8 from 32 up, not 100"),
    ("data", {"crop": 24}, "not 24"),
    ("data", {"style_crop": 20}, "style_crop must be a multiple of 8"),
    ("data", {"resize": 128}, "resize (128) must be at least crop (256)"),
    ("data", {"zoom": 0.5}, "at least 1, not 0.5"),
    ("data", {"style_jitter": 1.5}, "0..1, not 1.5"),
    ("data", {"validation": 0}, "at least 1, not 0"),
    ("train", {"compute_dtype": "float16"}, "float32, bfloat16, not 'float16'"),
    ("train", {"params": "split"}, "replicated, sharded, not 'split'"),
    ("train", {"steps": 0}, "positive"),
    ("train", {"batch": 0}, "positive"),
    ("train", {"log_every": 0}, "log_every must be at least 1, not 0"),
    ("train", {"grid_every": 0}, "grid_every must be at least 1, not 0"),
    ("train", {"validate_every": 0}, "validate_every must be at least 1, not 0"),
    ("train", {"checkpoint_every": 0}, "checkpoint_every must be at least 1, not 0"),
    ("train", {"keep_last": 0}, "keep_last must be at least 1, not 0"),
    ("train", {"steps": 1.5}, "config.train.steps must be of type int, not 1.5"),
    ("train", {"steps": True}, "config.train.steps must be of type int, not True"),
    ("data", {"flip": 1}, "config.data.flip must be of type bool, not 1"),
    ("data", {"zoom": "2"}, "config.data.zoom must be of type float, not '2'"),
    ("model", {"widths": "abc"}, "config.model.widths must be a list, not 'abc'"),
    ("model", {"widths": [1, 2, "3"]}, "config.model.widths must be of type int, not '3'"),
    ("model", {"levls": 3}, "config.model has no field levls; its fields are network"),
]


@pytest.mark.parametrize("section,fields,words", BAD)
def test_a_bad_value_is_refused_with_one_sentence(section, fields, words):
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        Config.from_dict({section: fields})
    message = str(caught.value)
    assert message.startswith("config.") and message.endswith(".") and "\n" not in message
    assert f"config.{section}" in message


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
