"""The file of a model: what is in its metadata, and which arrays belong to its config.

Safetensors: arrays under dotted names (`params.encoder.conv.conv.kernel`), and in the metadata the
whole config, a card of facts about the model, and a digest of the arrays. Names of known styles may
be many more than a header has room for: they are texts of their own beside the arrays.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from din_jax.config import Config
from din_jax.weights.checked import Expected, read_checked
from din_jax.weights.containers import Entry, safetensors_entries
from din_jax.weights.errors import one_line
from din_jax.weights.opening import refusing
from din_jax.weights.runs import ModelError
from din_jax.weights.torch_names import model_shapes

FORMAT = "din_jax model 1"
LONGEST_TEXT = 1 << 16  # characters of the config or the card
# Lists of the config that are stored as UTF-8, uint8 [N], the byte 0 between names, which no file's
# name has; before, they were in it.
NAMES = ("model.styles", "train.only_styles")
MOST_NAMES = 1 << 16  # that a config admits, ...
LONGEST_NAMES = MOST_NAMES << 8  # ... and bytes of as many names of files
Flat = dict[str, np.ndarray]


def no_fit(source: object, problems: str) -> ModelError:
    """For arrays that are not those of a config."""
    return ModelError(
        f"'{source}' does not fit its config: {problems}; give the config that the model was "
        "trained with."
    )


def digest(arrays: Flat) -> str:
    """SHA-256 of names, types, shapes and numbers."""
    sum_ = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sum_.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        sum_.update(np.ascontiguousarray(array).tobytes())
    return sum_.hexdigest()


def read_file(path: Path) -> tuple[Config, Flat, dict]:
    """The settings are read first; what they ask for decides which arrays are, and how large."""
    with contextlib.ExitStack() as stack, refusing(path, ModelError):
        entries, metadata = safetensors_entries(path, stack)
        if metadata.get("format") != FORMAT:
            raise ModelError(
                f"'{path}' is a safetensors file but holds no {FORMAT}; give a file that this "
                "program exported, or the directory of a run."
            )
        try:
            config, card = read_metadata(metadata, entries)
            # Every block takes time to build; in a file that has it, it is eight arrays or more.
            if config.model.network != "vgg19" and 8 * config.model.residuals > len(entries):
                raise ValueError(f"it holds no {config.model.residuals} residual blocks")
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"'{path}' is damaged, for its config or card is unusable ({one_line(error)}); "
                "export it again."
            ) from error
        shapes = model_shapes(config.model)
        expected = {name: Expected(shape) for name, shape in shapes.items()}
        arrays, problems = read_checked(entries, expected)
        if problems:
            raise no_fit(path, problems)
        if metadata.get("sha256") != digest(arrays):
            raise ModelError(f"the arrays in '{path}' are damaged; fetch or export it again.")
    return config, arrays, card


def names_apart(config: Config) -> tuple[dict[str, Any], Flat]:
    """The settings for the metadata, without the lists of `NAMES`, and the texts of these."""
    values, texts = config.to_dict(), {}
    for place in NAMES:
        section, field = place.split(".")
        if values[section][field]:
            text = "\0".join(values[section].pop(field)).encode("utf-8", "surrogatepass")
            texts[place] = np.frombuffer(text, np.uint8)
    return values, texts


def read_metadata(metadata: Mapping[str, str], entries: dict[str, Entry]) -> tuple[Config, dict]:
    """The settings, held to the same rules as any config, and the card.

    Args:
      metadata: of the file.
      entries: its arrays; those of `NAMES` are taken out.

    Raises:
      KeyError, TypeError, ValueError, ...: one is missing or no good.
    """
    if max(len(metadata["config"]), len(metadata["card"])) > LONGEST_TEXT:
        raise ValueError(f"longer than {LONGEST_TEXT} characters")
    values = json.loads(metadata["config"])
    for place in NAMES:
        if place in entries:
            section, field = place.split(".")
            values[section][field] = _names(place, entries.pop(place))
    config = Config.from_dict(values)
    card = json.loads(metadata["card"])
    step = card.get("step")
    if not (step is None or type(step) is int and 0 <= step < 1 << 62):
        raise ValueError("the card's step is no whole number from zero up")
    if not _is_flat(card, 8):
        raise ValueError("the card is nested too deep")
    # Whoever made the file does not choose which files are opened here.
    return without_paths(config), card


def _names(place: str, entry: Entry) -> list[str]:
    if entry.dtype != "uint8" or len(entry.shape) != 1 or entry.shape[0] > LONGEST_NAMES:
        raise ValueError(f"its {place} is no text of at most {LONGEST_NAMES} bytes")
    text = entry.read().tobytes().decode("utf-8", "surrogatepass")
    return text.split("\0", MOST_NAMES)  # one too many is refused with the config


def _is_flat(value: Any, levels: int) -> bool:
    inside = value.values() if type(value) is dict else value if type(value) is list else ()
    return levels > 0 and all(_is_flat(part, levels - 1) for part in inside)


def without_paths(config: Config) -> Config:
    """The config with every path of the training machine emptied, and the defaults in its place."""
    drawn = {side: "synthetic" for side in ("content", "style")}
    drawn |= {f"{side}_validation": "" for side in ("content", "style")}
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, **drawn, kept_folder=""),
        loss=dataclasses.replace(config.loss, weights=""),
        train=dataclasses.replace(config.train, initialize=""),
    )
