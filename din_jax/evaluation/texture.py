"""What a model paints where the content shows nothing: whose texture is on flat pictures?

python -m din_jax.evaluation.texture MODEL [MODEL ...] --style paintings --output flat.png
python -m din_jax.evaluation.texture --draw FOLDER      leaves the flat pictures for other programs,
                                                        whose results --outputs NAME=FOLDER takes

Gray, three colors (both with a camera's noise: a convolution of a constant is a constant) and a
soft gradient are painted in every style. A flat area has no strokes of its own, so what is there is
the style's texture, or the network's: a crosshatch that looks alike in every style. Numbers tell
which, from the part of the brightness that is finer than `SIGMA`
pixels, and from its power spectrum (Welch 1967, over tiles of `TILE` pixels):

  strength    its standard deviation, in levels of 255
  same place  |correlation| of two styles' textures on the same picture: 1, the same lines at the
              same places
  same kind   overlap of two styles' spectra, sum of min(p, q): 1, textures of the same scale and
              direction
  own style   overlap of a texture's spectrum with its own style's, less that with the others'
  peak        power of the strongest frequency over the mean at its distance from zero: about 1.5,
              no direction is special; a regular pattern has 5 and more

The sheet shows the pictures, a row per style. With `--names` styles are named, not shown.
"""

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from din_jax.command_line import Parser, check_least, require_new
from din_jax.data.decoding import save_image
from din_jax.data.sheets import image_grid
from din_jax.errors import UserError, exit_status
from din_jax.evaluation.compare import heading, warn
from din_jax.evaluation.curves import run_labels
from din_jax.evaluation.folders import check_pattern, find_pairs, named
from din_jax.evaluation.pictures import find_images, names_of, read_images, read_picture
from din_jax.inference.engine import Engine
from din_jax.memory import keep_freed_memory
from din_jax.weights.models import load_model

SIGMA = 6.0  # pixels, of the Gaussian that is subtracted
TILE = 64  # pixels, side of the tiles whose spectra are averaged
COARSEST = 2  # cycles per tile; what is slower is shape, not texture
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
GRAY = (128, 128, 128)
COLORS = ((190, 80, 70), (80, 150, 90), (70, 100, 180))
NOISE = 1.5  # levels of 255, standard deviation


@dataclasses.dataclass(frozen=True)
class Texture:
    """The numbers of a model, each a mean over styles or pairs of styles; see the module."""

    strength: float
    same_place: float
    same_kind: float
    own_style: float
    peak: float


def flat_pictures(size: int) -> dict[str, np.ndarray]:
    """Pictures with nothing on them, uint8 [size, size, 3]: gray, three bands, a soft gradient."""
    rng = np.random.default_rng(0)
    band = np.arange(size) * len(COLORS) // size
    bands = np.broadcast_to(np.array(COLORS)[band], (size, size, 3))
    flat = {"gray": np.broadcast_to(GRAY, (size, size, 3)), "colors": bands}
    flat = {
        name: np.clip(np.round(x + rng.normal(0, NOISE, x.shape)), 0, 255).astype(np.uint8)
        for name, x in flat.items()
    }
    ramp = np.linspace(0, 1, size)
    mixed = (ramp[:, None] + ramp) / 2
    start, stop = np.array([90, 110, 150]), np.array([180, 160, 120])
    gradient = start + mixed[..., None] * (stop - start)
    return flat | {"gradient": np.round(gradient).astype(np.uint8)}


def fine_part(image: np.ndarray) -> np.ndarray:
    """Brightness of uint8 [H, W, 3] without what is coarser than `SIGMA` pixels, zero mean."""
    brightness = image @ LUMA
    fine = brightness - ndimage.gaussian_filter(brightness, SIGMA, mode="reflect")
    return fine - fine.mean()


