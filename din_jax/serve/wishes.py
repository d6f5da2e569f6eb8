"""What a request asks for: its form read into memory, and held to what can be painted."""

import dataclasses
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from din_jax.data.decoding import look_at, open_header
from din_jax.data.saving import FORMATS
from din_jax.errors import UserError
from din_jax.inference.bank import nearest_names
from din_jax.inference.mixing import read_levels
from din_jax.inference.stylizer import Stylizer
from din_jax.serve.limits import Lease, Limits
from din_jax.serve.problems import Problem
from din_jax.serve.scans import MOST_SCANS, scans
from din_jax.weights.errors import one_line

TEXTS = (
    "weights", "strength", "levels", "color", "feather", "scale", "seamless", "size", "format",
    "quality",
)  # fmt: skip
FILES = ("content", "style", "mask")  # a style may be a name instead
REPEATED = ("weights", "levels")
MOST_TEXTS = 64
LONGEST_TEXT = 4096  # bytes
NEAREST = 4
SOON = 3.0  # seconds after which memory may be there again
LARGEST_SIZE = 1 << 16  # px
YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class Upload(NamedTuple):
    """A file as it was sent."""

    name: str
    data: bytes


Form = Sequence[tuple[str, str | Upload]]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is to be painted, checked as far as can be without decoding a picture.

    Attributes:
      contents: pictures.
      styles: names, or pictures; they are mixed.
      masks: pictures; where each style goes.
      settings: further arguments of `Stylizer.stylize`.
      size: px, the longest side to which contents are made smaller; None: their own.
      suffix: of the format in which they are answered.
      quality: of jpg and webp.
    """

    contents: tuple[Upload, ...]
    styles: tuple[str | Upload, ...]
    masks: tuple[Upload, ...]
    settings: Mapping[str, Any]
    size: int | None
    suffix: str
    quality: int

    @property
    def count(self) -> int:
        return len(self.contents)


class _Parser(MultiPartParser):
    spool_max_size = 0  # in memory: the request is bounded, and nothing is written


async def read_form(request: Request, limits: Limits, lease: Lease) -> Form:
    """The fields of a multipart form, in order, their bytes borrowed as they come.

    Raises:
      Problem: it is none, it is damaged, it has more parts than make sense, or its bytes are more
        than are left to borrow.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(415, "a request is multipart/form-data, as curl -F sends it.")
    parser = _Parser(
        request.headers,
        _borrowed(request.stream(), lease),
        max_files=limits.pictures + 2 * limits.styles,
        max_fields=MOST_TEXTS,
        max_part_size=LONGEST_TEXT,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(
            400, f"the form could not be read: {one_line(error.message)}; send it as curl -F does."
        ) from error
    fields: list[tuple[str, str | Upload]] = []
    for name, value in form.multi_items():
        if not isinstance(value, str):
            value = Upload(one_line(value.filename or name, 80), value.file.read())
        fields.append((name, value))
    await form.close()
    lease.shrink(sum(len(value.data) for _, value in fields if isinstance(value, Upload)))
    return fields


async def _borrowed(stream: AsyncIterator[bytes], lease: Lease) -> AsyncGenerator[bytes, None]:
    async for part in stream:
        if not lease.add(len(part)):
            raise Problem(503, "too many uploads are on their way: try again soon.", SOON)
        yield part


def wish_of(form: Form, stylizer: Stylizer, limits: Limits) -> Wish:
    """What a form asks for; reads headers of pictures, so call it in a thread.

    Raises:
      Problem, UserError: of a field or a picture; one sentence says which and what helps.
    """
    for name, value in form:
        _check_field(name, value)
    files = {kind: [v for name, v in form if name == kind] for kind in FILES}
    contents, styles, masks = files["content"], files["style"], files["mask"]
    if not contents:
        raise Problem(422, "a picture to paint is needed: send a file as content.")
    if len(contents) > limits.pictures:
        raise Problem(
            413, f"a request may have at most {limits.pictures} contents, not {len(contents)}."
        )
    if max(len(styles), len(masks)) > limits.styles:
        raise Problem(
            413, f"at most {limits.styles} styles are mixed, not {max(len(styles), len(masks))}."
        )
    for style in styles:
        _check_style(style, stylizer)
    texts = {name: [v for key, v in form if key == name] for name in TEXTS}
    settings = _settings(texts, stylizer, len(styles), len(masks), limits)
    size = _number(texts, "size", None, int, 1, LARGEST_SIZE)
    pictures = [s for s in styles if isinstance(s, Upload)]
    # Matched to each content's colors, they are all decoded at once.
    together = pictures if settings["color"] == "match" else []
    _check_pictures(contents, pictures, together, masks, size, limits)
    suffix = "." + _choice(texts, "format", "png", [kind[1:] for kind in FORMATS])
    quality = _number(texts, "quality", 95, int, 1, 100)
    return Wish(tuple(contents), tuple(styles), tuple(masks), settings, size, suffix, quality)


def painted_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """(width, height) made smaller, so that no side is longer; halves are rounded up, as the page
    does."""
    scale = min(1.0, longest / max(size)) if longest else 1.0
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in size)
    return width, height


