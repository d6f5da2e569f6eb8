"""Codes tuned by a command: once for a bank (`din-jax bank add --tune`), or for what it paints."""

from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from din_jax.errors import stop_if_interrupted
from din_jax.inference.stylizer import Stylizer
from din_jax.layers.codes import StyleCode
from din_jax.training.tuning import Tuner


class CodeTuner:
    """(name, picture, code) to the code tuned; what it gained is told.

    Args:
      stylizer: whose styles they are.
      steps: for each.
      tell: takes a sentence for each style.
      options: "contents", "style_weight" and "vgg" of `Tuner`.

    Raises:
      UserError: what `Tuner` refuses.
    """

    def __init__(
        self, stylizer: Stylizer, steps: int, *, tell: Callable[[str], None], **options: Any
    ):
        self.stylizer, self.steps, self.tell = stylizer, steps, tell
        self._tuner = Tuner(stylizer.loaded, **options)

    def __call__(
        self, name: str, picture: Any, code: StyleCode, size: int | None = None
    ) -> StyleCode:
        """The code of one style.

        Args:
          name: for the bar and the sentence.
          picture: of the style, of any kind.
          code: the nets', begun at.
          size: px, short side at which it was encoded, as of `Stylizer.encode_style`.
        """
        style = self.stylizer.prepared(self.stylizer.style_picture(picture), size)
        with tqdm(total=self.steps, desc=name, unit="step", disable=None, leave=False) as bar:

            def report(step: int, losses: dict[str, float]):
                stop_if_interrupted()
                bar.set_postfix({key: f"{losses[key]:.3f}" for key in ("content", "style")})
                bar.update()

            found = self._tuner(style, code, self.steps, report)
        changes = ", ".join(
            f"{key} {found.before[key]:.3f} -> {found.after[key]:.3f}" for key in found.before
        )
        kept = "" if found.improved else "; no gain, so its code is as it was"
        self.tell(f"{name}: {changes}, on crops it was not tuned on{kept}")
        return found.code
