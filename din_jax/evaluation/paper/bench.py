"""Methods trained equally, then measured equally: what every figure stands on.

All runs of a figure have the same data, pictures per step, steps, rates and seeds; they differ in
`config.model` alone, and in what the figure is about. A run lies in a cache under the digest of its
whole config: one that is finished is not trained again, one that was stopped goes on.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from din_jax.config import STYLE_LAYERS, Config, DataConfig, LossConfig, ModelConfig, TrainConfig
from din_jax.configs.din import FAST, PAPER
from din_jax.data.inputs import safe_stem, unique_names
from din_jax.data.outputs import digest
from din_jax.data.pairs import source_of
from din_jax.data.reader import ImageReader
from din_jax.data.saving import encode_picture
from din_jax.errors import UserError
from din_jax.evaluation.folders import find_pairs
from din_jax.evaluation.pairs import evaluate_pairs
from din_jax.evaluation.pictures import Named, square
from din_jax.evaluation.ruler import Numbers, Ruler
from din_jax.files import write_atomically
from din_jax.inference.engine import Engine
from din_jax.training.loop import Trainer
from din_jax.weights import VGGWeights, vgg19_of
from din_jax.weights.find import find_vgg19
from din_jax.weights.models import load_model
from din_jax.weights.opening import sha256_of
from din_jax.weights.runs import ModelError, choose_step

# Minutes on one core: narrow maps, 48 pixels, some steps. Nets read VGG-19's (or the random
# network's) map of the style, as the paper's do.
SHORT = Config(
    name="short",
    data=DataConfig(validation=8, resize=64, crop=48, threads=2, prefetch=4),
    model=ModelConfig(widths=(8, 16, 32), residuals=1, net_hidden=16),
    loss=LossConfig(network="random"),
    optim=FAST,
    train=TrainConfig(steps=30, batch=4, log_every=3, validate_every=15, grid_every=1000),
)
# The paper's recipe and lengths, for a GPU or TPU.
FULL = dataclasses.replace(PAPER, name="full")
# What AdaIN, WCT and the linear transformation need of the lightweight network: norms would erase
# what they read.
NO_NORMS = {"encoder_norm": "none", "decoder_norm": "none"}
METHODS: dict[str, dict[str, Any]] = {
    "DIN": {},
    "AdaIN": {"code": "adain", "style_encoder": "content", **NO_NORMS},
    "WCT": {"code": "wct", "style_encoder": "content", "normalizer": "whitening", **NO_NORMS},
    "linear": {"code": "linear", "style_encoder": "content", "normalizer": "linear", **NO_NORMS},
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """How much is spent.

    Attributes:
      base: the config of which every run is a variant.
      size: side of the pictures that are painted and measured.
      contents, styles: how many are painted.
      seeds: of runs where a figure is over several; the others take the first.
    """

    base: Config
    size: int
    contents: int
    styles: int
    seeds: tuple[int, ...] = (0, 1, 2)


SETTINGS = {
    "short": Setting(SHORT, size=128, contents=6, styles=5),
    "full": Setting(FULL, size=256, contents=40, styles=13),
}


class Bench:
    """Trains variants of one config, paints with them, and measures.

    Args:
      setting: the budget.
      cache: folder of runs and pictures, kept between calls.
      vgg: file of VGG-19, where the setting's losses are its.
      outputs: pictures of other programs, by name (of the same contents and styles), for figures
        that show methods side by side.
      pattern: what those are called.
    """

    def __init__(
        self,
        setting: Setting,
        cache: Path,
        *,
        vgg: str = "",
        outputs: Mapping[str, str] | None = None,
        pattern: str = "",
    ):
        self.setting, self.cache = setting, cache
        loss = dataclasses.replace(setting.base.loss, weights=vgg)
        self.base = dataclasses.replace(setting.base, loss=loss)
        self.outputs, self.pattern = dict(outputs or {}), pattern

    @property
    def decisive(self) -> bool:
        """Whether losses are VGG-19's, so that a verdict can be more than a leaning."""
        return self.base.loss.network == "vgg19"

    @property
    def budget(self) -> str:
        """What every run was given, in words."""
        c = self.base
        network = "VGG-19" if self.decisive else "seeded random features"
        data = {c.data.content, c.data.style}
        kind = "drawn pictures" if data == {"synthetic"} else "the given pictures"
        return (
            f"{c.train.steps:,} steps of {c.train.batch} pairs at {c.data.crop} px, maps of "
            f"{'-'.join(map(str, c.model.widths))} channels, {network}, {kind}"
        )

    def config(self, model: Mapping[str, Any] | None = None, *, seed: int = 0, **parts) -> Config:
        """The base with other fields of `model`, and whole other parts (`data=...`)."""
        settings = dataclasses.replace(self.base.model, **(model or {}))
        return dataclasses.replace(self.base, model=settings, seed=seed, name="run", **parts)

    def train(self, config: Config) -> Path:
        """The finished run of a config, trained if the cache has it not."""
        # A run is of its weights, not of where their file lies.
        loss = dataclasses.replace(config.loss, weights=self._weights)
        told = dataclasses.replace(config, loss=loss)
        run = self.cache / "runs" / digest(config=told.to_dict())[:16]
        if _step_of(run) < config.train.steps:
            print(f"training {_told(config, self.base)}", flush=True)
            Trainer(config, run).train()
            if _step_of(run) < config.train.steps:
                raise UserError(f"the run in '{run}' was stopped; the same command goes on.")
        return run

    def trained(self, models: Mapping[str, Mapping[str, Any]], seed: int = 0) -> dict[str, Path]:
        """Name to finished run, all with one seed."""
        return {name: self.train(self.config(model, seed=seed)) for name, model in models.items()}

    @functools.cached_property
    def _weights(self) -> str:
        """SHA-256 of the VGG-19's file; "" for random features."""
        return sha256_of(find_vgg19(self.base.loss.weights)) if self.decisive else ""

    @functools.cached_property
    def contents(self) -> list[Path]:
        """Held-out contents as square files."""
        return self._held_out("content", self.setting.contents)

    @functools.cached_property
    def styles(self) -> list[Path]:
        """Held-out styles, likewise."""
        return self._held_out("style", self.setting.styles)

    @functools.cached_property
    def vgg(self) -> VGGWeights:
        """The network that measures, the same for all seeds."""
        return vgg19_of(self.base, STYLE_LAYERS)

    def engine(self, run: Path, **options) -> Engine:
        """A run's engine, one picture at a time, styles at the size that is painted."""
        loaded = load_model(run, vgg=self.base.loss.weights if self.decisive else "")
        return Engine(loaded, batch=1, style_size=self.setting.size, **options)

    def paint(self, run: Path) -> list[list[Path]]:
        """The run's pictures of all held-out pairs."""
        engine = self.engine(run)
        folder = self.cache / "painted" / f"{run.name}-{self.setting.size}"
        made_by = {"model": engine.loaded.fingerprint}
        evaluate_pairs(engine, self.contents, self.styles, folder, made_by=made_by)
        return find_pairs(folder, self.contents, self.styles)

    def measure(self, grids: Mapping[str, Sequence[Sequence[Path | None]]]) -> dict[str, Numbers]:
        """Numbers of pictures by name, [contents, styles] each; see `Ruler`."""
        sides = [
            [Named(path.stem, _read(path)) for path in side]
            for side in (self.contents, self.styles)
        ]
        kept = self.cache / "measured.json"
        return Ruler(self.vgg, *sides, size=self.setting.size, kept=kept).measure(grids)

    def others(self) -> dict[str, list[list[Path | None]]]:
        """Other programs' pictures by name."""
        return {
            name: find_pairs(folder, self.contents, self.styles, self.pattern)
            for name, folder in self.outputs.items()
        }

    def training_pictures(self, kind: str, count: int, size: int) -> list[np.ndarray]:
        """The first pictures of a training part, as squares."""
        source = source_of(self.base.data, kind, "train")
        reader = ImageReader(source)
        picked = range(min(count, len(source)))
        return [square(np.asarray(reader.read(i, min_side=size)), size) for i in picked]

    def _held_out(self, kind: str, count: int) -> list[Path]:
        size = self.setting.size
        # Drawn at the size that is painted, whatever that of training.
        data = dataclasses.replace(self.base.data, resize=max(size, self.base.data.resize))
        source = source_of(data, kind, "validation")
        reader = ImageReader(source)
        picked = range(min(count, len(source)))
        names = unique_names(safe_stem(Path(source.name(i)).stem) for i in picked)
        spec = getattr(data, f"{kind}_validation") or getattr(data, kind)
        folder = self.cache / "held_out" / digest(of=[spec, kind, size, data.validation])[:16]
        paths = [folder / f"{name}.png" for name in names]
        for i, path in zip(picked, paths, strict=True):
            if not path.is_file():
                image = square(np.asarray(reader.read(i, min_side=size)), size)
                write_atomically(path, encode_picture(image, ".png"))
        return paths


def _read(path: Path) -> np.ndarray:
    from din_jax.data.decoding import load_image

    return load_image(path)


def _step_of(run: Path) -> int:
    """The newest checkpoint's step; -1 where there is none."""
    try:
        return choose_step(run, None)
    except (ModelError, OSError):
        return -1


def _told(config: Config, base: Config) -> str:
    """What tells a config from the base, in a line."""
    old, new = (dataclasses.asdict(x.model) for x in (base, config))
    parts = [f"{name}={value}" for name, value in new.items() if value != old[name]]
    parts = [x if len(x) < 60 else f"{x[:57]}..." for x in parts]
    return f"[seed {config.seed}] {', '.join(parts) or 'DIN'}"
