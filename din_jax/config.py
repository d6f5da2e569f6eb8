"""Every setting of a run: frozen dataclasses, each field with its unit, and their checks.

`configs/*.py` hold only what differs from these defaults; the command line overrides any field
(`--config.optim.learning_rate=3e-4`). `Config.from_dict` is the only way from untyped values to a
`Config`, so that a bad value stops before anything is loaded.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from din_jax.errors import UserError
from din_jax.methods import METHODS, NORMALIZERS, STYLE_ENCODERS, TRANSFORMS, check_method

NORMS = ("instance", "batch", "none")
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where images come from and how they are cropped."""

    content: str = "synthetic"  # "synthetic", "tfds:NAME[:SPLIT]" or a folder, searched recursively
    style: str = "synthetic"  # likewise
    content_validation: str = ""  # likewise; "" holds `validation` images out of `content`
    style_validation: str = ""  # likewise, for `style`
    validation: int = 16  # images held out per side where no *_validation is given
    resize: int = 512  # pixels, short side before the crop
    crop: int = 256  # pixels, side of the square random crop of the content
    style_crop: int = 0  # pixels, side of the style crop; 0 takes `crop`
    flip: bool = True  # mirror left to right at random
    zoom: float = 1.0  # >= 1; short side drawn log-uniformly from [resize / zoom, resize]
    style_jitter: float = 0.0  # 0..1, strength of color jitter on style crops
    threads: int = 8  # decoding threads per process
    workers: int = 0  # decoding processes; 0 decodes in threads alone
    prefetch: int = 16  # batches kept ready


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The content network, the styled layers and where their kernels come from."""

    network: str = "mobilenet"  # "mobilenet" (separable=False: Johnson's) or "vgg19"
    widths: tuple[int, ...] = (32, 64, 128)  # channels at full, half and quarter size
    kernel: int = 9  # side of the first convolution
    residuals: int = 2  # residual blocks in the encoder, and again in the decoder
    separable: bool = True  # depthwise + pointwise; False: standard convolutions
    encoder_norm: str = "instance"  # "instance", "batch" or "none", after each convolution
    decoder_norm: str = "instance"  # likewise; the output convolution has none
    levels: int = 3  # styled levels: 3 = hierarchical, 1 = the deepest alone
    code: str = "din"  # "din": nets, "adain": statistics, "wct": covariance, "cin": table of styles
    style_encoder: str = "vgg19"  # "vgg19", "mobilenet" (needs no VGG), "content" (for "adain",
    # "wct"), "none" (for "cin")
    styles: tuple[str, ...] = ()  # for "cin": names of the style pictures, a row of the table each
    normalizer: str = "instance"  # of styled layers: "whitening", "centering", "batch", "none" too
    style_feature: str = "relu4_1"  # what the nets read: VGG's "relu4_1" map or "statistics"
    transform: str = "standard"  # dynamic convolution: "standard", "deformable", "spatial"
    dynamic_kernel: int = 1  # side of the dynamic kernel, odd
    dynamic_groups: int = 1  # of the dynamic convolution; 0: one per channel (depthwise)
    dynamic_dilation: int = 1  # pixels between the taps of the dynamic kernel
    spatial_grid: int = 16  # side of the maps of a "spatial" code
    offset_groups: int = 1  # of a "deformable" transform: channels that share offsets
    modulated: bool = False  # "deformable": a factor per sampled point beside its offset
    net_hidden: int = 64  # hidden channels of a weight or bias net
    net_pool: int = 4  # side of the adaptive average pool before a net
    net_kernel: int = 3  # side of a net's convolutions
    net_scale: float = 1 / 64  # g in W = I + g * net(style), b = g * net(style)


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Perceptual losses and their weights. Total = sum of weight * loss."""

    network: str = "vgg19"  # "vgg19" or "random" (seeded random features, no download)
    weights: str = ""  # path of the VGG-19 file; "" searches, then downloads
    content_layers: tuple[str, ...] = ("relu4_1",)
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_weight: float = 1.0
    style_weight: float = 10.0  # on the mean over style layers (AdaIN sums: its 10 is 40 here)
    gram_weight: float = 0.0
    descriptor_weight: float = 1.0  # on the MobileNet's regression of VGG's style statistics
    variation_weight: float = 0.0


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """Adam, in two groups: the weight and bias nets learn `dynamic_multiplier` times faster."""

    learning_rate: float = 1e-4  # of encoder and decoder
    dynamic_multiplier: float = 10.0  # learning rate of weight and bias nets over the above
    b1: float = 0.9
    b2: float = 0.999
    warmup: int = 100  # steps from zero to the learning rate
    decay: str = "constant"  # "constant" or "cosine" (to a hundredth at the last step)
    clip: float = 0.0  # largest global gradient norm; 0 = no clipping


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The loop: how long, on what, and how often it reports."""

    steps: int = 160_000
    batch: int = 8  # pairs per step over all devices
    teacher_steps: int = (
        0  # first steps in which the nets read VGG's statistics, not the MobileNet's
    )
    initialize: str = ""  # model file or run directory whose parameters to start from
    compute_dtype: str = "float32"  # or "bfloat16"; parameters and statistics stay float32
    params: str = "replicated"  # or "sharded": large parameters split over the data axis
    log_every: int = 50  # steps
    grid_every: int = 1000  # steps between picture grids
    validate_every: int = 1000  # steps
    checkpoint_every: int = 1000  # steps
    keep_last: int = 2  # checkpoints
    keep_best: int = 1  # checkpoints, by validation loss


@dataclasses.dataclass(frozen=True)
class Config:
    """One run."""

    name: str = "din"
    seed: int = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self):
        _check(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Builds a config from nested mappings (a ConfigDict, JSON); unknown fields are refused."""
        return _build(cls, values, "config")

    def to_config_dict(self):
        """The same as an `ml_collections.ConfigDict`, which the command line overrides."""
        from ml_collections import ConfigDict

        return ConfigDict(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dicts, lists for tuples: what JSON and ConfigDict hold."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def style_crop(self) -> int:
        return self.data.style_crop or self.data.crop

    @property
    def needs_vgg19(self) -> bool:
        """Whether the run cannot start without a VGG-19 file."""
        return (
            self.loss.network == "vgg19"
            or self.model.network == "vgg19"
            or self.model.style_encoder == "vgg19"
        )


def _build(cls: type, values: Mapping[str, Any], where: str):
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise UserError(
            f"{where} has no field {', '.join(unknown)}; its fields are {', '.join(hints)}."
        )
    return cls(
        **{key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    )


def _convert(hint: Any, value: Any, where: str):
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else _build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} must be a list, not {value!r}.")
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UserError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return value


def _require(condition: bool, message: str):
    if not condition:
        raise UserError(message)


def _one_of(where: str, value: str, choices: tuple[str, ...]):
    _require(value in choices, f"{where} must be one of {', '.join(choices)}, not {value!r}.")


def _check(c: Config):
    _one_of("config.model.network", c.model.network, ("mobilenet", "vgg19"))
    _one_of("config.model.encoder_norm", c.model.encoder_norm, NORMS)
    _one_of("config.model.decoder_norm", c.model.decoder_norm, NORMS)
    _one_of("config.model.code", c.model.code, tuple(METHODS))
    _one_of("config.model.style_encoder", c.model.style_encoder, STYLE_ENCODERS)
    _one_of("config.model.normalizer", c.model.normalizer, NORMALIZERS)
    _one_of("config.model.style_feature", c.model.style_feature, ("relu4_1", "statistics"))
    _one_of("config.loss.network", c.loss.network, ("vgg19", "random"))
    _one_of("config.optim.decay", c.optim.decay, ("constant", "cosine"))
    _one_of("config.train.compute_dtype", c.train.compute_dtype, ("float32", "bfloat16"))
    _one_of("config.train.params", c.train.params, ("replicated", "sharded"))
    m, d, t = c.model, c.data, c.train
    _require(m.kernel % 2 == 1, f"config.model.kernel must be odd, not {m.kernel}.")
    _require(
        len(m.widths) == 3 and all(w > 0 for w in m.widths),
        f"config.model.widths must be three positive channel counts, not {m.widths}.",
    )
    deepest = 1 if m.network == "vgg19" else 3
    _require(
        1 <= m.levels <= deepest,
        f"config.model.levels must be 1 to {deepest} for {m.network}, not {m.levels}.",
    )
    _check_transform(m)
    check_method(m)
    smallest = 32 if m.network == "mobilenet" else 16
    for name, side in (("crop", d.crop), ("style_crop", c.style_crop)):
        _require(
            side >= smallest and side % 8 == 0,
            f"config.data.{name} must be a multiple of 8 from {smallest} up, not {side}.",
        )
    _require(
        d.resize >= d.crop, f"config.data.resize ({d.resize}) must be at least crop ({d.crop})."
    )
    _require(d.zoom >= 1, f"config.data.zoom must be at least 1, not {d.zoom}.")
    _require(
        0 <= d.style_jitter <= 1,
        f"config.data.style_jitter must lie in 0..1, not {d.style_jitter}.",
    )
    _require(d.validation >= 1, f"config.data.validation must be at least 1, not {d.validation}.")
    _require(
        t.batch >= 1 and t.steps >= 1, "config.train.batch and config.train.steps must be positive."
    )
    for name in ("log_every", "grid_every", "validate_every", "checkpoint_every", "keep_last"):
        value = getattr(t, name)
        _require(value >= 1, f"config.train.{name} must be at least 1, not {value}.")
    _require(c.optim.learning_rate > 0, "config.optim.learning_rate must be positive.")
    _require(bool(c.loss.style_layers), "config.loss.style_layers must name at least one layer.")


def _check_transform(m: ModelConfig):
    """The settings of the dynamic convolution."""
    _one_of("config.model.transform", m.transform, TRANSFORMS)
    for name in ("dynamic_kernel", "dynamic_dilation", "spatial_grid", "offset_groups"):
        value = getattr(m, name)
        _require(value >= 1, f"config.model.{name} must be at least 1, not {value}.")
    _require(
        m.dynamic_kernel % 2 == 1,
        f"config.model.dynamic_kernel must be odd, not {m.dynamic_kernel}.",
    )
    channels = (512,) if m.network == "vgg19" else m.widths[3 - m.levels :]
    for name, least in (("dynamic_groups", 0), ("offset_groups", 1)):
        groups = getattr(m, name)
        _require(
            groups >= least and all(c % max(groups, 1) == 0 for c in channels),
            f"config.model.{name} must divide the channels of every styled level, "
            f"{', '.join(map(str, channels))}, not {groups}.",
        )