def _check_field(name: str, value: str | Upload) -> None:
    if name not in FILES + TEXTS:
        near = nearest_names(name[:80], FILES + TEXTS, 1)
        raise Problem(
            422,
            f"there is no field {one_line(name, 40)!r}; the nearest is {near[0]}, and all are "
            f"{', '.join(FILES + TEXTS)}.",
        )
    if isinstance(value, str) and name in ("content", "mask"):
        raise Problem(422, f"{name} is a file, not a text: with curl, -F {name}=@picture.png.")
    if isinstance(value, Upload) and name in TEXTS:
        raise Problem(422, f"{name} is a text, not a file: with curl, -F {name}=... without @.")


def _check_style(style: str | Upload, stylizer: Stylizer) -> None:
    """A text is a name and never a path: the server's files are nobody's."""
    known = stylizer.styles
    if isinstance(style, Upload):
        if stylizer.engine.styles:
            raise Problem(
                422, f"this model has styles of its own alone: give a name, as {known[0]}."
            )
    elif style not in known:
        near = nearest_names(style[:100], known, NEAREST)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise Problem(
            422,
            f"there is no style {one_line(style, 80)!r}{hint}. A picture of your own is sent as a "
            "file: style=@painting.jpg.",
        )


def _settings(
    texts: Mapping[str, Sequence[str]], stylizer: Stylizer, styles: int, masks: int, limits: Limits
) -> dict[str, Any]:
    """Arguments of `Stylizer.stylize`, which it would take."""
    weights = [_parsed("weights", part, float) for x in texts["weights"] for part in x.split(",")]
    settings = {
        "weights": weights or None,
        "feather": _number(texts, "feather", 0.0, float, 0, limits.feather),
        "strength": _number(texts, "strength", 1.0, float, 0, 1),
        "levels": read_levels(texts["levels"]),
        "color": _single(texts, "color") or "style",
        "scale": _number(texts, "scale", None, int, 0, limits.scale),
        "seamless": _choice(texts, "seamless", "false", YES + NO) in YES,
    }
    stylizer.settings(styles, masks=masks or None, **settings)
    return settings


def _check_pictures(
    contents: Sequence[Upload],
    styles: Sequence[Upload],
    together: Sequence[Upload],
    masks: Sequence[Upload],
    size: int | None,
    limits: Limits,
) -> None:
    sizes = {}
    for picture in (*contents, *styles, *masks):
        open_header(picture.data, picture.name)
        if scans(picture.data) > MOST_SCANS:
            raise Problem(
                413,
                f"{picture.name!r} is drawn over more than {MOST_SCANS} times, which no camera "
                "does: save it anew.",
            )
        width, height = sizes[id(picture)] = look_at(picture.data)[0]
        if width * height > limits.pixels:
            raise Problem(
                413,
                f"{picture.name!r} may have at most {limits.pixels} pixels here, but has {width} x "
                f"{height}: scale it down first.",
            )
    pixels = sum(math.prod(sizes[id(style)]) for style in together)
    if pixels > limits.pixels:
        raise Problem(
            413,
            f"with color=match, {limits.pixels} pixels are those of all style pictures, but there "
            f"are {pixels}: give smaller ones.",
        )
    if not masks:
        return
    pixels = sum(math.prod(sizes[id(mask)]) for mask in masks)
    regions = max(len(masks), 2)
    most = max(math.prod(painted_size(sizes[id(x)], size)) for x in contents)
    if max(pixels, most * regions) > limits.pixels:
        raise Problem(
            413,
            f"with masks, {limits.pixels} pixels are those of all masks, and of a content times "
            f"its regions, but there are {pixels} and {most} x {regions}: give smaller ones, or a "
            "smaller size.",
        )


def _single(texts: Mapping[str, Sequence[str]], name: str) -> str | None:
    if len(texts[name]) > 1:
        raise Problem(422, f"{name} is given once, not {len(texts[name])} times.")
    return texts[name][0].strip() if texts[name] else None


def _number(texts, name: str, default, kind: Callable, least: float, most: float):
    """A number of one field, within its bounds."""
    text = _single(texts, name)
    if text is None:
        return default
    value = _parsed(name, text, kind)
    if not least <= value <= most:
        raise Problem(422, f"{name} must be {least} to {most}, not {one_line(text, 40)}.")
    return value


def _parsed(name: str, text: str, kind: Callable):
    try:
        return kind(text)
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise UserError(f"{name} takes {what}, not {one_line(text, 40)!r}.") from error


def _choice(texts, name: str, default: str, choices: Sequence[str]) -> str:
    text = _single(texts, name)
    text = default if text is None else text.lower()
    if text not in choices:
        raise Problem(422, f"{name} is {', '.join(choices)}, not {one_line(text, 40)!r}.")
    return text
