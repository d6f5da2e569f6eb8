"""What a model reads of a style, and what its training does about it.

A reader goes with `config.style_encoder`. It holds no array: the encoders are the model's.

    reader.layers                        VGG-19 layers of the style that training gives it
    reader(model, style)                 features of style images, for the sources
    reader.at(features, name)            those that the source of one level takes
    reader.in_training(model, style, truth, use_teacher)
                                         features, and losses of its own by name; truth() describes
                                         the style by the loss network's features of it
    reader.of_painted(model, painted, statistics)
                                         losses of its own on what a step has painted, by name

so that a model with a VGG-19 shares the loss network's pass, and a predictor learns by regression.
`truth` is a function because describing moves running statistics: it is called where it is read.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.config import STYLE_LAYERS, ModelConfig
from din_jax.errors import UserError
from din_jax.losses import Statistics
from din_jax.models.feedback import at_rest

FeatureMaps = Mapping[str, Array]
Truth = Callable[[], Array]
MAP = ("relu4_1",)
SHOWN = 12  # names of known styles that a message holds


@dataclasses.dataclass(frozen=True)
class Reader:
    """Features of the style by the model's own style encoder, which learns from painting alone."""

    layers: tuple[str, ...] = ()

    def __call__(self, model, style: Array):
        return model.style_encoder(style)

    def at(self, features, name: str):
        return features

    def in_training(self, model, style: Array, truth: Truth, use_teacher: Array):
        return self(model, style), {}

    def of_painted(self, model, painted: Array, statistics: Statistics) -> dict[str, Array]:
        return {}


class VGGReader(Reader):
    """VGG-19's own features, described as the config says."""

    def __call__(self, model, style: Array) -> Array:
        return model.describe(model.vgg(style))


class SharedVGGReader(VGGReader):
    """The same where the loss network is that very VGG-19: one pass serves both."""

    def in_training(self, model, style: Array, truth: Truth, use_teacher: Array):
        return truth(), {}


class TaughtReader(Reader):
    """A MobileNet that predicts VGG-19's statistics of the style.

    It learns by regression alone: with the gradient of the painting losses in it, its predictions
    came apart within 50 steps (error 0.4 to 1.9). While `use_teacher` the sources read the
    statistics themselves, afterwards the predictions. A model with feedback reads its own pictures
    too, so there it learns from them as well.
    """

    def in_training(self, model, style: Array, truth: Truth, use_teacher: Array):
        features, target = self(model, style), truth()
        regression = jnp.mean(jnp.square(features - target))
        read = jnp.where(use_teacher, target, jax.lax.stop_gradient(features))
        return read, {"descriptor": regression}

    def of_painted(self, model, painted: Array, statistics: Statistics) -> dict[str, Array]:
        if model.feedback is None:
            return {}
        target = jax.lax.stop_gradient(at_rest(model).describe_statistics(statistics))
        found = self(model, jax.lax.stop_gradient(jnp.clip(painted, 0, 1)))
        return {"descriptor_painted": jnp.mean(jnp.square(found - target))}


class UntaughtReader(Reader):
    """The same in a run that does not train it: the sources read the statistics themselves."""

    def in_training(self, model, style: Array, truth: Truth, use_teacher: Array):
        return truth(), {}


class ContentReader(Reader):
    """The content encoder's maps of the style, each level its own (AdaIN, WCT)."""

    def __call__(self, model, style: Array) -> FeatureMaps:
        return model.encode_content(style)

    def at(self, features: FeatureMaps, name: str) -> Array:
        return features[name]


class UnsharedReader(ContentReader):
    """The same by an encoder of the style's own, built as the content's."""

    def __call__(self, model, style: Array) -> FeatureMaps:
        return {f"level{i}": x for i, x in enumerate(model.style_encoder(style), 1)}


class NumberReader(Reader):
    """The number of a known style, int32 [B], in the place of its picture (CIN)."""

    def __call__(self, model, style: Array) -> Array:
        if not jnp.issubdtype(style.dtype, jnp.integer) or style.ndim != 1:
            raise UserError(
                "this model knows its styles by number: give whole numbers [B], not "
                f"{style.dtype} {list(style.shape)}."
            )
        return style


def style_numbers(known: Sequence[str], given: Sequence[str | int]) -> np.ndarray:
    """Numbers int32 [B] of styles by name or number, from the names of a model's table.

    Raises:
      UserError: one that the table has not.
    """
    numbers = []
    for style in given:
        if isinstance(style, str) and style in known:
            numbers.append(known.index(style))
        elif isinstance(style, (int, np.integer)) and 0 <= style < len(known):
            numbers.append(int(style))
        else:
            what = repr(style) if isinstance(style, (str, int, np.integer)) else "a picture"
            more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
            raise UserError(
                f"this model paints in the styles it was trained on, {', '.join(known[:SHOWN])}"
                f"{more}: give their names or numbers from 0, not {what}."
            )
    return np.asarray(numbers, np.int32)


def make_reader(config: ModelConfig, loss_network: str = "", taught: bool = True) -> Reader:
    """The reader of a model.

    Args:
      config: the model's settings.
      loss_network: of its training, "vgg19" or "random".
      taught: whether the regression on VGG-19's statistics has a weight in it.
    """
    statistics = config.style_feature == "statistics"
    if config.style_encoder == "vgg19":
        kind = SharedVGGReader if loss_network == "vgg19" else VGGReader
        return kind(STYLE_LAYERS if statistics else MAP)
    if config.style_encoder == "mobilenet":
        kind = TaughtReader if taught else UntaughtReader
        return kind(STYLE_LAYERS) if statistics else Reader()
    kinds = {"content": ContentReader, "unshared": UnsharedReader, "none": NumberReader}
    return kinds[config.style_encoder]()
