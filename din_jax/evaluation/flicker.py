"""How much a painted video flickers where nothing moves.

python -m din_jax.evaluation.flicker painted.mp4 --against clip.mp4

A pixel stands still between two frames of the clip if what they differ by, smoothed (a Gaussian of
SIGMA pixels, beyond which a camera's noise is gone), is less than STILL levels of 255 in every
color. There the painted frames should not differ; how much they do is

    flicker = sqrt(mean over still pixels and colors of (painted_t - painted_(t-1))^2)

in levels of 255 (Ruder et al. 2016 measure the same with optical flow). `--pan DX DY` moves the
frame before by so many pixels first: a scene that the camera passes at a constant speed stands
still then. The clip's own flicker is its noise, below which nothing is asked for. Without --against
the video is compared with itself.
"""

import argparse
import dataclasses
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from din_jax.command_line import Parser
from din_jax.data.video import Frame, VideoReader
from din_jax.errors import UserError, exit_status

SIGMA = 3.0  # pixels
STILL = 4.0  # levels of 255


@dataclasses.dataclass(frozen=True)
class Flicker:
    """Of all pairs of neighboring frames together.

    Attributes:
      painted, content: levels of 255, at the still pixels; NaN if there are none.
      still: share of pixels that stand still.
      frames: how many were compared.
    """

    painted: float
    content: float
    still: float
    frames: int


def measure_flicker(
    painted: Iterable[np.ndarray], content: Iterable[np.ndarray], pan: tuple[int, int] = (0, 0)
) -> Flicker:
    """The flicker of a painted video and of its content, two frames of each in memory.

    Args:
      painted, content: uint8 [H, W, 3] frames of one size, as many of each.
      pan: by how many pixels (right, down) the scene moves from frame to frame.

    Raises:
      UserError: frames differ in size, are fewer than two, or do not overlap.
    """
    squares, still, pixels, frames = np.zeros(2), 0, 0, 0
    before = None
    for pair in zip(painted, content, strict=False):
        # An odd last row or column is not written.
        height, width = np.min([x.shape[:2] for x in pair], 0)
        if any(abs(x.shape[0] - height) + abs(x.shape[1] - width) > 2 for x in pair):
            raise UserError(
                "a painted video and its content must have frames of one size, not "
                f"{[x.shape[1::-1] for x in pair]}."
            )
        now = [x[:height, :width].astype(np.float32) for x in pair]
        frames += 1
        if before is not None:
            of_painted, of_content = (
                _difference(a, b, pan) for a, b in zip(before, now, strict=True)
            )
            smooth = ndimage.gaussian_filter(of_content, (SIGMA, SIGMA, 0))
            stands = (np.abs(smooth) < STILL).all(-1)
            still += stands.sum()
            pixels += stands.size
            squares += [np.square(x[stands]).sum() for x in (of_painted, of_content)]
        before = now
    if frames < 2:
        raise UserError(f"flicker is measured between frames, and there are {frames}.")
    levels = [math.sqrt(x / (3 * still)) if still else math.nan for x in squares]
    return Flicker(*levels, still / pixels, frames)


def _difference(before: np.ndarray, now: np.ndarray, pan: tuple[int, int]) -> np.ndarray:
    """The frame less the one before moved by `pan`, where both are."""
    right, down = pan
    height, width = now.shape[:2]
    if abs(right) >= width or abs(down) >= height:
        raise UserError(f"a pan of {right}, {down} px leaves nothing of {width} x {height} px.")
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, right), width + min(0, right))
    then = before[
        rows.start - down : rows.stop - down, columns.start - right : columns.stop - right
    ]
    return now[rows, columns] - then


def frames_of(reader: VideoReader, limit: int) -> Iterator[np.ndarray]:
    frames = (part.picture for part in reader if isinstance(part, Frame))
    return itertools.islice(frames, limit or None)


def run(flags: argparse.Namespace):
    if flags.limit < 0:
        raise UserError("--limit must be 0 (all frames) or more.")
    against = flags.against or flags.video
    with VideoReader(Path(flags.video)) as painted, VideoReader(Path(against)) as content:
        found = measure_flicker(
            frames_of(painted, flags.limit), frames_of(content, flags.limit), tuple(flags.pan)
        )
    print(f"{found.frames} frames, {100 * found.still:.1f} % of the pixels stand still")
    print(f"flicker there, levels of 255: {found.painted:.3f}", end="")
    print(f"  (of the content {found.content:.3f})" if flags.against else "")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("video", help="the painted video")
    add("--against", default="", metavar="VIDEO", help="the clip that it was painted from")
    add("--pan", type=int, nargs=2, default=(0, 0), metavar=("DX", "DY"), help="pixels by which "
        "the scene moves from frame to frame, right and down")
    add("--limit", type=int, default=0, help="most frames; 0: all")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
