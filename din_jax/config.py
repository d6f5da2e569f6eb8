"""Every setting of a run: frozen dataclasses, each field with its unit and what it may be.

`configs/*.py` hold only what differs from these defaults; the command line overrides any field
(`--config.optim.learning_rate=3e-4`). `Config.from_dict` is the only way from untyped values to a
`Config`, so that a bad value stops before anything is loaded. A new setting is one line: `setting`
takes its default and its rule (`din_jax/fields.py`). The upper bounds are far above any use; they
keep a slip, or a file from outside, from taking memory or time without end.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from din_jax import fields
from din_jax.config_rules import SMALLEST_CROP, check_together
from din_jax.fields import setting
from din_jax.methods import METHODS, NORMALIZERS, STYLE_ENCODERS, TRANSFORMS
from din_jax.vgg_layout import LAYERS, STYLE_LAYERS

NORMS = ("instance", "batch", "none")
PRODUCTS = ("float32", "bfloat16")  # what the factors of matrix products are rounded to
_LEAST = min(SMALLEST_CROP.values())
# Settings of older runs and model files that say nothing any more.
_RETIRED = {"train": ("params",)}


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where images come from and how they are cropped."""

    # "synthetic", "tfds:NAME[:SPLIT]" or a folder, searched recursively
    content: str = setting("synthetic")
    style: str = setting("synthetic")  # likewise
    content_validation: str = setting("")  # likewise; "" holds `validation` images out of `content`
    style_validation: str = setting("")  # likewise, for `style`
    validation: int = setting(16, least=1, most=10**6)  # images held out per side without the above
    resize: int = setting(512, least=_LEAST, most=4096)  # pixels, short side before the crop
    # pixels, side of content's square
    crop: int = setting(256, least=_LEAST, most=4096, multiple_of=8)
    style_crop: int = setting(0, least=0, most=4096, multiple_of=8)  # of style's; 0 takes `crop`
    flip: bool = setting(True)  # mirror left to right at random
    # short side drawn log-uniformly from [resize / zoom, resize]
    zoom: float = setting(1.0, least=1, most=64)
    style_jitter: float = setting(0.0, least=0, most=1)  # strength of color jitter on style crops
    # share of pairs, drawn at random, whose style is the content itself, to be painted as it is
    identity: float = setting(0.0, least=0, most=1)
    # share of contents, drawn at random, in whose place a color or soft gradient is drawn
    flat: float = setting(0.0, least=0, most=1)
    threads: int = setting(8, least=1, most=256)  # decoding threads per process
    workers: int = setting(0, least=0, most=256)  # decoding processes; 0 decodes in threads alone
    prefetch: int = setting(16, least=1, most=1024)  # batches kept ready
    # all pictures decoded once and kept in memory; crops are cut on the device
    resident: bool = setting(False)
    # crops per picture whose VGG targets are computed once; 0: fresh crops; needs `resident`
    kept_crops: int = setting(0, least=0, most=10_000)
    kept_folder: str = setting("")  # where kept targets are written; "" is the user's cache


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The content network, the styled layers and where their kernels come from."""

    # Johnson's is "mobilenet" with separable=False
    network: str = setting("mobilenet", choices=("mobilenet", "vgg19"))
    # channels at full, half and quarter size
    widths: tuple[int, ...] = setting((32, 64, 128), least=1, most=1024, length=(3, 3))
    kernel: int = setting(9, least=1, most=31, odd=True)  # side of the first convolution
    residuals: int = setting(2, least=0, most=64)  # blocks in the encoder, and again in the decoder
    separable: bool = setting(True)  # depthwise + pointwise; False: standard convolutions
    encoder_norm: str = setting("instance", choices=NORMS)  # after each convolution
    decoder_norm: str = setting("instance", choices=NORMS)  # likewise; the output has none
    levels: int = setting(3, least=1, most=3)  # styled: 3 = hierarchical, 1 = the deepest alone
    # weight and bias nets, own statistics, own covariance, nets that read it, a table of styles
    code: str = setting("din", choices=tuple(METHODS))
    # "mobilenet" needs no VGG; "content" is for "adain", "wct" and "linear", "none" for "cin";
    # "unshared", for "adain": a second content encoder with weights of its own
    style_encoder: str = setting("vgg19", choices=STYLE_ENCODERS)
    # for "cin": names of the style pictures, a row of the table each
    styles: tuple[str, ...] = setting((), length=(0, 65_536))
    normalizer: str = setting("instance", choices=NORMALIZERS)  # of the styled layers
    linear_rank: int = setting(32, least=1, most=1024)  # of "linear": channels that its nets read
    # what the nets read: a map of VGG's, or its statistics
    style_feature: str = setting("relu4_1", choices=("relu4_1", "statistics"))
    # of the dynamic convolution
    transform: str = setting("standard", choices=TRANSFORMS)
    dynamic_kernel: int = setting(1, least=1, most=15, odd=True)  # side of the dynamic kernel
    dynamic_groups: int = setting(1, least=0, most=1024)  # 0: one per channel (depthwise)
    dynamic_dilation: int = setting(1, least=1, most=64)  # pixels between its taps
    spatial_grid: int = setting(16, least=1, most=256)  # side of the maps of a "spatial" code
    # of a "deformable" transform: channels that share offsets
    offset_groups: int = setting(1, least=1, most=1024)
    modulated: bool = setting(False)  # "deformable": a factor per sampled point beside its offset
    net_hidden: int = setting(64, least=1, most=1024)  # hidden channels of a weight or bias net
    # times that nets see what their code paints and add what is missing (`models.feedback`); of
    # style_feature="statistics"
    net_feedback: int = setting(0, least=0, most=16)
    net_pool: int = setting(4, least=1, most=64)  # side of the adaptive average pool before a net
    net_kernel: int = setting(3, least=1, most=15)  # side of a net's convolutions
    net_scale: float = setting(1 / 64, above=0, most=1e3)  # g: W = I + g * net(style), b = g * net


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Perceptual losses and their weights. Total = sum of weight * loss."""

    # "random": seeded random features, no download
    network: str = setting("vgg19", choices=("vgg19", "random"))
    weights: str = setting("")  # path of the VGG-19 file; "" searches, then downloads
    content_layers: tuple[str, ...] = setting(("relu4_1",), choices=LAYERS)
    style_layers: tuple[str, ...] = setting(STYLE_LAYERS, choices=LAYERS)
    content_weight: float = setting(1.0, least=0)
    # on the mean over style layers (AdaIN sums: its 10 is 40 here)
    style_weight: float = setting(10.0, least=0)
    gram_weight: float = setting(0.0, least=0)
    # on the MobileNet's regression of VGG's style statistics; 0: it learns nothing in this run, and
    # the nets read VGG's
    descriptor_weight: float = setting(1.0, least=0)
    variation_weight: float = setting(0.0, least=0)
    # on the pattern that is locked to the cells of the network's deepest map
    checkerboard_weight: float = setting(0.0, least=0)
    # on how near a picture is to its own style beside the others of its batch
    contrast_weight: float = setting(0.0, least=0)
    # on how alike a picture and its content change from point to point
    coherence_weight: float = setting(0.0, least=0)
    # factors by which pictures are also compared shrunk, the losses a mean over the sizes: at half
    # size strokes twice as wide are seen
    shrink: tuple[int, ...] = setting((), least=2, most=16, length=(0, 4), once=True)


