"""The table of `din_jax.tools.accelerator`, and what follows from it."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from din_jax.tools.accelerator_cases import Stylization
from din_jax.tools.accelerator_plan import (
    ALONE,
    CEILINGS,
    CHANNELS_LAST,
    COMPILED,
    EAGER,
    OURS,
    RIVALS,
    Job,
    Training,
    default_operation,
    title,
)
from din_jax.tools.bench_cases import Case
from din_jax.tools.pace import FRESH
from din_jax.tools.rows import Row, Rows

Jobs = Mapping[str, Job]
COLUMNS = (
    "row", "ms", "from-to", "runs", "theirs / ours", "compile s", "GiB", "GB/s", "%", "TFLOP/s",
    "%", "roofline %", "model %", "note",
)  # fmt: skip

MARGIN = 0.95  # a form is worth a change from this part of the time on


def ceilings(rows: Rows, jobs: Jobs) -> dict[str, float]:
    """Bytes/s as "bytes" and FLOP/s by dtype, of those that were measured."""
    found: dict[str, float] = {}
    for name, job in jobs.items():
        row = rows.rows.get(name, {})
        if job.case not in CEILINGS:
            continue
        if "bytes_s" in row:
            found["bytes"] = max(row["bytes_s"], found.get("bytes", 0.0))
        if "flops_s" in row:
            found[job.case.removeprefix("product ")] = row["flops_s"]
    return found


def fractions(row: Row, job: Job, limits: Mapping[str, float]) -> dict[str, float]:
    """Of a row: "bytes" and "flops" a second as XLA counts them, "macs" a second, doubled; each
    over its ceiling as well, as "bytes_part" and so on; "roofline", the larger of the first two."""
    found: dict[str, float] = {}
    if job.case in CEILINGS or "ms" not in row:
        return found
    dtype = job.case.dtype
    for name, ceiling in (("bytes", "bytes"), ("flops", dtype), ("macs", dtype)):
        if (amount := row.get(name) or 0) > 0:
            found[name] = (2 if name == "macs" else 1) * amount / (1e-3 * row["ms"])
            if ceiling in limits:
                found[f"{name}_part"] = found[name] / limits[ceiling]
    parts = [found[name] for name in ("bytes_part", "flops_part") if name in found]
    return found | ({"roofline": max(parts)} if parts else {})


def cells(name: str, rows: Rows, jobs: Jobs, limits: Mapping[str, float]) -> list[str]:
    """A row's cells, in the order of `COLUMNS`."""
    row, job = rows.rows[name], jobs[name]
    if "error" in row:
        return [name, *[""] * (len(COLUMNS) - 2), row["error"]]
    f = fractions(row, job, limits)

    def number(value: float | None, form: str = ".3g") -> str:
        return "" if value is None else f"{value:{form}}"

    def part(key: str) -> str:
        return number(100 * f[key] if key in f else None, ".0f")

    def scaled(value: float | None, by: float) -> str:
        return number(None if value is None else value / by)

    bytes_s, flops_s = row.get("bytes_s", f.get("bytes")), row.get("flops_s", f.get("flops"))
    notes = [row[key] for key in ("note",) if key in row]
    if row.get("difference") is not None:
        notes.append(f"differs by {row['difference']:.0e}")
    if isinstance(job.case, Training) and job.case.part.startswith("step"):
        notes.append(f"{1e3 * job.case.batch / row['ms']:.3g} pairs/s")
    return [
        name, number(row["ms"], ".4g"), f"{row['low']:.4g}-{row['high']:.4g}",
        f"{row['runs']}x{row['calls']}", number(_ratio(row, job, rows), ".2f"),
        number(row.get("compile_s"), ".1f"), scaled(row.get("memory"), 2**30),
        scaled(bytes_s, 1e9), part("bytes_part"), scaled(flops_s, 1e12), part("flops_part"),
        part("roofline"), part("macs_part"), "; ".join(notes),
    ]  # fmt: skip


def _ratio(row: Row, job: Job, rows: Rows) -> float | None:
    """Theirs over ours: in turn, or of two rows where each had the device for itself."""
    ours = rows.rows.get(f"{title(job.case)}: {OURS}", {}).get("ms")
    if "ratio" in row or job.stage != ALONE or ours is None:
        return row.get("ratio")
    return row["ms"] / ours


