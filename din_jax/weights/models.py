"""Trained models: one self-contained file each, or the checkpoints of a run; both load alike.

A model file is safetensors: arrays under dotted names (`params.encoder.conv.conv.kernel`), and in
its metadata the whole config, a card of facts about the model, and a digest of the arrays. VGG-19
is not in it: a model that needs one finds it where training found it.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import nnx

from din_jax.config import Config
from din_jax.files import write_atomically
from din_jax.models.network import StylizationNetwork, VGGBackbone, abstract_network
from din_jax.models.vgg import Frozen
from din_jax.weights.checked import LARGEST, Expected, read_checked, wrong_numbers
from din_jax.weights.choose import vgg19_of
from din_jax.weights.containers import entry_of
from din_jax.weights.errors import listed, one_line
from din_jax.weights.included import find_model
from din_jax.weights.model_files import (
    FORMAT,
    Flat,
    digest,
    names_apart,
    no_fit,
    read_file,
    read_metadata,
)
from din_jax.weights.runs import ModelError, choose_step, flatten, read_checkpoint, read_config
from din_jax.weights.vgg19 import VGGWeights

DTYPES = ("float16", "float32")
STYLE_PARTS = ("style_encoder", "standardize", "codes", "feedback")
"""Parts of a network that only read styles, where the method is DIN."""


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model ready for inference.

    Attributes:
      config: the whole run's settings.
      model: float32 parameters, in eval mode.
      step: training steps behind the parameters; None where the file does not say.
      source: where the parameters came from.
      card: facts stored with the model; {} for a checkpoint.
      vgg: the VGG-19 inside the model; None for models without.
      fingerprint: SHA-256 of the arrays as they are stored; style codes belong to a model by it.
    """

    config: Config
    model: StylizationNetwork
    step: int | None
    source: Path
    card: Mapping[str, Any]
    vgg: VGGWeights | None
    fingerprint: str = ""

    @property
    def has_encoder(self) -> bool:
        """Whether it can encode styles (`load_model(encoder=True)`)."""
        return all(source is not None for source in self.model.codes.values())


class StoredModel(NamedTuple):
    """What a model file or a checkpoint holds; arrays under dotted names, as they are stored."""

    config: Config
    arrays: Flat
    step: int | None
    source: Path
    card: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """As of the `LoadedModel` that is made of it."""
        return digest(self.arrays)


