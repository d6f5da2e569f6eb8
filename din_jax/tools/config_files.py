"""Config files, `FILE.py` or `FILE.py:VARIANT`, and their overrides, `--config.FIELD=VALUE`.

A config file has a function `get_config(variant)` that returns a `Config` as a ConfigDict. Those of
the package, the presets, are also named `din:VARIANT`, or `configs/din.py:VARIANT` in a folder that
has no such file. Whatever is wrong in a file, or in an override, ends in one sentence that names
the place.
"""

import importlib.machinery
import importlib.util
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.fields import Word, names_below

_LONGEST = 300  # characters of what an error says
_FOLDER = Path(__file__).parents[1] / "configs"
PRESETS = {path.stem: str(path) for path in sorted(_FOLDER.glob("[a-z]*.py"))}

flags.disclaim_key_flags()  # --help shows --config as the flag of whoever calls `define_flag`


class ListParser(flags.ArgumentParser):
    """A list on the command line: `8,16,32` or `relu1_1,relu2_1`, also in brackets and quotes."""

    def parse(self, argument: str | Sequence) -> tuple:
        if not isinstance(argument, str):
            return tuple(argument)  # the default
        items = [item.strip(" '\"") for item in _bare(argument.strip()).split(",")]
        if not items[-1]:  # (8,) and the empty list
            items.pop()
        return tuple(map(Word, items))

    def flag_type(self) -> str:
        return "list"


def _bare(text: str) -> str:
    """The text without the pair of brackets that is around all of it, if one is.

    Others are an item's: regular expressions have them.
    """
    pairs = {"(": ")", "[": "]"}
    if text[:1] not in pairs:
        return text
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == text[0]) - (letter == pairs[text[0]])
        if not depth:
            return text[1:-1] if place == len(text) - 1 else text
    return text


def define_flag(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagHolder:
    """`--config`, required, with an override for every field; `parse_flags` reads it."""
    for kind in (tuple, list):
        config_flags.register_flag_parser_for_type(kind, ListParser())
    return config_flags.DEFINE_config_file(
        "config",
        None,
        f"Settings: FILE.py or FILE.py:VARIANT, or a preset ({', '.join(PRESETS)}) as din or "
        "din:VARIANT. --config.FIELD=VALUE overrides a field, a list as "
        "--config.model.widths=8,16,32.",
        flag_values=flag_values,
    )


def parse_flags(
    argv: Sequence[str], flag: flags.FlagHolder, flag_values: flags.FlagValues = flags.FLAGS
) -> list[str]:
    """Parses all flags, `argv[0]` being the program, and gives what is left of `argv`.

    Raises:
      UserError: whatever is wrong with them, as one sentence.
    """
    for name in _overridden(argv):
        below = names_below(Config, name)
        if below:
            where = f"config.{name}".rstrip(".")
            raise UserError(f"{where} is no field but a group; set one of {', '.join(below)}.")
    try:
        rest = flag_values(list(_with_files(argv)))
        flag.value.to_dict()  # a file that is missing shows on access only
    # A config file may raise anything, and the libraries wrap it in various ways.
    except Exception as error:
        if spec := _spec_of(argv):
            read_config_file(spec)  # says what is wrong, if it is in the file
        hint = "see train.py --help, and configs/din.py:demo for a start"
        raise UserError(f"{_brief(error)}; {hint}.") from error
    return rest


def is_preset(spec: str) -> bool:
    """Whether `NAME` or `NAME:VARIANT` is one of the package's."""
    return spec.partition(":")[0] in PRESETS


def located(spec: str) -> str:
    """The same settings as a file that is here, where they are a preset."""
    file, colon, variant = spec.partition(":")
    name = re.fullmatch(r"(?:configs/)?(\w+)\.py", file)
    if file in PRESETS:
        file = PRESETS[file]
    elif name and name[1] in PRESETS and not os.path.isfile(file):
        file = PRESETS[name[1]]
    return file + colon + variant


def read_config_file(spec: str) -> Config:
    """The settings of `FILE.py`, `FILE.py:VARIANT` or a preset.

    Raises:
      UserError: the file, or what it returns, cannot be used.
    """
    file, colon, variant = located(spec).partition(":")
    if not os.path.isfile(file):
        raise UserError(f"there is no config file '{file[:_LONGEST]}'; configs/din.py:demo is one.")
    loader = importlib.machinery.SourceFileLoader("config_file", file)  # takes any suffix
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    try:
        loader.exec_module(module)
        values = module.get_config(*[variant] if colon else []).to_dict()
    except Exception as error:
        raise UserError(f"{_explain(error, file)}.") from error
    return Config.from_dict(values)


def _overridden(argv: Sequence[str]) -> Iterator[str]:
    """The fields that arguments set, by their dotted names."""
    for argument in argv[1:]:
        if found := re.match(r"--?(?:no)?config\.([^=]*)", argument):
            yield found[1]


def _spec_of(argv: Sequence[str]) -> str:
    """The value of --config, '' if there is none."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        if found := re.fullmatch(r"--?config(?:=(.*))?", argument, re.DOTALL):
            return following if found[1] is None else found[1]
    return ""


def _with_files(argv: Sequence[str]) -> Iterator[str]:
    """The arguments with the file in the place of the preset that --config names."""
    before = ""
    for argument in argv:
        name, equals, spec = argument.partition("=")
        if before in ("--config", "-config"):
            argument = located(argument)
        elif name in ("--config", "-config"):
            argument = name + equals + located(spec)
        yield argument
        before = argument


def _explain(error: Exception, file: str) -> str:
    """What a config file raised, and where."""
    own = os.path.realpath(file)
    frames = [
        (os.path.realpath(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    # What the file itself says to its user, of a variant that it has not, is left as it is; so is
    # what a preset says that the file passes on.
    spoken = {own, *map(os.path.realpath, PRESETS.values())}
    if isinstance(error, UserError) and frames[-1][0] in spoken:
        return _brief(error)
    lines = [line for path, line in frames if path == own]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno or 1)
    if not lines:
        return (
            f"the config file '{file}' must have a function get_config(variant) that returns "
            f"CONFIG.to_config_dict(), with CONFIG a din_jax.config.Config: {_brief(error)}"
        )
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"the config file '{file}' fails at line {lines[-1]}: {kind}{_brief(error)}"


def _brief(error: Exception) -> str:
    """What an error says, on one line of bearable length and without a stop."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = re.sub(r"\('([^']*)', ('[^']*')\)", r"\1: \2", text)  # as absl tells of no boolean
    # Some of absl's hold a whole stack trace, whose last line says what went wrong.
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    return lines[-1][:_LONGEST].rstrip(".")