def line(name: str, rows: Rows, jobs: Jobs) -> str:
    """A row as it is told while measuring."""
    named = zip(COLUMNS, cells(name, rows, jobs, ceilings(rows, jobs)), strict=True)
    first, *others = [(key, value) for key, value in named if value]
    told = [value if key == "note" else f"{value} {key}" for key, value in others]
    return f"{first[1]}: {', '.join(told)}"


def report(rows: Rows, jobs: Jobs) -> str:
    """Markdown: what was measured with, what follows, and the table."""
    limits = ceilings(rows, jobs)
    facts = ", ".join(f"{key} {value}" for key, value in rows.facts.items() if value is not None)
    lines = [facts, "", *(f"- {text}" for text in (*verdicts(rows, jobs), *choices(rows, jobs)))]
    lines += ["", f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    known = [name for name in jobs if name in rows.rows]
    lines += [f"| {' | '.join(cells(name, rows, jobs, limits))} |" for name in known]
    return "\n".join(lines) + "\n"


def verdicts(rows: Rows, jobs: Jobs) -> Iterator[str]:
    """What was aimed at, and what was reached: pictures of the first size, then training."""
    limits = ceilings(rows, jobs)
    pictures = [job for job in jobs.values() if job.stage in ("pictures", "compiled")]
    for case in dict.fromkeys(j.case for j in pictures if isinstance(j.case, Stylization)):
        found = {c: rows.rows.get(f"{title(case)}: {c}", {}) for c in (OURS, *RIVALS)}
        eager = [found[c]["ratio"] for c in (EAGER, CHANNELS_LAST) if "ratio" in found[c]]
        if eager:
            yield _target(title(case), "eager PyTorch's time over ours", min(eager), 2.0)
        if "ratio" in found[COMPILED]:
            ratio = found[COMPILED]["ratio"]
            yield _target(title(case), "torch.compile's time over ours", ratio, 1.0)
        part = fractions(found[OURS], Job("", case, OURS), limits).get("bytes_part")
        if part and case.batch == max(j.case.batch for j in pictures if j.contender == OURS):
            yield _target(title(case), "bandwidth over a copy's", part, 0.6)
    for job in jobs.values():
        if isinstance(job.case, Training) and job.case.part == FRESH:
            row = rows.rows.get(job.task.name, {})
            part = fractions(row, job, limits).get("macs_part")
            if part and job.case.dtype == "bfloat16":
                yield _target(title(job.case), "model FLOPs utilization", part, 0.4)


def _target(what: str, of: str, value: float, aim: float) -> str:
    return f"{what}: {of} {value:.2f}, {'reached' if value >= aim else 'missed'} (aim {aim:.2g})"


def choices(rows: Rows, jobs: Jobs) -> Iterator[str]:
    """The fastest form of every operation beside the one that is taken by itself."""

    def key(job: Job) -> Any:
        return job.case

    ours = [job for job in jobs.values() if job.contender not in RIVALS]
    backend = "shift" if rows.facts.get("platform") == "cpu" else "conv"
    operations = [job for job in ours if isinstance(job.case, Case)]
    for case, of_case in itertools.groupby(operations, key=key):
        taken = default_operation(case, backend)
        yield from _choice(title(case), taken, _times(rows, of_case, lambda j: j.contender))
    formed = [j for j in ours if isinstance(j.case, Stylization) and j.case.form != "auto"]
    yield from _choice("static convolutions", backend, _times(rows, formed, lambda j: j.case.form))


def _times(rows: Rows, jobs: Iterator[Job], name: Callable[[Job], str]) -> dict[str, float]:
    found = {name(job): rows.rows.get(job.task.name, {}).get("ms") for job in jobs}
    return {form: ms for form, ms in found.items() if ms is not None}


def _choice(what: str, taken: str, times: Mapping[str, float]) -> Iterator[str]:
    if taken not in times or len(times) < 2:
        return
    best = min(times, key=times.get)
    faster = times[best] < MARGIN * times[taken]
    advice = f"take {best}" if faster else "keep it"
    others = ", ".join(f"{form} {ms:.3g} ms" for form, ms in times.items())
    yield f"{what}: {others}; {taken} is taken here: {advice}"