def spectrum(fine: np.ndarray) -> np.ndarray:
    """Share of power at each frequency, [TILE, TILE // 2 + 1], of half-overlapping Hann tiles.

    Frequencies below `COARSEST` have none; the sum is 1 (all zeros for an empty picture).
    """
    window = np.hanning(TILE)[:, None] * np.hanning(TILE)
    starts = [range(0, n - TILE + 1, TILE // 2) for n in fine.shape]
    power = sum(
        np.abs(np.fft.rfft2(window * fine[i : i + TILE, j : j + TILE])) ** 2
        for i, j in itertools.product(*starts)
    )
    power = np.where(_radius() < COARSEST, 0, power)
    return power / max(power.sum(), 1e-12)


def overlap(p: np.ndarray, q: np.ndarray) -> float:
    """sum of min(p, q) of two spectra: 1 for equal ones, 0 for those that share no frequency."""
    return float(np.minimum(p, q).sum())


def peak(power: np.ndarray) -> float:
    """Power of the strongest frequency over the mean of those at the same distance from zero."""
    radius = np.round(_radius())
    means = ndimage.mean(power, radius, np.arange(radius.max() + 1))
    # Rings of few frequencies, in the corners, have no mean to speak of.
    inside = (radius >= COARSEST) & (radius < TILE // 2)
    ratio = power / np.maximum(means[radius.astype(int)], 1e-12)
    return float(ratio[inside][power[inside].argmax()])


def _radius() -> np.ndarray:
    """Distance from frequency zero, in cycles per tile."""
    down, across = np.fft.fftfreq(TILE, 1 / TILE), np.fft.rfftfreq(TILE, 1 / TILE)
    return np.hypot(down[:, None], across)


def measure(painted: Sequence[Sequence[np.ndarray]], styles: Sequence[np.ndarray]) -> Texture:
    """The numbers of one model.

    Args:
      painted: per style the painted flat pictures, uint8 [H, W, 3], in the same order.
      styles: the style pictures.
    """
    fine = [[fine_part(image) for image in row] for row in painted]
    spectra = [np.mean([spectrum(x) for x in row], 0) for row in fine]
    own = [spectrum(fine_part(style)) for style in styles]
    pairs = list(itertools.combinations(range(len(styles)), 2))
    places = [
        abs(np.corrcoef(a.ravel(), b.ravel())[0, 1])
        for i, j in pairs
        for a, b in zip(fine[i], fine[j], strict=True)
        if a.any() and b.any()
    ]
    gaps = [
        overlap(spectra[i], own[i])
        - np.mean([overlap(spectra[i], own[j]) for j in range(len(own)) if j != i])
        for i in range(len(own))
    ]
    return Texture(
        strength=float(np.mean([x.std() for row in fine for x in row])),
        same_place=float(np.mean(places)) if places else 0.0,
        same_kind=float(np.mean([overlap(spectra[i], spectra[j]) for i, j in pairs])),
        own_style=float(np.mean(gaps)),
        peak=float(np.mean([peak(power) for power in spectra])),
    )


def paint(engine: Engine, flats: Sequence[np.ndarray], style: np.ndarray) -> list[np.ndarray]:
    """Every flat picture in one style."""
    return engine.stylize(flats, engine.encode_style([style]))


def painted_by_others(
    folder: str, styles: Sequence[Path], size: int, pattern: str
) -> list[list[np.ndarray]]:
    """Per style another program's flat pictures, found by their names (`folders.find_pairs`).

    Raises:
      UserError: one of them is missing or no picture.
    """
    names = [Path(name) for name in flat_pictures(size)]
    grid = find_pairs(folder, names, styles, pattern)
    for name, row in zip(names, grid, strict=True):
        for style, path in zip(styles, row, strict=True):
            if path is None:
                raise UserError(
                    f"'{folder}' has no picture of {name} in the style of {style.stem}: paint all "
                    "pictures of --draw in every style."
                )
    return [[read_picture(path, size) for path in column] for column in zip(*grid, strict=True)]


def draw(folder: Path, size: int, overwrite: bool) -> None:
    """Writes the flat pictures."""
    paths = {folder / f"{name}.png": image for name, image in flat_pictures(size).items()}
    for path in paths:
        require_new(path, overwrite)
    for path, image in paths.items():
        print(save_image(path, image))


def run(flags: argparse.Namespace) -> None:
    check_least(flags, " pixels", size=2 * TILE)
    check_least(flags, limit=2)
    folders = named(flags.outputs, "--outputs")
    pattern = flags.pattern and check_pattern(flags.pattern)
    if flags.draw:
        draw(Path(flags.draw), flags.size, flags.overwrite)
    if not flags.models and not folders:
        if flags.draw:
            return
        raise UserError("there is nothing to measure: give models or --outputs.")
    if not flags.style or not flags.output:
        raise UserError("--style and --output are needed, to say what is painted and shown.")
    require_new(flags.output, flags.overwrite)
    keep_freed_memory()
    paths = find_images(flags.style, "style")
    styles = list(read_images(paths, flags.size, warn, most=flags.limit))
    if len(styles) < 2:
        raise UserError("textures are compared between styles: give a folder of two or more.")
    flats = flat_pictures(flags.size)
    used = {style.name for style in styles}
    paths = [path for path, name in zip(paths, names_of(paths), strict=True) if name in used]
    others = {
        name: painted_by_others(folder, paths, flags.size, pattern)
        for name, folder in folders.items()
    }
    labels = run_labels(flags.models)
    width = max(map(len, (*labels, *others, "model")))
    names = [field.name for field in dataclasses.fields(Texture)]
    print(f"{'model':{width}}  " + "  ".join(name.replace("_", " ") for name in names))
    titles, columns = [""], [[heading(s.name) if flags.names else s.image for s in styles]]
    for label, where in zip((*labels, *others), (*flags.models, *[""] * len(others)), strict=True):
        if where:
            engine = Engine(load_model(where, vgg=flags.vgg), batch=1, style_size=flags.size)
            painted = [paint(engine, list(flats.values()), style.image) for style in styles]
        else:
            painted = others[label]
        found = measure(painted, [style.image for style in styles])
        cells = [f"{getattr(found, name):{len(name)}.3f}" for name in names]
        print(f"{label:{width}}  " + "  ".join(cells), flush=True)
        titles += [f"{label}: {name}" if i == 0 else name for i, name in enumerate(flats)]
        columns += zip(*painted, strict=True)
    rows = [[heading(title) for title in titles], *zip(*columns, strict=True)]
    print(save_image(Path(flags.output), image_grid(rows)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("models", nargs="*", help="included models, model files or run directories")
    add("--style", default="", help="folder of pictures")
    add("--output", default="", help="sheet to write, .png or .jpg")
    add("--overwrite", action="store_true", help="replace the files if they are there")
    add("--draw", default="", metavar="FOLDER", help="write the flat pictures there")
    add("--outputs", action="append", default=[], metavar="NAME=FOLDER",
        help="another program's pictures of them in every style; may be given again")
    add("--pattern", default="", help="what it calls them, as '{content}_stylized_{style}'")
    add("--size", type=int, default=256, help="side of all pictures, pixels")
    add("--limit", type=int, default=16, help="most styles, the first ones")
    add("--names", action="store_true", help="of the styles, not the pictures themselves")
    add("--vgg", default="", help="VGG-19 weights, for a model that contains one")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
