"""What `din-jax stylize` does: styles read once, contents painted in batches, each output noted."""

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from din_jax.data.decoding import decode_pil
from din_jax.data.inputs import Input, Style
from din_jax.data.inspection import is_animated, size_of
from din_jax.data.outputs import OutputError, Outputs
from din_jax.data.pipeline import PIXELS, Outcome, run_batches
from din_jax.data.saving import encode_picture
from din_jax.data.sheets import thumbnail
from din_jax.data.video import VideoReader
from din_jax.errors import UserError
from din_jax.inference.masks import read_masks
from din_jax.inference.mixing import each_code, joined, level_strengths, style_weights
from din_jax.inference.pictures import check_style_size

Tuner = Callable[[str, Any, Any, int | None], Any]
"""(name, picture, code, size) of a style to its code tuned, as `tuned.CodeTuner`."""
STYLES_AT_ONCE = 16  # read and encoded together


class Stylizer(Protocol):
    """What paints: `inference.Stylizer`, or `lite.Stylizer` without JAX."""

    levels: Sequence[str]
    styles: Sequence[str]
    bank: Any
    loaded: Any

    def encode_style(self, pictures: Any, *, size: int | None = None) -> Any: ...

    def stylize(self, contents: Any, style: Any, **options: Any) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Job:
    """One output: a content in a style, or in a mixture of all.

    Attributes:
      content: what is painted.
      styles: numbers of the styles: one, or all that are mixed.
      name: of the output, below its folder.
      made_of: `digest` of all that decides what the output looks like.
    """

    content: Input
    styles: tuple[int, ...]
    name: str
    made_of: str


@dataclasses.dataclass(frozen=True)
class Controls:
    """How to paint: each style by itself or all mixed; else the arguments of `Stylizer.stylize`."""

    each: bool = False
    weights: Sequence[float] | None = None
    masks: Sequence[bytes] | None = None
    feather: float = 0.0
    strength: float = 1.0
    levels: dict[str, float] | None = None
    color: str = "style"
    scale: int | None = None
    seamless: bool = False
    tile: int | None = None

    def key(self) -> dict[str, Any]:
        """What of it decides how an output looks; JSON can hold it."""
        values = dataclasses.asdict(self)
        del values["tile"], values["each"]  # how, and in which pieces; not what
        values["masks"] = self.masks and [hashlib.sha256(mask).hexdigest() for mask in self.masks]
        return values


