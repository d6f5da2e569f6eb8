"""Figure 8: losses of DIN and AdaIN while they are trained, over several seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from din_jax.evaluation.curves import read_curves
from din_jax.evaluation.paper.bench import METHODS, Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge, over_seeds
from din_jax.evaluation.paper.sheets import curves

SOURCE = "Jing et al. 2020, figure 8"
METHODS_SHOWN = ("DIN", "AdaIN")
LOSSES = {"content": "content loss", "style": "style loss"}


def make(bench: Bench) -> Result:
    """Trains both with each seed; the verdicts are on held-out pairs at the last step."""
    seeds = bench.setting.seeds
    runs = {
        name: [bench.train(bench.config(METHODS[name], seed=seed)) for seed in seeds]
        for name in METHODS_SHOWN
    }
    panels, verdicts, last = {}, [], {}
    for key, title in LOSSES.items():
        panels[f"Training {title}"] = {
            name: series(paths, f"train/{key}") for name, paths in runs.items()
        }
        held_out = {name: series(paths, f"validation/{key}") for name, paths in runs.items()}
        last[key] = {name: values[:, -1] for name, (_, values) in held_out.items()}
        # The same seed has the same data and, of random features, the same network.
        ratio = over_seeds(np.log10(last[key]["AdaIN"] / last[key]["DIN"]))
        verdicts.append(
            judge(
                Claim(f"DIN reaches a lower {title} than AdaIN.", SOURCE), ratio,
                f"log10 of AdaIN's held-out {title} over DIN's, {len(seeds)} seeds,", bench.budget,
                decisive=bench.decisive,
            )
        )  # fmt: skip
    numbers = [
        {
            "method": name,
            "seed": seed,
            **{f"held-out {title}": float(last[key][name][i]) for key, title in LOSSES.items()},
        }
        for name in METHODS_SHOWN
        for i, seed in enumerate(seeds)
    ]
    notes = [f"Bands: least and greatest of {len(seeds)} seeds, which share data and rates."]
    return Result(
        "Figure 8: training curves", verdicts, numbers, curves(panels, "loss"), notes
    )


def series(runs: Sequence[Path], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps [N], values [runs, N]) of one number of some runs, at the steps that all have."""
    found = [read_curves(run)[name] for run in runs]
    steps = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in found)))
    values = [[dict(zip(s.tolist(), v, strict=True))[x] for x in steps] for s, v in found]
    return np.asarray(steps), np.asarray(values)
