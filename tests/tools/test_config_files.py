"""Config files and their overrides: what is read, and what is wrong with them in one sentence."""

import re
import sys

import pytest
from absl import flags

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.tools.config_files import define_flag, parse_flags, read_config_file

# ml_collections loads files by a method that Python will drop.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

GOOD = """
from din_jax.config import Config, ModelConfig
from din_jax.errors import UserError
def get_config(variant=""):
    if variant:
        raise UserError(f"there is no variant {variant!r}.")
    return Config(model=ModelConfig(residuals=1)).to_config_dict()
"""
BROKEN = {  # name: (the file, words of the sentence)
    "attribute": ("import json\n\njson.nope", "line 3: AttributeError: module 'json' has no attr"),
    "syntax": ("x = 1\ndef get_config(:", "line 2: SyntaxError: invalid syntax"),
    "import": ("import din_jax.nope", "line 1: ModuleNotFoundError: No module named"),
    "file": ("\nopen('/nowhere/x')", "line 2: FileNotFoundError: "),
    "later": ("def get_config(variant=''):\n    return 1 / 0", "line 2: ZeroDivisionError"),
    "value": ("from din_jax.config import *\nConfig(\n  seed=-1)", "line 2: config.seed must be"),
    "lines": ("raise KeyError('a\\nb')", "line 1: KeyError: 'a\\nb'"),
    "long": ("raise TypeError('x' * 10**5)", "line 1: TypeError: xxx"),
    "nothing": ("x = 1", "must have a function get_config(variant)"),
    "none": ("def get_config(variant=''):\n    pass", "must have a function get_config(variant)"),
    "null": ("x = 1\0", "null bytes"),
    "field": (
        "from ml_collections import ConfigDict as C\ndef get_config():\n    return C({'lr': 1})",
        "config has no field lr",
    ),
}


@pytest.fixture
def parse(monkeypatch):
    """Gives the `Config` of some arguments, read as train.py does."""

    def run(*arguments):
        values = flags.FlagValues()
        flag = define_flag(values)
        argv = ["train.py", *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.delitem(sys.modules, "config_config", raising=False)  # ml_collections' name
        assert parse_flags(argv, flag, values) == ["train.py"]
        return Config.from_dict(flag.value.to_dict())

    return run


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    return f"--config={path}"


@pytest.mark.parametrize(
    "argument,group,field,value",
    [
        ("model.widths=8,16,32", "model", "widths", (8, 16, 32)),
        ("model.widths=(8, 16, 32)", "model", "widths", (8, 16, 32)),
        ("model.widths=[8,16,32,]", "model", "widths", (8, 16, 32)),
        ("loss.style_layers=relu1_1,relu2_1", "loss", "style_layers", ("relu1_1", "relu2_1")),
        ("loss.style_layers=('relu1_1',)", "loss", "style_layers", ("relu1_1",)),
        ('loss.style_layers=["relu1_1"]', "loss", "style_layers", ("relu1_1",)),
        ("loss.content_layers=relu3_1", "loss", "content_layers", ("relu3_1",)),
        ("train.shard=(a|b).(c|d)", "train", "shard", ("(a|b).(c|d)",)),
        ("train.shard=[ab]$,^c(d)", "train", "shard", ("[ab]$", "^c(d)")),
        ("optim.learning_rate=3e-4", "optim", "learning_rate", 3e-4),
        ("data.flip=false", "data", "flip", False),
        ("data.content=a,b", "data", "content", "a,b"),
    ],
)
def test_every_kind_of_field_is_overridden(parse, good, argument, group, field, value):
    config = parse(good, f"--config.{argument}")
    assert getattr(getattr(config, group), field) == value
    assert config.model.residuals == 1  # the file's


@pytest.mark.parametrize(
    "argument,words",
    [
        ("nope=1", "config has no field nope; its fields are name"),
        ("train.stepz=1", "config.train has no field stepz; its fields are steps"),
        ("keys=1", "config has no field keys"),
        ("train.steps.x=1", "config.train.steps has no field x"),
        ("a-b=1", "config has no field a-b"),
        ("train={}", "config.train is no field but a group; set one of steps, minutes"),
        ("=1", "config is no field but a group"),
        ("train.steps=1e3", "config.train.steps=1e3: invalid literal"),
        ("train.steps", "Missing value for flag --config.train.steps"),
        ("data.flip=maybe", "config.data.flip=maybe"),
        ("model.widths=8,16", "config.model.widths must list 3 values, not 2"),
        ("model.widths=8,,16", "config.model.widths must be of type int, not ''"),
        ("model.widths=1.5,2,3", "config.model.widths must be of type int, not '1.5'"),
        ("loss.style_layers=", "config.loss.style_layers must list 1 to 16 values, not 0"),
        ("loss.style_layers=relu9_9", "not 'relu9_9'"),
        ("train.shard=(kernel", "config.train.shard must be a regular expression, not '(kernel'"),
        ("loss.style_weight=nan", "config.loss.style_weight must be finite"),
        ("train.steps=" + "9" * 5000, "config.train.steps=999"),
    ],
)
def test_a_bad_override_is_one_sentence(parse, good, argument, words):
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        parse(good, f"--config.{argument}")
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 500


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("overridden", [False, True])
def test_a_broken_config_file_is_one_sentence_with_its_line(parse, tmp_path, name, overridden):
    path = tmp_path / f"{name}.py"
    text, words = BROKEN[name]
    path.write_text(text)
    arguments = ["--config.train.steps=3"] if overridden else []
    for read in (lambda path: parse(f"--config={path}", *arguments), read_config_file):
        with pytest.raises(UserError, match=re.escape(words)) as caught:
            read(str(path))
        message = str(caught.value)
        assert "\n" not in message and message.endswith(".") and len(message) < 700
        assert name == "field" or f"'{path}'" in message


def test_what_a_file_says_of_its_variants_is_left_as_it_is(parse, good):
    with pytest.raises(UserError, match="^there is no variant 'x'.$"):
        parse(f"{good}:x")


def test_help_shows_the_flag_as_the_callers():
    values = flags.FlagValues()
    define_flag(values)
    (flag,) = values.get_key_flags_for_module(__name__)
    assert flag.name == "config" and "--config.model.widths=8,16,32" in flag.help


@pytest.mark.parametrize("file", ["nope.py", ".", "x" * 5000])
def test_a_missing_file_is_named(parse, tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"there is no config file '{file[:300]}'; configs/din"):
        parse("--config", file)