class Painter:
    """Paints jobs with a stylizer.

    `prepare` reads and encodes the styles, so that a mistake in one shows before anything is
    painted.

    Args:
      stylizer: the model.
      styles: all that any job asks for.
      controls: how to paint.
      quality: of JPEG and WebP.
      stdin: what standard input held, for a job that asks for it.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        styles: Sequence[Style],
        controls: Controls,
        *,
        quality: int = 95,
        stdin: bytes = b"",
    ):
        self.stylizer, self.styles, self.controls = stylizer, styles, controls
        self.quality, self.stdin = quality, stdin
        self.notes: list[str] = []
        self._check()
        self._known: list[Any] = []  # codes, or pictures and names
        self._make_tuner: Callable[[], Tuner] | None = None
        self._options = dataclasses.asdict(controls)
        del self._options["each"]

    def tune_by(self, make_tuner: Callable[[], Tuner]) -> None:
        """Has each code tuned when it is encoded, by what `make_tuner` gives then.

        Raises:
          UserError: some style has no code of its own, or no picture that it could be tuned to.
        """
        if self.controls.color == "match":
            raise UserError(
                "--color match gives the style each content's colors, so that there is no code to "
                "tune: leave --tune out, or choose --color luminance."
            )
        self._require_pictures(
            "--tune fits a code to a style's picture, but '{}' is a name of one without a picture: "
            "give its file, or leave --tune out."
        )
        self._make_tuner = make_tuner

    def prepare(self, needed: Collection[int]) -> None:
        """Reads and encodes the styles, and tunes the codes of those `needed`, by number.

        Raises:
          UserError: one is no good.
        """
        if self.controls.color == "match":
            # Each content gives the style other colors: there is no code of it beforehand.
            pictures = map(picture_of, self.styles)
            self._known = [None for _ in pictures] if self.controls.each else list(pictures)
            return
        size = self._options.pop("scale")
        tuner = self._make_tuner and self._make_tuner()
        for start in range(0, len(self.styles), STYLES_AT_ONCE):
            given = [picture_of(style) for style in self.styles[start : start + STYLES_AT_ONCE]]
            codes = each_code(self.stylizer.encode_style(given, size=size))
            for number, picture, code in zip(count(start), given, codes, strict=False):
                name = self.styles[number].name
                tuned = tuner and number in needed
                self._known.append(tuner(name, picture, code, size) if tuned else code)

    def _check(self):
        """Raises UserError for controls that would fail with every picture."""
        if min(self.controls.feather, self.controls.tile or 0) < 0:
            raise UserError("--feather and --tile must be 0 or more.")
        check_style_size(self.controls.scale or 0, "--scale")
        mixed = 1 if self.controls.each else len(self.styles)
        style_weights(self.controls.weights, mixed)
        level_strengths(self.controls.strength, self.controls.levels, self.stylizer.levels)
        if self.controls.color == "match":
            self._require_pictures(
                "--color match gives a style's picture other colors, but '{}' is a name of one "
                "without a picture; give its file, or choose --color luminance."
            )
        if self.controls.masks is not None:
            read_masks(self.controls.masks, mixed)

    def _require_pictures(self, otherwise: str):
        """Raises UserError, the sentence with the style's name in it, for a style that has none."""
        for style in self.styles:
            if isinstance(style.given, str):
                raise UserError(otherwise.format(style.name))

    def key(self) -> dict[str, Any]:
        """What of the model and the controls decides how an output looks."""
        return {"model": self.stylizer.loaded.fingerprint, **self.controls.key()}

    def run(self, jobs: Sequence[Job], outputs: Outputs, *, batch: int, advance, done) -> Outcome:
        """Paints all jobs into `outputs`; `done(job, picture)` is told of each."""
        return run_batches(
            jobs,
            self.read,
            self.paint,
            partial(self._write, outputs, done),
            batch=batch,
            weigh=_pixels,
            advance=advance,
        )

    def run_clips(
        self, jobs: Sequence[Job], outputs: Outputs, *, batch: int, steady: float, bar, done
    ) -> Outcome:
        """Paints videos, one after the other.

        Args:
          jobs, outputs: as of `run`.
          batch: most frames at once.
          steady: seconds over which the statistics of frames are averaged; 0: not at all.
          bar: makes a progress bar for a number of frames and a name.
          done: told of each job and its first frame.
        """
        outcome, waiting = Outcome(), list(jobs)
        while waiting:
            job = waiting.pop(0)
            began = time.perf_counter()
            try:
                first = self._paint_clip(job, outputs, batch, steady, bar)
            except UserError as error:
                outcome.failed.append((job, str(error)))
                if isinstance(error, OutputError) and error.full:
                    outcome.left, waiting = waiting, []
            else:
                outcome.done.append((job, time.perf_counter() - began))
                done(job, first)
        return outcome

    def _paint_clip(
        self, job: Job, outputs: Outputs, batch: int, steady: float, bar
    ) -> Image.Image:
        # Imported here, since they need JAX.
        from din_jax.tools.clips import paint_video, steadied

        first: list[np.ndarray] = []
        engine = self.stylizer.engine

        def paint(frames: list[np.ndarray]) -> list[np.ndarray]:
            painted = self.paint([job] * len(frames), frames)
            first.extend([] if first else painted[:1])
            return painted

        with VideoReader(job.content.path) as source, bar(source.frames, job.content.name) as shown:
            self.stylizer.engine = steadied(self.stylizer, steady, source.rate) or engine
            batch = max(1, min(batch, PIXELS // math.prod(source.size)))
            try:
                with outputs.writing(job.name, job.made_of) as partial_file:
                    kind = Path(job.name).suffix.lower()
                    paint_video(
                        source, partial_file, kind, paint, batch=batch, advance=shown.update
                    )
            finally:
                self.stylizer.engine = engine
        return Image.fromarray(first[0])

    def read(self, job: Job) -> Image.Image:
        """A job's content, with its transparency."""
        source = job.content
        data = self.stdin if source.path is None else source.path
        if is_animated(data):
            self.notes.append(f"'{source.name}' is an animation; its first frame is painted.")
        return decode_pil(data, alpha=True, name=source.name)

    def paint(self, jobs: Sequence[Job], pictures: Sequence[Any]) -> list[Any]:
        """Each job's content in its styles; arrays for arrays."""
        if not self.controls.each:
            return self.stylizer.stylize(pictures, self._known, **self._options)
        if self.controls.color == "match":
            return [
                self.stylizer.stylize(
                    picture, picture_of(self.styles[job.styles[0]]), **self._options
                )
                for job, picture in zip(jobs, pictures, strict=True)
            ]
        code = joined([self._known[job.styles[0]] for job in jobs])
        return self.stylizer.stylize(pictures, code, **self._options)

    def _write(self, outputs: Outputs, done, job: Job, picture: Image.Image):
        data = encode_picture(picture, Path(job.name).suffix, quality=self.quality)
        outputs.write(job.name, job.made_of, data)
        done(job, picture)


def picture_of(style: Style) -> Image.Image | str:
    """The picture of a style, or its name.

    Raises:
      BadImageError: the file is no usable picture; the sentence names it.
    """
    if isinstance(style.given, str):
        return style.given
    return decode_pil(style.given, alpha=True, name=style.source)


def _pixels(job: Job) -> int:
    width, height = (0, 0) if job.content.path is None else size_of(job.content.path)
    return width * height


def thumbnail_of(style: Style, stylizer: Stylizer) -> np.ndarray | None:
    """The style's picture on a sheet; None of one that has none."""
    if not isinstance(style.given, str):
        return thumbnail(np.asarray(decode_pil(style.given)))
    return stylizer.bank.thumbnail(style.given) if style.given in stylizer.bank else None
