"""The methods that `config.model.code` names, and what settings each of them takes.

A method is a source of the code, a normalizer and a transform (`layers.styled`). What its source is
built from stands in `layers.sources`, under the same name; here stands what goes together with it,
so that a config is refused before anything is loaded.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from din_jax.errors import UserError

# The last belongs to a method of its own; the others go with any nets.
NORMALIZERS = ("instance", "whitening", "centering", "batch", "none", "linear")
TRANSFORMS = ("standard", "deformable", "spatial")
STYLE_ENCODERS = ("vgg19", "mobilenet", "content", "unshared", "none")


@dataclasses.dataclass(frozen=True)
class Method:
    """What a method takes; the first of several values is the usual one.

    Attributes:
      source: where its code comes from, in words.
      style_encoders: what may read the style.
      normalizers: what may stand before the transform.
      check: a `ModelConfig` to the sentence that says what is wrong with it, or "".
    """

    source: str
    style_encoders: tuple[str, ...]
    normalizers: tuple[str, ...]
    check: Callable[[Any], str]


def check_method(m) -> None:
    """Refuses settings of a `ModelConfig` that its method does not take.

    Raises:
      UserError: one sentence.
    """
    method = METHODS[m.code]
    for name in ("style_encoder", "normalizer"):
        choices, value = getattr(method, f"{name}s"), getattr(m, name)
        if value not in choices:
            raise UserError(
                f"config.model.code={m.code!r} takes {method.source}: set config.model.{name} to "
                f"{' or '.join(map(repr, choices))}; received {m.code!r} and {value!r}."
            )
    if m.styles and m.code != "cin":
        raise UserError(
            f"config.model.styles are the rows of the table of code='cin'; leave it empty for "
            f"code={m.code!r}."
        )
    problem = method.check(m)
    if problem:
        raise UserError(problem)


def _nets(m) -> str:
    """The code of weight and bias nets."""
    if m.style_feature == "statistics" and (m.net_pool, m.net_kernel) != (1, 1):
        return (
            "config.model.style_feature='statistics' is one vector per style: set net_pool and "
            f"net_kernel to 1, not {m.net_pool} and {m.net_kernel}."
        )
    if m.net_feedback and m.style_feature != "statistics":
        return (
            "config.model.net_feedback compares statistics of a style and of what is painted: set "
            f"style_feature to 'statistics', or net_feedback to 0, not {m.style_feature!r} and "
            f"{m.net_feedback}."
        )
    if m.transform == "spatial" and m.style_feature != "relu4_1":
        return (
            "config.model.transform='spatial' reads a map of the style: set style_feature to "
            f"'relu4_1', not {m.style_feature!r}."
        )
    if m.transform == "spatial" and _dynamic(m) != (1, 1, 1):
        return (
            "config.model.transform='spatial' has one 1x1 depthwise kernel per position: leave "
            "config.model.dynamic_* at their defaults."
        )
    return ""


def _computed(m) -> str:
    """A code of fixed shape, 1x1, without nets."""
    if m.net_feedback:
        return (
            "config.model.net_feedback corrects the nets of code='din'; leave it at 0 for "
            f"code={m.code!r}."
        )
    if (m.transform, *_dynamic(m)) != ("standard", 1, 1, 1):
        return (
            "config.model.transform and config.model.dynamic_* belong to code='din'; leave them "
            f"at their defaults for code={m.code!r}."
        )
    if m.style_feature != "relu4_1":
        return (
            "config.model.style_feature is what the nets of code='din' read; leave it at its "
            f"default for code={m.code!r}."
        )
    return ""


def _statistics(m) -> str:
    """A code computed from maps, of the content encoder or of one like it."""
    if m.style_encoder == "unshared" and m.network == "vgg19":
        return (
            "config.model.style_encoder='unshared' is a second encoder of the lightweight network: "
            "set network to 'mobilenet', or style_encoder to 'content'."
        )
    return _computed(m)


def _table(m) -> str:
    """Rows for known styles, each with a name."""
    if not m.styles or len(set(m.styles)) != len(m.styles) or not all(m.styles):
        return (
            "config.model.styles must name the styles of code='cin', each once (the names of the "
            f"pictures in config.data.style, without suffix), not {str(list(m.styles))[:200]}."
        )
    return _computed(m)


def _dynamic(m) -> tuple[int, int, int]:
    return m.dynamic_kernel, m.dynamic_groups, m.dynamic_dilation


METHODS = {
    "din": Method("weight and bias nets", ("vgg19", "mobilenet"), NORMALIZERS[:-1], _nets),
    "adain": Method(
        "the style's statistics in the content encoder, or in one like it of its own",
        ("content", "unshared"),
        ("instance",),
        _statistics,
    ),
    "wct": Method(
        "the style's covariance in the content encoder", ("content",), ("whitening",), _computed
    ),
    "linear": Method(
        "nets that read covariances in the content encoder", ("content",), ("linear",), _computed
    ),
    "cin": Method("a table of known styles", ("none",), ("instance", "batch"), _table),
}
