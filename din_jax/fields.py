"""What a setting may be, beside the field it is the setting of, and how both are checked.

    threads: int = setting(8, least=1, most=256)  # decoding threads per process

`build` makes a dataclass of such fields from untyped values (JSON, a ConfigDict); `check` holds
every field of it to its type and rule. Nothing here knows which settings there are.
"""

import dataclasses
import math
import re
import reprlib
import typing
from collections.abc import Mapping
from typing import Any

from din_jax.errors import UserError

_LONGEST_TEXT = 4096  # characters: the longest path that Linux takes

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80
shown = _brief.repr
"""`repr` of bearable length, whatever the value."""


class Word(str):
    """A value as it was typed: `build` reads it as what its field wants, "8" as 8 or as a name."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the value of a field may be; of a tuple, what each of its items may be.

    Numbers must be finite, text one line, and a tuple of choices names each once; the rest is said
    here. A bound that is None is none.
    """

    least: float | None = None  # value >= least
    above: float | None = None  # value > above
    most: float | None = None  # value <= most
    below: float | None = None  # value < below
    odd: bool = False
    multiple_of: int = 0  # 0 is any
    choices: tuple[str, ...] = ()  # of text; () is any
    pattern: bool = False  # of text: a regular expression
    length: tuple[int, int] = (1, 16)  # least and greatest number of a tuple's items
    once: bool = False  # of a tuple: no item twice

    def broken_by(self, value: Any) -> str:
        """'', or what the value must be instead: "must be at least 1, not 0"."""
        if isinstance(value, tuple):
            return self._items(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bool) or self._admits(value):
            return ""
        return f"must be {self._numbers(value)}, not {shown(value)}"

    def _items(self, items: tuple) -> str:
        low, high = self.length
        if not low <= len(items) <= high:
            count = f"{low}" if low == high else f"{low} to {high}"
            return f"must list {count} values, not {len(items)}: {shown(items)}"
        if (self.choices or self.once) and len(set(items)) < len(items):
            return f"must list each value once, not {shown(items)}"
        broken = next(filter(None, map(self.broken_by, items)), "")
        return f"{broken} in {shown(items)}" if broken else ""

    def _text(self, text: str) -> str:
        if self.choices:
            wanted = ", ".join(self.choices)
            return "" if text in self.choices else f"must be one of {wanted}, not {shown(text)}"
        if len(text) > _LONGEST_TEXT or _CONTROL.search(text):
            return f"must be one line of at most {_LONGEST_TEXT} characters, not {shown(text)}"
        if self.pattern:
            try:
                re.compile(text)
            except (re.error, RecursionError, OverflowError) as error:
                return f"must be a regular expression, not {shown(text)} ({error})"
        return ""

    def _admits(self, number: float) -> bool:
        return (
            -math.inf < number < math.inf
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
            and not (self.odd and number % 2 == 0)
            and not (self.multiple_of and number % self.multiple_of)
        )

    def _numbers(self, number: float) -> str:
        """The numbers that are admitted, in words."""
        words = {
            "finite": not -math.inf < number < math.inf,
            "odd": self.odd,
            f"a multiple of {self.multiple_of}": self.multiple_of > 0,
            f"at least {self.least}": self.least is not None,
            f"above {self.above}": self.above is not None,
            f"at most {self.most}": self.most is not None,
            f"below {self.below}": self.below is not None,
        }
        *first, last = (word for word, holds in words.items() if holds)
        return f"{', '.join(first)} and {last}" if first else last


def setting(default: Any, **rule: Any) -> Any:
    """A dataclass field with its default and, as keywords, its `Rule`."""
    return dataclasses.field(default=default, metadata={"rule": Rule(**rule)})


def build(cls: type, values: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass `cls` from nested mappings; fields left out keep their default.

    Raises:
      UserError: an unknown field, or a value of another type; the sentence starts with `where`.
    """
    hints = typing.get_type_hints(cls)
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must have fields {', '.join(hints)}, not be {shown(values)}.")
    unknown = [name for name in values if name not in hints]
    if unknown:
        raise _unknown(where, unknown, hints)
    return cls(**{key: _typed(hints[key], x, f"{where}.{key}") for key, x in values.items()})


def check(settings: Any, where: str) -> None:
    """Holds every field, and those of the dataclasses among them, to its type and rule.

    Raises:
      UserError: the first that breaks its rule, named with `where`, what is wanted and its value.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        name, value = f"{where}.{field.name}", getattr(settings, field.name)
        value = _typed(hints[field.name], value, name)
        if dataclasses.is_dataclass(value):
            check(value, name)
        elif broken := field.metadata["rule"].broken_by(value):
            raise UserError(f"{name} {broken}.")


def _typed(hint: Any, value: Any, where: str) -> Any:
    """The value as the hinted type; only lists, tables, words and whole numbers are converted."""
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} must be a list, not {shown(value)}.")
        return tuple(_typed(typing.get_args(hint)[0], item, where) for item in value)
    if isinstance(value, Word):
        try:
            value = hint(value)
        except ValueError:
            value = str(value)  # refused below
    if isinstance(value, bool) != (hint is bool) or not isinstance(
        value, (int, float) if hint is float else hint
    ):
        raise UserError(f"{where} must be of type {hint.__name__}, not {shown(value)}.")
    if hint is float and isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return math.inf  # which no rule admits
    return value


def _unknown(where: str, names: list, hints: Mapping[str, Any]) -> UserError:
    listed = ", ".join(str(name)[:80] for name in names[:4])
    return UserError(f"{where} has no field {listed}; its fields are {', '.join(hints) or 'none'}.")


def names_below(cls: type, name: str) -> list[str]:
    """Names of the fields of the group `name` of `cls`, dotted; [] if it is a field.

    Raises:
      UserError: there is neither such a field nor such a group.
    """
    where = "config"
    for part in filter(None, name.split(".")):
        hints = typing.get_type_hints(cls) if dataclasses.is_dataclass(cls) else {}
        if part not in hints:
            raise _unknown(where, [part], hints)
        where, cls = f"{where}.{part}", hints[part]
    return list(typing.get_type_hints(cls)) if dataclasses.is_dataclass(cls) else []
