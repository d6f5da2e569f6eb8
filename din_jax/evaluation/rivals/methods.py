"""The rivals by name: what each needs, what settings it takes, and how it paints a pair."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jax import Array

from din_jax.evaluation.rivals import adain, avatar, gatys, swap, wct
from din_jax.evaluation.rivals.networks import Networks
from din_jax.inference.batching import CompiledCache

# (networks, content [1, H, W, 3], style [1, H', W', 3]) -> [1, H, W, 3], RGB in [0, 1].
Paint = Callable[[Networks, Array, Array], Array]
SIZES = 8  # pairs of sizes whose programs are kept


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of a command line, of all rivals together."""

    steps: int = 60  # of L-BFGS
    style_weight: float = gatys.Settings().style_weight
    noise: bool = False  # optimization starts from noise, not from the content
    strength: float = 1.0  # of the style, 0 to 1


@dataclasses.dataclass(frozen=True)
class Method:
    """A rival.

    Attributes:
      about: paper and kind, in words.
      decoders: layers whose decoders it needs.
      options: those fields of `Options` that it takes.
      make: options to what paints.
    """

    about: str
    decoders: tuple[str, ...]
    options: tuple[str, ...]
    make: Callable[[Options], Paint]

    def settings(self, options: Options) -> dict[str, Any]:
        """What the options decide of its pictures."""
        return {name: getattr(options, name) for name in self.options}

    @property
    def multiple(self) -> int:
        """Pixels that sides are multiples of: 8, or what a deeper decoder enlarges by."""
        return max([8, *(2 ** (int(layer[4]) - 1) for layer in self.decoders)])


def _compiled(paint: Callable[..., Array], **settings: Any) -> Paint:
    return CompiledCache(lambda *pair: paint(*pair, **settings), SIZES)


METHODS: Mapping[str, Method] = {
    "gatys": Method(
        "Gatys et al. 2016: pixels by L-BFGS, Gram losses",
        (),
        ("steps", "style_weight", "noise"),
        lambda o: gatys.Gatys(gatys.Settings(o.steps, style_weight=o.style_weight, noise=o.noise)),
    ),
    "swap": Method(
        "Chen & Schmidt 2016: style swap at relu3_1, and a decoder",
        (swap.LAYER,),
        (),
        lambda o: _compiled(swap.paint),
    ),
    "swap-optimized": Method(
        "Chen & Schmidt 2016: the same, pixels by L-BFGS",
        (),
        ("steps",),
        lambda o: swap.Optimized(swap.Settings(o.steps)),
    ),
    "adain": Method(
        "Huang & Belongie 2017: AdaIN at relu4_1, and its decoder",
        (adain.LAYER,),
        ("strength",),
        lambda o: _compiled(adain.paint, strength=o.strength),
    ),
    "wct": Method(
        "Li et al. 2017: whitening and coloring from relu4_1 to relu1_1",
        wct.LAYERS,
        ("strength",),
        lambda o: _compiled(wct.paint, strength=o.strength),
    ),
    "wct5": Method(
        "the same from relu5_1 on, as in the paper; needs a VGG-19 that goes so deep",
        wct.FIVE,
        ("strength",),
        lambda o: _compiled(wct.paint, strength=o.strength, layers=wct.FIVE),
    ),
    "avatar": Method(
        "Sheng et al. 2018: the style decorator at relu4_1, by AdaIN's decoder",
        (avatar.LAYER,),
        ("strength",),
        lambda o: _compiled(avatar.paint, strength=o.strength),
    ),
}
