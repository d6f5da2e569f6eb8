"""Contents painted in several styles at once, at a strength, by weights or by masks.

At a strength a of less than 1 a content's own code takes part: what the network makes of the
content as its own style, so that strength 0 is the content as the network draws it. (The styled map
mixed with the unstyled one is not that: the decoder of DIN has never seen the latter, and draws
mud.) Codes mix linearly, so by weights this is one code. A model with a table of styles has no code
of a content; its pictures are mixed with the contents instead.

A picture that is transparent in part is normalized by the statistics of what is visible: a small
thing on a large empty ground would be painted in garish colors by those of the whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from din_jax.errors import UserError
from din_jax.inference.codes import code_count, join_codes, take_codes
from din_jax.inference.engine import Engine
from din_jax.inference.masks import split_by_level
from din_jax.inference.mixing import mix_codes
from din_jax.layers.codes import LayerCode, StyleCode, channel_code
from din_jax.layers.mixtures import Regions, each_mask
from din_jax.layers.normalizers import Moments
from din_jax.layers.sources import ComputedSource
from din_jax.ops.statistics import EPSILON
from din_jax.ops.whitening import covariance_root
from din_jax.weights.models import LoadedModel

Strengths = Mapping[str, float]
Options = Mapping[str, Any]  # of the engine's methods
Visible = np.ndarray | None  # [H, W] in 0..1; None: everything


def paint_mix(
    engine: Engine,
    contents: Sequence[np.ndarray],
    visible: Sequence[Visible],
    codes: Sequence[StyleCode],
    shares: Sequence[float],
    strengths: Strengths,
    options: Options,
) -> list[np.ndarray]:
    """Styles everywhere, each by its share: one code per content.

    Args:
      engine: of the model.
      contents: uint8 [H, W, 3] each.
      visible: of each content, what of it is.
      codes: of each style, for one content or for all of them.
      shares: of each style, their sum 1.
      strengths: by level, 0..1.
      options: `tile` and `seamless`.
    """
    if engine.styles:
        code = mix_codes(codes, {level: shares for level in strengths})
        return _faded(contents, _whole(engine, contents, visible, code, options), strengths)
    weights = {level: [strength * x for x in shares] for level, strength in strengths.items()}
    if min(strengths.values()) < 1:
        codes = [*codes, own_code(engine, contents, visible, take_codes(codes[0], [0]), options)]
        weights = {level: [*given, 1 - strengths[level]] for level, given in weights.items()}
    return _whole(engine, contents, visible, mix_codes(codes, weights), options)


def paint_regions(
    engine: Engine,
    content: np.ndarray,
    visible: Visible,
    codes: Sequence[StyleCode],
    shares: np.ndarray,
    strengths: Strengths,
    options: Options,
) -> np.ndarray:
    """Styles in their regions, each normalized by the statistics of the content in it.

    What no style holds is the content's own, by the statistics of all of it, as at strength 0.

    Args:
      content: uint8 [H, W, 3].
      visible: what of it is.
      codes: of each style.
      shares: [S, H, W] of `fit_masks`.
      engine, strengths, options: as above.
    """
    if engine.styles:
        held = shares.sum(0)
        shares = np.concatenate([shares[:-1], shares[-1:] + (1 - held)])
        regions = split_by_level(shares, dict.fromkeys(strengths, 1.0))
        painted = _painted(engine, content, visible, *regions, codes, None, options)
        return _faded([content], [painted], strengths, held)[0]
    numbers, masks = split_by_level(shares, strengths)
    own = None
    if None in numbers:
        own = own_code(engine, [content], [visible], codes[0], options)
    return _painted(engine, content, visible, numbers, masks, codes, own, options)


def own_code(
    engine: Engine,
    contents: Sequence[np.ndarray],
    visible: Sequence[Visible],
    code: StyleCode,
    options: Options,
) -> StyleCode:
    """Contents in their own style.

    Where codes are statistics of the content encoder's maps (AdaIN, WCT) those of the maps to be
    painted, so that (1 - a) own + a style is (1 - a) f(c) + a T(f(c)), their authors' formula.

    Args:
      code: any, for one style.
      engine, contents, visible, options: as above.
    """
    require_encoder(engine.loaded, "draw a content in its own style (a strength below 1)")
    sources = engine.loaded.model.codes.values()
    if not all(isinstance(source, ComputedSource) for source in sources):
        return engine.encode_style(contents)
    found = [
        _statistics(engine, *pair, code, options) for pair in zip(contents, visible, strict=True)
    ]
    return join_codes(
        [{level: _statistics_as_code(x) for level, x in levels.items()} for levels in found]
    )


def _statistics_as_code(moments: Moments) -> LayerCode:
    """The code that gives a map normalized by `moments` its own statistics back.

    Behind instance norm AdaIN's of the map itself, behind whitening WCT's.
    """
    if moments.covariance is not None:
        return LayerCode(covariance_root(moments.covariance)[:, None, None], moments.mean)
    return channel_code(np.sqrt(moments.variance + EPSILON), moments.mean)


def require_encoder(loaded: LoadedModel, what: str) -> None:
    """Raises UserError unless the model can encode styles."""
    if not loaded.has_encoder:
        raise UserError(
            f"this model was loaded without its style encoder, which it takes to {what}: load it "
            "with encoder=True."
        )


def _whole(engine, contents, visible, code: StyleCode, options: Options) -> list[np.ndarray]:
    """One style everywhere; contents of which a part is hidden one by one."""
    painted: list[np.ndarray] = [None] * len(contents)
    opaque = [i for i, part in enumerate(visible) if part is None]
    if opaque:
        results = engine.stylize([contents[i] for i in opaque], _take(code, opaque), **options)
        for i, result in zip(opaque, results, strict=True):
            painted[i] = result
    for i, part in enumerate(visible):
        if part is not None:
            one = _take(code, [i])
            statistics = [_statistics(engine, contents[i], part, one, options)]
            (painted[i],) = engine.stylize([contents[i]], one, statistics=statistics, **options)
    return painted


def _take(code: StyleCode, indices: Sequence[int]) -> StyleCode:
    """Codes of some contents; one for all stays one."""
    return code if code_count(code) == 1 else take_codes(code, indices)


def _statistics(engine, content, visible: Visible, code, options: Options):
    """By level, of what is visible of a content."""
    if visible is None:
        return engine.statistics([content], code, **options)[0]
    parts = Regions((code, code), np.stack([visible, 1 - visible])[:, None])
    (found,) = engine.statistics([content], parts, **options)
    return {level: moments[0] for level, moments in found.items()}


def _painted(
    engine, content, visible, numbers, masks, codes, own, options: Options
) -> np.ndarray:
    """Regions of `split_by_level`."""
    mixed = tuple(own if number is None else codes[number] for number in numbers)
    if len(mixed) == 1:  # whose mask is 1 everywhere
        return _whole(engine, [content], [visible], mixed[0], options)[0]
    mixture = Regions(mixed, each_mask(lambda part: part[:, None], masks))
    if own is None and visible is None:
        return engine.stylize([content], mixture, **options)[0]
    seen = mixture
    if visible is not None:  # what is hidden is a region that none is normalized by
        hidden = 1 - visible[None]
        parts = each_mask(lambda part: np.concatenate([part * visible, hidden])[:, None], masks)
        seen = Regions((*mixed, mixed[0]), parts)
    (statistics,) = engine.statistics([content], seen, **options)
    whole = {} if own is None else _statistics(engine, content, visible, own, options)
    statistics = {
        level: tuple(
            whole[level] if number is None else found[i] for i, number in enumerate(numbers)
        )
        for level, found in statistics.items()
    }
    return engine.stylize([content], mixture, statistics=[statistics], **options)[0]


def _faded(
    contents: Sequence[np.ndarray],
    painted: Sequence[np.ndarray],
    strengths: Strengths,
    held: np.ndarray | float = 1.0,
) -> list[np.ndarray]:
    """Painted pictures mixed with their contents: what strength is for a table of styles."""
    share = np.float32(min(strengths.values())) * np.asarray(held, np.float32)
    if np.all(share == 1):
        return list(painted)
    share = share[..., None]
    return [
        np.rint(share * b + (1 - share) * a).astype(np.uint8)
        for a, b in zip(contents, painted, strict=True)
    ]
