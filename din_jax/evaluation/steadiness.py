"""What --steady does against flicker, on drawn clips with a camera's noise; needs no video.

python -m din_jax.evaluation.steadiness
python -m din_jax.evaluation.steadiness --style mosaic --seconds 0 0.25 1 --noise 1.5 4

Of a drawn scene 256 x 192 pixels are shown at 25 frames a second: standing still while something
small walks by; passed by the camera at two pixels a frame; and standing still while something that
fills half of it enters. Each is painted with its statistics and its still pixels averaged over some
seconds (0: each frame by itself), and its flicker measured (`evaluation.flicker`) beside the
clip's own.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from din_jax.command_line import Parser
from din_jax.data.drawn.synthetic import SyntheticContent
from din_jax.errors import UserError, exit_status
from din_jax.evaluation.flicker import measure_flicker
from din_jax.inference.steady import SteadyEngine
from din_jax.inference.stylizer import INCLUDED, Stylizer
from din_jax.memory import keep_freed_memory

HEIGHT, WIDTH = 192, 256  # pixels
RATE = 25  # frames a second
SPEED = 2  # pixels a frame, of the pan
SCENE = 512  # pixels, side of the drawn scene

Draw = Callable[[np.ndarray, int], np.ndarray]


def still(scene: np.ndarray, t: int) -> np.ndarray:
    """Something small walks by."""
    frame = scene[100 : 100 + HEIGHT, 60 : 60 + WIDTH].copy()
    frame[80:110, 10 + 4 * t : 30 + 4 * t] = (230, 40, 40)
    return frame


def passed(scene: np.ndarray, t: int) -> np.ndarray:
    """The camera moves to the right."""
    left = 60 + SPEED * t
    return scene[100 : 100 + HEIGHT, left : left + WIDTH].copy()


def entered(scene: np.ndarray, t: int) -> np.ndarray:
    """After six frames something large and bright comes in, 30 pixels a frame."""
    frame = scene[100 : 100 + HEIGHT, 60 : 60 + WIDTH].copy()
    frame[:, : min(WIDTH // 2, max(0, 30 * (t - 6)))] = (250, 240, 90)
    return frame


CLIPS: dict[str, tuple[Draw, tuple[int, int]]] = {
    "still": (still, (0, 0)),
    "pan": (passed, (-SPEED, 0)),
    "enters": (entered, (0, 0)),
}


def drawn_clip(draw: Draw, noise: float, frames: int) -> Iterator[np.ndarray]:
    """Frames uint8 [192, 256, 3], with normal noise of a standard deviation in levels of 255."""
    scene = SyntheticContent(4, 0, SCENE)[3]
    rng = np.random.default_rng(0)
    for t in range(frames):
        frame = draw(scene, t)
        noisy = frame + rng.normal(0, noise, frame.shape)
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def painted_clip(stylizer: Stylizer, code, frames: list[np.ndarray], seconds: float) -> list:
    """The frames in a style, averaged over so many seconds."""
    engine = stylizer.engine
    if seconds:
        stylizer.engine = SteadyEngine(engine, math.exp(-1 / (RATE * seconds)))
    try:
        batches = range(0, len(frames), engine.batch)
        parts = [stylizer.stylize(frames[i : i + engine.batch], code) for i in batches]
    finally:
        stylizer.engine = engine
    return [picture for part in parts for picture in part]


def run(flags: argparse.Namespace):
    if flags.frames < 2 or flags.frames > 64 or min(*flags.seconds, *flags.noise, 0) < 0:
        raise UserError("--frames must be 2 to 64, and --seconds and --noise 0 or more.")
    stylizer = Stylizer.load(flags.model)
    code = stylizer.encode_style(flags.style)
    print("clip    noise  seconds  flicker  of the clip")
    for name, (draw, pan) in CLIPS.items():
        for noise in flags.noise:
            frames = list(drawn_clip(draw, noise, flags.frames))
            for seconds in flags.seconds:
                painted = painted_clip(stylizer, code, frames, seconds)
                found = measure_flicker(painted, frames, pan)
                print(
                    f"{name:6}  {noise:5.1f}  {seconds:7.2f}  {found.painted:7.2f}  "
                    f"{found.content:11.2f}",
                    flush=True,
                )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--model", default=INCLUDED, help="included model, model file or run directory")
    add("--style", default="waves", help="picture, or name of a style")
    add("--seconds", type=float, nargs="+", default=[0, 0.5], help="to average over")
    add("--noise", type=float, nargs="+", default=[1.5, 4], help="levels of 255")
    add("--frames", type=int, default=24)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    keep_freed_memory()
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
