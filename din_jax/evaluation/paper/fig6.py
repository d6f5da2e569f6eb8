"""Figure 6: do a deformable DIN's strokes follow the objects?

Measured on photographs' commonest case, a sharp object before a blurred ground, put together here
so that it is known where the object is. Stroke statistics of a region are the shares of its energy
by octave (of a Laplacian pyramid, three octaves of details): where strokes are finer on the object
than behind it, the shares of the two regions differ. Both networks see the same contents, so what
the content itself brings is in both.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from din_jax.data.decoding import load_image
from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.judges import LUMA, OCTAVES, laplacian_pyramid
from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge
from din_jax.evaluation.paper.sheets import titled

CLAIM = Claim(
    "Deformable dynamic convolutions control strokes by place: they differ between fore- and "
    "background.",
    "Jing et al. 2020, figure 6",
)
STANDARD, DEFORMABLE = "standard DIN", "deformable DIN"
KERNEL = {"dynamic_kernel": 3, "dynamic_groups": 0}
# The same kernels, sampled on the grid or at offsets from it.
MODELS = {STANDARD: KERNEL, DEFORMABLE: KERNEL | {"transform": "deformable"}}
AXES = (0.34, 0.3)  # of the object's ellipse, shares of the picture's sides
BLUR = 1 / 32  # standard deviation of the ground's blur, share of the side
SHOWN = 5


def object_mask(size: int) -> np.ndarray:
    """Where the object is, bool [size, size]."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    return (y / AXES[0]) ** 2 + (x / AXES[1]) ** 2 < 1


def before_a_ground(picture: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The middle of a square picture, sharp, before another one blurred; uint8 [N, N, 3]."""
    size = len(picture)
    blurred = ndimage.gaussian_filter(ground.astype(float), (BLUR * size, BLUR * size, 0))
    soft = ndimage.gaussian_filter(object_mask(size).astype(float), 1.0)[..., None]
    return np.round(soft * picture + (1 - soft) * blurred).astype(np.uint8)


def shares(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Share of a region's energy in each octave, finest first, [OCTAVES]; sums to one."""
    energies = []
    for level in laplacian_pyramid(image)[:OCTAVES]:
        brightness = level @ LUMA
        energies.append(np.square(brightness[region]).mean())
        region = region[::2, ::2]
    return np.array(energies) / max(sum(energies), 1e-12)


def stroke_distance(image: np.ndarray, mask: np.ndarray) -> float:
    """How much the strokes on and off the object differ: 0, alike; 1, of other octaves."""
    # Octaves of several pixels reach across the border, which is left out.
    inner = ndimage.binary_erosion(mask, iterations=4)
    outer = ~ndimage.binary_dilation(mask, iterations=4)
    return float(0.5 * np.abs(shares(image, inner) - shares(image, outer)).sum())


def make(bench: Bench) -> Result:
    """Trains both, and compares the distance between strokes on and off the object."""
    pictures = [load_image(path) for path in bench.contents]
    contents = [
        before_a_ground(x, pictures[(i + 1) % len(pictures)]) for i, x in enumerate(pictures)
    ]
    styles = [load_image(path) for path in bench.styles]
    mask = object_mask(bench.setting.size)
    painted = {
        name: painted_by(bench.engine(run), contents, styles)
        for name, run in bench.trained(MODELS).items()
    }
    distance = {
        name: np.array([[stroke_distance(x, mask) for x in row] for row in rows])
        for name, rows in painted.items()
    }
    difference = CrossedBootstrap(len(contents), len(styles)).interval(
        distance[DEFORMABLE] - distance[STANDARD]
    )
    own = float(np.mean([stroke_distance(x, mask) for x in contents]))
    numbers = [{"picture": "the contents themselves", "stroke distance": own}]
    numbers += [
        {"picture": name, "stroke distance": float(values.mean())}
        for name, values in distance.items()
    ]
    count = min(SHOWN, max(len(contents), len(styles)))
    places = [(k % len(contents), k % len(styles)) for k in range(count)]
    columns = {
        "content": [contents[i] for i, _ in places],
        "style": [styles[j] for _, j in places],
        **{name: [rows[i][j] for i, j in places] for name, rows in painted.items()},
    }
    what = "The distance between strokes on and off the object, deformable less standard,"
    return Result(
        "Figure 6: strokes that follow the objects",
        [judge(CLAIM, difference, what, bench.budget, decisive=bench.decisive)],
        numbers, titled(columns),
        ["Both have depthwise 3x3 kernels; the one samples them at offsets.", "One seed."],
    )  # fmt: skip


def painted_by(engine, contents: Sequence[np.ndarray], styles: Sequence[np.ndarray]) -> list:
    """Pictures [contents][styles]."""
    columns = [engine.stylize(contents, engine.encode_style([style])) for style in styles]
    return [list(row) for row in zip(*columns, strict=True)]
