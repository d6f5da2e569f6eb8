"""Trained models: one self-contained file each, or the checkpoints of a run; both load alike.

A model file is safetensors: arrays under dotted names (`params.encoder.conv.conv.kernel`), and in
its metadata the whole config, a card of facts about the model, and a digest of the arrays. VGG-19
is not in it: a model that needs one finds it where training found it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import nnx

from din_jax.config import Config
from din_jax.files import write_atomically
from din_jax.models.stylizer import Stylizer, VGGBackbone
from din_jax.models.vgg import Frozen
from din_jax.weights.choose import vgg19_of
from din_jax.weights.runs import (
    ModelError,
    choose_step,
    flatten,
    one_line,
    read_checkpoint,
    read_config,
)
from din_jax.weights.vgg19 import VGGWeights

FORMAT = "din_jax model 1"
DTYPES = ("float16", "float32")
Flat = dict[str, np.ndarray]


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
    """

    config: Config
    model: Stylizer
    step: int | None
    source: Path
    card: Mapping[str, Any]
    vgg: VGGWeights | None


class StoredModel(NamedTuple):
    """What a model file or a checkpoint holds; arrays under dotted names, as they are stored."""

    config: Config
    arrays: Flat
    step: int | None
    source: Path
    card: Mapping[str, Any]


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
      ModelError: another suffix or dtype, or a number that is not finite (in that dtype).
    """
    path = Path(path)
    if path.suffix != ".safetensors" or dtype not in DTYPES:
        raise ModelError(
            f"a model is written to a .safetensors file as {' or '.join(DTYPES)}, "
            f"not to '{path}' as {dtype}."
        )
    with np.errstate(over="ignore"):  # an overflow is named below
        arrays = {name: np.asarray(x).astype(dtype) for name, x in flatten(variables).items()}
    wrong = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if wrong:
        raise ModelError(
            f"every number of a model must be finite as {dtype}, but those of {', '.join(wrong)} "
            "are not; save a checkpoint from before training diverged, or as float32."
        )
    metadata = {
        "format": FORMAT,
        "config": json.dumps(config.to_dict()),
        "card": json.dumps(dict(card or {})),
        "sha256": _digest(arrays),
    }
    # Not by safetensors' save_file, which makes files that only their owner can read.
    return write_atomically(path, safetensors.numpy.save(arrays, metadata=metadata))


def load_model(
    path: str | Path, *, step: int | str | None = None, vgg: str | Path = ""
) -> LoadedModel:
    """Loads a model file, or a checkpoint of a run directory, for inference.

    Args:
      path: a file of `save_model`, or a directory with `config.json` and `checkpoints/STEP/`.
      step: of a run directory: None for the newest checkpoint, a number, or "best" for the one
        that `best.json` ({"step": N}) names.
      vgg: VGG-19 weights for a model that contains one; "" takes those of its config, which may
        search and download.

    Raises:
      ModelError: nothing is there, it is damaged, or its arrays do not fit its config; all
        missing, unexpected and misshapen ones are named at once.
      WeightsError, WeightsNotFound: of the VGG-19 weights.
    """
    stored = read_model(path, step)
    config = stored.config
    weights = None
    if "vgg19" in (config.model.network, config.model.style_encoder):
        weights = vgg19_of(config, ["relu4_1"], vgg)
    model = build_model(config, stored.arrays, weights, str(stored.source))
    return LoadedModel(config, model, stored.step, stored.source, stored.card, weights)


def read_model(path: str | Path, step: int | str | None = None) -> StoredModel:
    """The config and the arrays of a model file or of a run's checkpoint, nothing built.

    Raises:
      ModelError: nothing is there, or it is damaged.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        found = choose_step(path, step)
        config = read_config(path / "config.json")
        source = path / "checkpoints" / str(found)
        return StoredModel(config, read_checkpoint(source), found, source, {})
    if not path.is_file():
        raise ModelError(
            f"there is no model '{path}'; give a .safetensors model file or the directory of a run."
        )
    if step is not None:
        raise ModelError(
            f"a step can be chosen from a run directory, but '{path}' is a file of one "
            "model; leave the step out."
        )
    config, arrays, card = _read_file(path)
    return StoredModel(config, arrays, card.get("step"), path, card)


def build_model(
    config: Config, arrays: Mapping[str, Any], vgg: VGGWeights | None = None, source: str = "model"
) -> Stylizer:
    """A `Stylizer` in eval mode over `arrays`, {"params": .., "batch_stats": ..} nested or dotted.

    Raises:
      ModelError: the arrays do not fit the config.
    """
    backbone = None if vgg is None else VGGBackbone(vgg.params, vgg.preprocessing)
    abstract = nnx.eval_shape(lambda: Stylizer(config.model, backbone, rngs=nnx.Rngs(0)))
    abstract.eval()
    graph, params, stats, frozen = nnx.split(abstract, nnx.Param, nnx.BatchStat, Frozen)
    expected = {"params": nnx.to_pure_dict(params), "batch_stats": nnx.to_pure_dict(stats)}
    given = flatten(arrays)
    _require_fit(flatten(expected), given, source)
    filled = _fill(expected, given)
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


def _require_fit(expected: Mapping[str, Any], given: Mapping[str, Any], source: str) -> None:
    problems = [f"{name} is missing" for name in expected if name not in given]
    problems += [f"{name} is unexpected" for name in given if name not in expected]
    problems += [
        f"{name} has shape {tuple(given[name].shape)} where {tuple(array.shape)} belongs"
        for name, array in expected.items()
        if name in given and given[name].shape != array.shape
    ]
    if problems:
        raise ModelError(
            f"'{source}' does not fit its config: {', '.join(problems)}; give the config that "
            "the model was trained with."
        )


def _digest(arrays: Flat) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_file(path: Path) -> tuple[Config, Flat, dict]:
    try:
        with safetensors.safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"'{path}' is damaged or no model file ({one_line(error)}); fetch or export it again."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"'{path}' is a safetensors file but holds no {FORMAT}; give a file that this "
            "program exported, or the directory of a run."
        )
    if metadata.get("sha256") != _digest(arrays):
        raise ModelError(f"the arrays in '{path}' are damaged; fetch or export it again.")
    try:
        config = Config.from_dict(json.loads(metadata["config"]))
        card = dict(json.loads(metadata["card"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the config or card in '{path}' is unusable ({one_line(error)}); export it again."
        ) from error
    return config, arrays, card