OPTIMIZERS = ("adam", "muon")


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """Adam, in two groups: nets, or tables of styles, learn `dynamic_multiplier` times faster."""

    learning_rate: float = setting(1e-4, above=0)  # of encoder and decoder
    # learning rate of weight and bias nets, or of the tables in their place, over the above
    dynamic_multiplier: float = setting(10.0, least=0)
    # "muon": encoder's and decoder's matrices by Muon, their other parameters by Adam
    method: str = setting("adam", choices=OPTIMIZERS)
    # likewise of the nets, or of the tables in their place, which are no matrices
    dynamic_method: str = setting("adam", choices=OPTIMIZERS)
    b1: float = setting(0.9, least=0, below=1)
    b2: float = setting(0.999, least=0, below=1)
    warmup: int = setting(100, least=0, most=10**9)  # steps from zero to the learning rate
    # "cosine": to a hundredth at the last step
    decay: str = setting("constant", choices=("constant", "cosine"))
    clip: float = setting(0.0, least=0)  # largest global gradient norm; 0 = no clipping
    # a step whose global gradient norm, before the clip, is above it changes nothing; 0 = none
    skip_above: float = setting(0.0, least=0)
    # decay per step of the averaged parameters that are saved; 0 = none
    average: float = setting(0.0, least=0, below=1)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The loop: how long, on what, and how often it reports."""

    steps: int = setting(160_000, least=1, most=10**9)
    # stop after so many, setting up included, saved, to be resumed by the same command; 0: when
    # the steps are done
    minutes: float = setting(0.0, least=0)
    batch: int = setting(8, least=1, most=65_536)  # pairs per step over all devices
    # parts that a batch is taken in, one after the other, to need less memory
    accumulate: int = setting(1, least=1, most=65_536)
    # activations are computed again on the way back, not kept, to need less memory
    recompute: bool = setting(False)
    # how often a run whose loss is no number goes back to its last checkpoint before it ends
    rollbacks: int = setting(0, least=0, most=1000)
    # first steps in which the nets read VGG's statistics, not the MobileNet's
    teacher_steps: int = setting(0, least=0, most=10**9)
    # model file or run directory whose parameters to start from; its residual blocks may be fewer,
    # those added begin by adding nothing
    initialize: str = setting("")
    # for "cin": the styles whose rows of the table are trained, all else standing; () trains all
    only_styles: tuple[str, ...] = setting((), length=(0, 65_536))
    # parameters and statistics stay float32
    compute_dtype: str = setting("float32", choices=("float32", "bfloat16"))
    # "bfloat16": factors of products rounded to it, sums in float32
    products: str = setting("float32", choices=PRODUCTS)
    # steps that run on the device without a word from the host
    steps_per_call: int = setting(1, least=1, most=10**6)
    # devices that share the parameters named by `shard`, each holding a part; 1: whole on each
    fsdp: int = setting(1, least=1, most=65_536)
    # regular expressions over paths of parameters; () takes those of 65,536 numbers or more
    shard: tuple[str, ...] = setting((), length=(0, 64), pattern=True)
    log_every: int = setting(50, least=1, most=10**9)  # steps
    grid_every: int = setting(1000, least=1, most=10**9)  # steps between picture grids
    validate_every: int = setting(1000, least=1, most=10**9)  # steps
    checkpoint_every: int = setting(1000, least=1, most=10**9)  # steps
    keep_last: int = setting(2, least=1, most=10**6)  # checkpoints
    keep_best: int = setting(1, least=0, most=10**6)  # checkpoints, by validation loss


@dataclasses.dataclass(frozen=True)
class Config:
    """One run."""

    name: str = setting("din")
    seed: int = setting(0, least=0, most=2**32 - 1)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self):
        fields.check(self, "config")
        check_together(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Builds a config from nested mappings (a ConfigDict, JSON); unknown fields are refused."""
        for group, names in _RETIRED.items():
            if isinstance(values, Mapping) and isinstance(values.get(group), Mapping):
                kept = {k: v for k, v in values[group].items() if k not in names}
                values = {**values, group: kept}
        return fields.build(cls, values, "config")

    def to_config_dict(self):
        """The same as an `ml_collections.ConfigDict`, which the command line overrides."""
        from ml_collections import ConfigDict

        return ConfigDict(dataclasses.asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dicts, lists for tuples: what JSON holds."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def style_crop(self) -> int:
        return self.data.style_crop or self.data.crop

    @property
    def trained_styles(self) -> tuple[str, ...]:
        """Names of the known styles that a run's batches are of; () if it knows none."""
        return self.train.only_styles or self.model.styles

    @property
    def needs_vgg19(self) -> bool:
        """Whether the run cannot start without a VGG-19 file."""
        return (
            self.loss.network == "vgg19"
            or self.model.network == "vgg19"
            or self.model.style_encoder == "vgg19"
        )
