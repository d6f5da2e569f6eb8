"""Figure 7: flat, non-natural pictures by AdaIN, standard and spatially adaptive DIN.

Measured as in `evaluation.texture`: the energy of what is finer than six pixels where the content
shows nothing, and whether that is the style's own texture or the same in every style.
"""

import numpy as np

from din_jax.data.decoding import load_image
from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.paper.bench import METHODS, Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge
from din_jax.evaluation.paper.sheets import titled
from din_jax.evaluation.texture import fine_part, flat_pictures, measure, paint

SOURCE = "Jing et al. 2020, figure 7"
SPATIAL = "spatially adaptive"
MODELS = {
    "AdaIN": METHODS["AdaIN"],
    "standard DIN": {},
    SPATIAL: {"transform": "spatial"},
}
SHOWN = 5  # styles


def make(bench: Bench) -> Result:
    """Paints flat pictures in all styles by each, and compares the energy of their texture."""
    flats = flat_pictures(bench.setting.size)
    styles = [load_image(path) for path in bench.styles]
    engines = {name: bench.engine(run) for name, run in bench.trained(MODELS).items()}
    painted = {
        name: [paint(engine, list(flats.values()), style) for style in styles]
        for name, engine in engines.items()
    }
    # Energy of each flat picture in each style, [flats, styles], squared levels of 255.
    energy = {
        name: np.array([[np.var(fine_part(x)) for x in row] for row in rows]).T
        for name, rows in painted.items()
    }
    bootstrap = CrossedBootstrap(len(flats), len(styles))
    verdicts = [
        judge(
            Claim(
                f"The spatially adaptive DIN places strokes uniformly on flat pictures, where "
                f"{other} leaves areas empty.",
                SOURCE,
            ),
            bootstrap.interval(np.log10(energy[SPATIAL] / energy[other])),
            f"log10 of texture energy in flat areas, {SPATIAL} over {other},",
            bench.budget,
            decisive=bench.decisive,
        )
        for other in ("AdaIN", "standard DIN")
    ]
    numbers = []
    for name, rows in painted.items():
        texture = measure(rows, styles)
        numbers.append(
            {
                "method": name,
                "texture energy": float(energy[name].mean()),
                "same lines in every style": texture.same_place,
                "nearer its own style": texture.own_style,
                "regular pattern": texture.peak,
            }
        )
    columns = {"style": styles[:SHOWN]}
    for k, flat in list(enumerate(flats))[:2]:
        columns |= {
            f"{name}\non {flat}": [row[k] for row in rows[:SHOWN]] for name, rows in painted.items()
        }
    notes = [
        "Energy alone is no merit: a network's own crosshatch has it too, which is why the last "
        "three columns are there (evaluation.texture says what they are).",
        "The flat pictures are gray, three colors (both with a camera's noise) and a gradient.",
    ]
    return Result(
        "Figure 7: flat pictures", verdicts, numbers, titled(columns), notes
    )
