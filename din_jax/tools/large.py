"""Seconds and peak memory of painting one picture of any size, compilation apart.

python -m din_jax.tools.large --size 6000x4000
python -m din_jax.tools.large --size 6000x4000 --memory 2 --model runs/din

The picture is smooth noise. It is painted once; --twice paints it once more, with all compiled.
"""

import argparse
import json
import re
import resource
import sys
import time
from collections.abc import Sequence

from din_jax.command_line import Parser
from din_jax.errors import UserError, exit_status
from din_jax.memory import keep_freed_memory


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--model", default="din_portable", help="name, file or run directory")
    parser.add_argument("--size", default="6000x4000", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--tile", type=int, help="side of the pieces; 0: whole; default: by memory")
    parser.add_argument("--memory", type=float, help="GB that painting may take; default: half")
    parser.add_argument("--dtype", default="float32", help="float32 or bfloat16")
    parser.add_argument("--twice", action="store_true", help="once more, with all compiled")
    parser.add_argument("--json", action="store_true", help="the same numbers as JSON")
    return parser.parse_args(arguments)


def size_of(text: str) -> tuple[int, int]:
    """(height, width) of "WIDTHxHEIGHT".

    Raises:
      UserError: it is not that.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if not found:
        raise UserError(f"--size must be WIDTHxHEIGHT in pixels, as 6000x4000, not {text[:80]!r}.")
    return int(found[2]), int(found[1])


def peak_bytes() -> int:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measured(flags: argparse.Namespace) -> dict[str, float]:
    """Seconds and bytes by name."""
    keep_freed_memory()
    import numpy as np
    from PIL import Image

    from din_jax.inference.engine import Engine
    from din_jax.weights.models import load_model

    height, width = size_of(flags.size)
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    small, style = (Image.fromarray(x).resize((256, 256), Image.Resampling.BICUBIC) for x in noise)
    content = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    memory = None if flags.memory is None else int(flags.memory * 1e9)
    engine = Engine(
        load_model(flags.model), batch=1, tile=flags.tile, memory=memory, dtype=flags.dtype
    )
    code = engine.encode_style([np.asarray(style)])
    before, found = peak_bytes(), {"megapixels": height * width / 1e6}
    for again in range(1 + flags.twice):
        began = time.perf_counter()
        picture = engine.stylize([content], code)[0]
        found["seconds again" if again else "seconds"] = time.perf_counter() - began
    assert picture.shape == content.shape
    found |= {"programs": engine.compilations, "peak MB": peak_bytes() / 1e6}
    found["peak MB before"] = before / 1e6
    found["MB per megapixel"] = (peak_bytes() - before) / 1e6 / found["megapixels"]
    return found


def run(flags: argparse.Namespace) -> None:
    found = measured(flags)
    if flags.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:18}{value:10.1f}")


def main() -> int:
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
