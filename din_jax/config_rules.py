"""What fields of a config ask of each other; what each alone may be stands in `config.py`."""

from din_jax.errors import UserError
from din_jax.methods import check_method
from din_jax.vgg_layout import LAYERS, STYLE_LAYERS, smallest_side

# Pixels, the least side of a picture that every network takes, ...
SMALLEST_SIDE = 32
# ... and of a training crop by network: VGG's relu4_1 is 2x2 there, so that it has statistics.
SMALLEST_CROP = {"mobilenet": SMALLEST_SIDE, "vgg19": 16}


def _require(condition: bool, message: str):
    if not condition:
        raise UserError(message)


def check_together(c):
    """Holds a `Config` to what its fields ask of each other, the method's own rules among it.

    Raises:
      UserError: names the field and what it should be.
    """
    m = c.model
    deepest = 1 if m.network == "vgg19" else 3
    _require(
        m.levels <= deepest,
        f"config.model.levels must be 1 to {deepest} for {m.network}, not {m.levels}.",
    )
    _check_groups(m)
    check_method(m)
    smallest = SMALLEST_CROP[m.network]
    compared = {
        "crop": (c.data.crop, (*c.loss.content_layers, *c.loss.style_layers)),
        "style_crop": (c.style_crop, c.loss.style_layers),
    }
    for name, (side, layers) in compared.items():
        _require(
            side >= smallest,
            f"config.data.{name} must be at least {smallest} for {m.network}, not {side}.",
        )
        layer = max(layers, key=LAYERS.index)
        needed = max(SMALLEST_CROP["vgg19"], smallest_side(layer))
        _require(
            side >= needed,
            f"config.data.{name} must be at least {needed} for VGG-19 to {layer}, not {side}.",
        )
        for factor in c.loss.shrink:
            _require(
                side // factor >= needed,
                f"config.loss.shrink={factor} leaves {side // factor} px of config.data.{name}="
                f"{side}, but VGG-19 to {layer} needs {needed}.",
            )
    least = 24  # relu4_1 is 3x3: a point and all its neighbors
    _require(
        not c.loss.coherence_weight or c.data.crop >= least,
        f"config.loss.coherence_weight compares neighbors on relu4_1: set config.data.crop to "
        f"{least} or more, not {c.data.crop}.",
    )
    teaches = m.net_feedback and m.style_encoder == "mobilenet"
    _require(
        not teaches or (c.loss.descriptor_weight and set(STYLE_LAYERS) <= set(c.loss.style_layers)),
        "config.model.net_feedback reads pictures by a style encoder that learns from what the "
        "style loss sees: leave config.loss.descriptor_weight above 0 and all of "
        f"{', '.join(STYLE_LAYERS)} in config.loss.style_layers.",
    )
    alone = c.train.batch // c.train.accumulate < 2
    _require(
        not (c.loss.contrast_weight and alone),
        "config.loss.contrast_weight compares the pairs of a batch: set config.train.batch to "
        f"{2 * c.train.accumulate} or more, not {c.train.batch}.",
    )
    _require(
        c.data.resident or not c.data.kept_crops,
        f"config.data.kept_crops={c.data.kept_crops} keeps crops in memory: set "
        "config.data.resident to True, or kept_crops to 0.",
    )
    _require(
        not c.data.flat or not c.data.kept_crops,
        f"config.data.flat={c.data.flat} draws contents anew, whose targets nobody has kept: set "
        "config.data.kept_crops to 0.",
    )
    _require(
        not c.data.identity or (c.style_crop == c.data.crop and not m.styles),
        f"config.data.identity={c.data.identity} makes contents their own styles: set style_crop "
        "to 0, and take a model without a table of styles.",
    )
    only = c.train.only_styles
    _require(
        len(set(only)) == len(only) and set(only) <= set(m.styles),
        f"config.train.only_styles must be styles of config.model.styles, each once, not "
        f"{', '.join(only)[:200]}.",
    )
    _require(
        c.train.batch % c.train.accumulate == 0,
        f"config.train.accumulate ({c.train.accumulate}) must divide the batch ({c.train.batch}).",
    )
    _require(
        c.data.resize >= c.data.crop,
        f"config.data.resize ({c.data.resize}) must be at least crop ({c.data.crop}).",
    )


def _check_groups(m):
    """Groups that divide the channels of every styled level."""
    channels = (512,) if m.network == "vgg19" else m.widths[3 - m.levels :]
    for name in ("dynamic_groups", "offset_groups"):
        groups = getattr(m, name)
        _require(
            all(c % max(groups, 1) == 0 for c in channels),
            f"config.model.{name} must divide the channels of every styled level, "
            f"{', '.join(map(str, channels))}, not {groups}.",
        )
