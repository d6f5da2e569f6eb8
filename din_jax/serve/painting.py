"""The engine at work on a wish, in the queue's thread."""

from collections.abc import Iterator
from typing import Any

import jax
from PIL import Image

from din_jax.data.decoding import decode_pil
from din_jax.data.saving import encode_picture
from din_jax.inference.masks import read_mask
from din_jax.inference.stylizer import Stylizer
from din_jax.serve.jobs import Tell
from din_jax.serve.results import Painted
from din_jax.serve.wishes import Upload, Wish, painted_size

COMPILED = 16  # programs, after which what JAX remembers of how it traced them is dropped


class Steps:
    """An engine's `progress`, passed on to whatever is being painted."""

    def __init__(self):
        self.tell: Tell | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.tell is not None:
            self.tell(done / total)


class Painter:
    """Paints wishes.

    Args:
      stylizer: the model.
      steps: its `progress`.
    """

    def __init__(self, stylizer: Stylizer, steps: Steps):
        self.stylizer, self._steps = stylizer, steps
        self._compiled = stylizer.engine.compilations

    def paint(self, wish: Wish, tell: Tell) -> Iterator[Painted]:
        """The wish's contents as `Stylizer.stylize` paints them, one after the other.

        Args:
          wish: of `wish_of`.
          tell: called with 0 to 1.

        Raises:
          UserError: a picture is damaged, or something does not go together.
        """
        settings: dict[str, Any] = dict(wish.settings)
        styles = (x if isinstance(x, str) else _decoded(x) for x in wish.styles)  # one by one
        if settings["color"] == "match":  # which depends on the content
            styles = list(styles)
        else:
            size = settings.pop("scale")
            styles = [self.stylizer.code(x, [], settings["color"], size) for x in styles]
        masks = [read_mask(_decoded(mask)) for mask in wish.masks] or None
        try:
            for i, upload in enumerate(wish.contents):
                self._steps.tell = lambda part, i=i: tell((i + part) / wish.count)
                content = _decoded(upload)
                size = painted_size(content.size, wish.size)
                if size != content.size:
                    content = content.resize(size, Image.Resampling.BICUBIC)
                image = self.stylizer.stylize(content, styles, masks=masks, **settings)
                del content
                data = encode_picture(image, wish.suffix, quality=wish.quality)
                yield Painted(data, wish.suffix, *image.size)
        finally:
            self._steps.tell = None
            self._forget_traces()

    def _forget_traces(self) -> None:
        """Clients choose sizes, of which each is compiled; the engine keeps the last programs, JAX
        would keep the traces of all."""
        compiled = self.stylizer.engine.compilations
        if compiled - self._compiled >= COMPILED:
            self._compiled = compiled
            jax.clear_caches()


def _decoded(upload: Upload) -> Image.Image:
    return decode_pil(upload.data, alpha=True, name=upload.name)
