"""Style codes, and mixtures of them, of several pictures: checked, counted, chosen, joined."""

from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.config import ModelConfig
from din_jax.errors import UserError
from din_jax.layers.codes import StyleCode
from din_jax.layers.mixtures import Blend, Mixture, Regions, each_mask
from din_jax.models.network import StylizationNetwork
from din_jax.models.style_encoders import FEATURE_CHANNELS


def take_codes(code: Mixture, indices: Sequence[int] | np.ndarray) -> Mixture:
    """The codes of some pictures, in the order asked for; an index may repeat.

    What a mixture has once for all pictures (a code, a mask, weights) serves each of them.
    """
    chosen = np.asarray(indices)

    def pick(x, axis: int = 0):
        count = x.shape[axis]
        own = chosen if count > 1 else 0 * chosen
        if np.array_equal(own, np.arange(count)):
            return x  # an array of JAX is indexed in a millisecond, and a code has many
        return x[(slice(None),) * axis + (own,)]

    if isinstance(code, Blend):
        weights = code.weights if code.weights.ndim == 1 else pick(code.weights, 1)
        return Blend(tuple(take_codes(each, chosen) for each in code.codes), weights)
    if isinstance(code, Regions):
        codes = tuple(take_codes(each, chosen) for each in code.codes)
        return Regions(codes, each_mask(lambda masks: pick(masks, 1), code.masks))
    return jax.tree.map(pick, code)


def join_codes(codes: Sequence[StyleCode]) -> StyleCode:
    """Several codes as one, in order."""
    if len(codes) == 1:
        return codes[0]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *codes)


def region_count(mixture: Mixture) -> int:
    """How many regions by masks a mixture has; 1 is the whole picture."""
    return len(mixture.codes) if isinstance(mixture, Regions) else 1


def code_count(code: Mixture) -> int:
    """How many pictures a code or mixture is for; 1 is for any number of the same."""
    return max(_counts(code))


def checked_mixture(code: Mixture, levels: Sequence[str], pictures: int) -> Mixture:
    """The mixture with arrays for weights and masks and tuples for codes.

    Args:
      code: of as many pictures as there are, or of one for all, in every part of it.
      levels: those of the model.
      pictures: how many there are.

    Raises:
      UserError: another number of pictures, levels, weights or masks; masks that leave a pixel to
        no style, are negative or are not finite.
    """
    mixture = _checked(code, levels)
    if wrong := [n for n in _counts(mixture) if n not in (1, pictures)]:
        raise UserError(
            f"{pictures} contents need as many style codes, or one for all, not {wrong[0]}."
        )
    return mixture


def _counts(code: Mixture) -> Iterator[int]:
    if isinstance(code, (Blend, Regions)):
        for each in code.codes:
            yield from _counts(each)
        if isinstance(code, Regions):
            yield from jax.tree.leaves(each_mask(lambda masks: np.shape(masks)[1], code.masks))
        elif np.ndim(code.weights) == 2:
            yield np.shape(code.weights)[1]
    else:
        yield next(iter(code.values())).bias.shape[0]


def _checked(code: Mixture, levels: Sequence[str]) -> Mixture:
    if isinstance(code, (Blend, Regions)):
        codes = tuple(_checked(each, levels) for each in code.codes)
        if any(isinstance(each, Regions) for each in codes):
            raise UserError("masks hold styles or blends of them, not masks again: multiply masks.")
        if isinstance(code, Blend):
            return Blend(codes, _weights(code.weights, len(codes)))
        if isinstance(code.masks, Mapping) and set(code.masks) != set(levels):
            raise UserError(
                f"masks by level are of {', '.join(levels)}, not of {', '.join(code.masks)}."
            )
        return Regions(codes, each_mask(lambda masks: _masks(masks, len(codes)), code.masks))
    if not isinstance(code, dict) or set(code) != set(levels):
        found = ", ".join(map(str, code)) if isinstance(code, dict) else type(code).__name__
        raise UserError(
            f"a style code of this model has the levels {', '.join(levels)}, not {found}: encode "
            "the style with this model."
        )
    return code


def _weights(weights, count: int) -> np.ndarray:
    array = np.asarray(weights, np.float32)
    if array.ndim not in (1, 2) or len(array) != count or not np.isfinite(array).all():
        raise UserError(
            f"{count} styles need {count} finite weights, or one row of them per style, not "
            f"{list(array.shape)}."
        )
    return array


def _masks(masks, count: int) -> np.ndarray:
    array = np.asarray(masks, np.float32)
    if array.ndim != 4 or len(array) != count or 0 in array.shape:
        raise UserError(
            f"{count} styles need masks [{count}, pictures, H, W], not {list(array.shape)}."
        )
    if not np.isfinite(array).all() or array.min() < 0:
        raise UserError("masks must be finite and not negative: 0 is outside, 1 inside.")
    if array.sum(0).min() <= 0:
        raise UserError(
            "some pixel lies in no mask: give a further style with a mask for the rest."
        )
    return array


def code_shapes(network: StylizationNetwork) -> dict[str, tuple[int, ...]]:
    """Shapes of one style's code by level and field, `code.LEVEL.kernel`, as a bank names them."""
    config, shapes = network.config, {}
    for level in network.levels:
        channels = FEATURE_CHANNELS["relu4_1"]
        if config.network != "vgg19":
            channels = config.widths[int(level[-1]) - 1]
        kernel, bias = _shapes(config, channels)
        shapes |= {f"code.{level}.kernel": kernel, f"code.{level}.bias": bias}
    return shapes


def _shapes(config: ModelConfig, channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if config.transform == "spatial":
        grid = (config.spatial_grid, config.spatial_grid, channels)
        return grid, grid
    side, per_group = 1, channels if config.code in ("wct", "linear") else 1
    if config.code == "din":
        side, per_group = config.dynamic_kernel, channels // (config.dynamic_groups or channels)
    return (side, side, per_group, channels), (channels,)