def save_model(
    path: str | Path,
    config: Config,
    variables: Mapping[str, Any],
    *,
    dtype: str = "float16",
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Writes one file that `load_model` reads back, complete or not at all.

    Args:
      path: ends in `.safetensors`; an existing file is replaced.
      config: what the model was built and trained with.
      variables: {"params": nested dicts, "batch_stats": nested dicts, empty or left out}.
      dtype: "float16" (half the size, relative error up to 2^-11) or "float32" (exact).
      card: facts that JSON can hold; "step" is what `LoadedModel.step` gives back.

    Raises:
      ModelError: another suffix or dtype, a number that is not finite (in that dtype) or beyond
        `checked.LARGEST`, a card beyond 64 kB or eight levels, or names of styles beyond 16 MB.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or dtype not in DTYPES:
        raise ModelError(
            f"a model is written to a .safetensors file as {' or '.join(DTYPES)}, "
            f"not to '{path}' as {dtype}."
        )
    with np.errstate(over="ignore"):  # an overflow is named below
        arrays = {name: np.asarray(x).astype(dtype) for name, x in flatten(variables).items()}
    wrong = [name for name, array in arrays.items() if wrong_numbers(array)]
    if wrong:
        raise ModelError(
            f"every number of a model must be finite as {dtype} and within {LARGEST:g}, but those "
            f"of {listed(wrong)} are not; save a checkpoint from before training diverged, or as "
            "float32."
        )
    settings, names = names_apart(config)
    metadata = {
        "format": FORMAT,
        "config": json.dumps(settings),
        "card": json.dumps(dict(card or {})),
        "sha256": digest(arrays),
    }
    try:
        # What is written can be read.
        read_metadata(metadata, {name: entry_of(text) for name, text in names.items()})
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(
            "the config and the card of a model must be short tables "
            f"({one_line(error)}); leave something out."
        ) from error
    # Not by safetensors' save_file, which makes files that only their owner can read.
    return write_atomically(path, safetensors.numpy.save(arrays | names, metadata=metadata))


def load_model(
    path: str | Path,
    *,
    step: int | str | None = None,
    vgg: str | Path = "",
    encoder: bool = True,
) -> LoadedModel:
    """Loads a model file, or a checkpoint of a run directory, for inference.

    Args:
      path: the name of an included model, a file of `save_model`, or a directory with
        `config.json` and `checkpoints/STEP/`.
      step: of a run directory: None for the newest checkpoint, a number, or "best" for the one
        whose validation loss is the lowest.
      vgg: VGG-19 weights for a model that contains one; "" takes those of its config, which may
        search and download; of a model file only those of the user, never a path in the file.
      encoder: False leaves out what only reads styles (the style encoder, the weight and bias
        nets), and the VGG-19 of a model that has it for nothing else: it then paints in codes that
        were kept. Methods without such parts (AdaIN, WCT, a table) load whole.

    Raises:
      ModelError: nothing is there, it is damaged, or its arrays do not fit its config: missing,
        unexpected, misshapen, not finite or absurdly large ones are named, as many as have room.
      WeightsError, WeightsNotFound: of the VGG-19 weights.
    """
    stored = read_model(path, step)
    config = stored.config
    weights, arrays, built = None, stored.arrays, config
    if not encoder and config.model.code == "din":
        # Of what may read the style, a MobileNet is built without any other file; then it is left.
        settings = dataclasses.replace(config.model, style_encoder="mobilenet")
        built = dataclasses.replace(config, model=settings)
        arrays = {n: x for n, x in arrays.items() if n.split(".")[1] not in STYLE_PARTS}
    else:
        encoder = True
    if "vgg19" in (built.model.network, built.model.style_encoder):
        weights = vgg19_of(config, ["relu4_1"], vgg)
    model = build_model(built, arrays, weights, str(stored.source), encoder=encoder)
    fingerprint = digest(stored.arrays)
    return LoadedModel(
        config, model, stored.step, stored.source, stored.card, weights, fingerprint
    )


def read_model(path: str | Path, step: int | str | None = None) -> StoredModel:
    """The config and the arrays of a model file or of a run's checkpoint, nothing built.

    Args:
      path: the name of an included model, a file of `save_model`, or the directory of a run.
      step: as of `load_model`.

    Raises:
      ModelError: nothing is there, or it is damaged.
    """
    path = find_model(path)
    if path.is_dir():
        found = choose_step(path, step)
        config = read_config(path / "config.json")
        source = path / "checkpoints" / str(found)
        return StoredModel(config, read_checkpoint(source), found, source, {})
    if not path.is_file():
        raise ModelError(
            f"there is no model '{path}'; give a .safetensors model file or the directory of a run."
        )
    if path.suffix != ".safetensors":
        raise ModelError(
            f"'{path}' is no model file; give one that ends in .safetensors, or the directory of a "
            "run."
        )
    if step is not None:
        raise ModelError(
            f"a step can be chosen from a run directory, but '{path}' is a file of one "
            "model; leave the step out."
        )
    config, arrays, card = read_file(path)
    return StoredModel(config, arrays, card.get("step"), path, card)


def build_model(
    config: Config,
    arrays: Mapping[str, Any],
    vgg: VGGWeights | None = None,
    source: str = "model",
    *,
    encoder: bool = True,
) -> StylizationNetwork:
    """The network in eval mode over `arrays`, {"params": .., "batch_stats": ..} nested or dotted.

    Without `encoder` it has none of STYLE_PARTS, and paints in codes that come from elsewhere.

    Raises:
      ModelError: the arrays do not fit the config.
    """
    backbone = None if vgg is None else VGGBackbone(vgg.params, vgg.preprocessing)
    abstract = abstract_network(config.model, backbone)
    abstract.eval()
    if not encoder:
        abstract.style_encoder = abstract.standardize = abstract.feedback = None
        abstract.codes = nnx.Dict({name: None for name in abstract.levels})
    graph, params, stats, frozen = nnx.split(abstract, nnx.Param, nnx.BatchStat, Frozen)
    expected = {"params": nnx.to_pure_dict(params), "batch_stats": nnx.to_pure_dict(stats)}
    given = {name: entry_of(np.asarray(x)) for name, x in flatten(arrays).items()}
    shapes = {name: Expected(tuple(leaf.shape)) for name, leaf in flatten(expected).items()}
    checked, problems = read_checked(given, shapes)
    if problems:
        raise no_fit(source, problems)
    filled = _fill(expected, checked)
    constants = nnx.to_pure_dict(frozen)
    if vgg is not None:
        names = constants["vgg"]["params"]
        constants = {
            "vgg": {"params": {n: jax.tree.map(jnp.asarray, dict(vgg.params[n])) for n in names}}
        }
    return nnx.merge(graph, filled["params"], filled["batch_stats"], constants)


def _fill(expected: Mapping, given: Mapping[str, Any], prefix: str = "") -> dict:
    """`expected` with its leaves replaced; its own keys (numbers for lists) stay what they are."""
    return {
        key: _fill(value, given, f"{prefix}{key}.")
        if isinstance(value, Mapping)
        else jnp.asarray(given[f"{prefix}{key}"], jnp.float32)
        for key, value in expected.items()
    }
