"""report.html of a run: curves, pictures over time, settings, versions, the command, in one file.

RUN/report.html   reads nothing beside itself, and runs no script
RUN/started.json  {"command", "versions", "devices", "processes", "platform"} of the last start
"""

import base64
import csv
import html
import io
import json
import math
import platform
import shlex
from collections import defaultdict
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from PIL import Image

from din_jax.data.decoding import load_image
from din_jax.errors import UserError
from din_jax.files import write_atomically
from din_jax.training.charts import BLUE, GREEN, ORANGE, Curve, chart
from din_jax.training.measures import COLUMNS, verdict
from din_jax.weights.runs import read_config

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "Pillow")
# Title and the last parts of metrics' names; of each, training's and validation's.
CHARTS = (
    ("total loss", "total"),
    ("content loss", "content"),
    ("style loss", "style"),
    ("loss of the predicted statistics", "descriptor"),
    ("norm of the gradient", "gradient_norm"),
    ("spread of a content's pictures over styles", "output_spread"),
    ("pairs a second", "images_per_second"),
    ("model FLOPs utilization", "mfu"),
    ("pairs a second, if the step never waited", "step_pairs_per_second"),
    ("share of the time that input took", "input_share"),
    ("most memory held at once, MiB", "peak_memory_mib"),
    ("steps skipped", "skipped"),
)
UNDRAWN = ("train/input_pairs_per_second",)  # measured once a start
GRIDS = 8  # picture sheets that are shown, evenly over the run
WIDEST = 1200  # px of a sheet in the page
MOST_ROWS = 5_000_000  # of metrics.csv
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1320px;margin:2em auto;padding:0 1em;color:#222}
h1,h2{font-weight:600}.charts{display:flex;flex-wrap:wrap;gap:1em}svg{max-width:100%;height:auto}
svg text{font:11px system-ui,sans-serif;fill:#444}svg .title{font-weight:600;fill:#222}
svg polyline{fill:none;stroke-width:1.5}svg .grid{stroke:#ddd}figure{margin:1em 0}
img{max-width:100%}pre{background:#f4f4f4;padding:1em;overflow:auto}
table{border-collapse:collapse}td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#262626}
svg text{fill:#bbb}svg .title{fill:#ddd}svg .grid{stroke:#333}}
"""


def note_start(run: Path, command: Sequence[str]) -> None:
    """Writes started.json; an `OSError` is the caller's."""
    found = {
        "command": shlex.join(command),
        "versions": {"Python": platform.python_version(), **_versions()},
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
        "platform": platform.platform(),
    }
    write_atomically(run / "started.json", json.dumps(found, indent=2) + "\n")


def leave_page(run: Path) -> None:
    """`write_page` at the end of a run, by its first process; that it fails is told."""
    if jax.process_index() == 0:
        try:
            write_page(run)
        except (OSError, UserError) as error:
            print(f"Warning: no report.html ({error}).")


def write_page(run: Path, path: Path | None = None) -> Path:
    """Writes report.html, or `path`, of a run that has logged something. Returns its path.

    Raises:
      UserError: the folder is no run, or has no metrics.csv.
    """
    config = read_config(run / "config.json").to_dict()
    metrics = read_metrics(run / "metrics.csv")
    last = max((steps[-1] for steps, _ in metrics.values()), default=0)
    name = html.escape(f"{config['name']}: {run.resolve().name}")
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{STYLE}</style><h1>{name}</h1>",
        f"<p>Step {last:,} of {config['train']['steps']:,}.</p>",
        _started(run / "started.json"),
        _summary(metrics),
        f'<h2>Curves</h2><div class="charts">{_charts(metrics)}</div>',
        _grids(run / "grids"),
        f"<h2>Settings</h2><pre>{html.escape(json.dumps(config, indent=2))}</pre></html>\n",
    ]
    return write_atomically(path or run / "report.html", "\n".join(parts))


Metrics = dict[str, tuple[list[int], list[float]]]


def read_metrics(path: Path) -> Metrics:
    """Steps and values of the metrics that the page shows, by their names.

    Raises:
      UserError: the file is not there, or has more than `MOST_ROWS` rows.
    """
    wanted = {f"{side}/{name}" for side in ("train", "validation") for _, name in CHARTS}
    wanted.update(UNDRAWN)
    found: Metrics = defaultdict(lambda: ([], []))
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            for number, row in enumerate(csv.reader(file)):
                if number > MOST_ROWS:
                    raise UserError(f"'{path}' has more than {MOST_ROWS:,} rows: shorten it.")
                if len(row) == 3 and row[1] in wanted and row[0].isdecimal():
                    value = _number(row[2])
                    found[row[1]][0].append(int(row[0][:18]))
                    found[row[1]][1].append(value)
    except (OSError, csv.Error) as error:
        raise UserError(
            f"'{path}' cannot be read ({error}); give the directory of a run that has logged."
        ) from error
    return dict(found)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _charts(metrics: Metrics) -> str:
    found = []
    for title, name in CHARTS:
        color = GREEN if name in COLUMNS else BLUE
        train, held = metrics.get(f"train/{name}"), metrics.get(f"validation/{name}")
        curves = [Curve("training", *train, color)] if train else []
        curves += [Curve("validation", *held, ORANGE, True)] if held else []
        found.append(chart(title, curves))
    return "".join(found)


def _summary(metrics: Metrics) -> str:
    """The last value of every curve, as a table."""
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{values[-1]:.5g}</td><td>step {steps[-1]:,}</td></tr>"
        for name, (steps, values) in sorted(metrics.items())
    ]
    return f"<h2>Last values</h2><table>{''.join(rows)}</table>{_speed(metrics)}"


def _speed(metrics: Metrics) -> str:
    """Which was the slower, the input or the step; "" for runs that have not measured it."""
    names = (name for name in COLUMNS if f"train/{name}" in metrics)
    last = {name: metrics[f"train/{name}"][1][-1] for name in names}
    if not {"step_pairs_per_second", "input_share"} <= last.keys():
        return ""
    return f"<p>{html.escape(verdict(last).capitalize())}.</p>"


def _started(path: Path) -> str:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        rows = {key: found[key] for key in ("devices", "processes", "platform")}
        rows |= found["versions"]
        command = str(found["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # a run of before there was any
    cells = "".join(
        f"<tr><td>{html.escape(str(k))}</td><td>{html.escape(str(v))}</td></tr>"
        for k, v in rows.items()
    )
    return (
        f"<h2>Command</h2><pre>{html.escape(command)}</pre>"
        f"<h2>Where it ran</h2><table>{cells}</table>"
    )


def _grids(folder: Path) -> str:
    paths = sorted(folder.glob("step_*.png"))
    if not paths:
        return ""
    count = min(GRIDS, len(paths))
    chosen = [paths[round(i * (len(paths) - 1) / max(count - 1, 1))] for i in range(count)]
    found = ["<h2>Held-out pairs: content, style, painted</h2>"]
    for path in chosen:
        step = html.escape(path.stem.removeprefix("step_").lstrip("0") or "0")
        try:
            data = _jpeg(path)
        except UserError as error:
            found.append(f"<p>step {step}: {html.escape(str(error))}</p>")
            continue
        found.append(
            f"<figure><figcaption>step {step}</figcaption>"
            f'<img alt="pictures of step {step}" src="data:image/jpeg;base64,{data}"></figure>'
        )
    return "".join(found)


def _jpeg(path: Path) -> str:
    image = Image.fromarray(load_image(path))
    image.thumbnail((WIDEST, 10 * WIDEST))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=88)
    return base64.b64encode(data.getvalue()).decode()


def _versions() -> dict[str, str]:
    found = {}
    for library in ("din_jax", *LIBRARIES):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue  # a clone that is not installed; grain is not needed for resident pictures
    return found
