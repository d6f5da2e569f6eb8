"""Table 1: operations at 512 x 512, counted from the modules of this program."""

from din_jax.evaluation.flops import PAPER_SIZE, count_table
from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.paper.findings import CONFIRMED, NOT_CONFIRMED, Claim, Result, Verdict
from din_jax.evaluation.paper.sheets import bars

TABLE = Claim(
    "The operations of each encoder and decoder are those of table 1.",
    "Jing et al. 2020, table 1",
)
TWENTY = Claim(
    "... for the first time enables an arbitrary style transfer using MobileNet-based lightweight "
    "architecture, leading to a reduction factor of more than twenty in computational cost as "
    "compared to existing approaches.",
    "Jing et al. 2020, abstract",
    quoted=True,
)
LIMIT = 0.01  # relative difference that counts as the same
COUNTED = f"a count of traced operations at {PAPER_SIZE} x {PAPER_SIZE}, no training"


def make(bench: Bench) -> Result:
    """Counts take seconds in either setting."""
    rows = [row for row in count_table() if row.paper]
    numbers = [
        {
            "model": row.model,
            "part": row.part,
            "paper": row.paper,
            "counted": row.operations.total,
            "relative difference": row.operations.total / row.paper - 1,
            "parameters": row.parameters,
        }
        for row in rows
    ]
    groups = {
        _on_lines(row.model, row.part): {"paper": row.paper, "counted": row.operations.total}
        for row in rows
    }
    return Result(
        "Table 1: operations", [_of_table(numbers), _of_twenty(numbers)], numbers,
        bars(groups, "operations"),
        ["Multiply-adds, biases, norms (2 each), ReLUs and maxima; see evaluation.operations."],
    )  # fmt: skip


def _on_lines(model: str, part: str) -> str:
    """A bar's name, short lines."""
    name = model.replace(" (", "\n(")
    return f"{name}\n{part.replace(' and ', chr(10) + 'and ')}"


def _of_table(numbers) -> Verdict:
    networks = [x for x in numbers if "nets" not in x["part"]]
    nets = [x for x in numbers if "nets" in x["part"]]
    worst = max(networks, key=lambda x: abs(x["relative difference"]))
    found = CONFIRMED if abs(worst["relative difference"]) < LIMIT else NOT_CONFIRMED
    reason = (
        f"the counts of {len(networks)} encoders and decoders are the paper's to "
        f"{100 * abs(worst['relative difference']):.2f} % ({worst['model']}, {worst['part']}). "
    )
    reason += " ".join(
        f"The {x['part']}, of which the paper gives no structure, are "
        f"{100 * x['relative difference']:+.1f} % of its figure."
        for x in nets
    )
    return Verdict(TABLE, found, reason, COUNTED)


def _of_twenty(numbers) -> Verdict:
    cost: dict[str, dict[str, float]] = {}
    for x in numbers:
        cost.setdefault(x["model"], {})[x["part"].rstrip("s")] = x["counted"]
    own = cost["DIN (MobileNet)"]
    content = {name: part["encoder"] + part["decoder"] for name, part in cost.items()}
    ratios = {
        name: content[name] / content["DIN (MobileNet)"] for name in ("AdaIN (VGG)", "WCT")
    }
    vgg = cost["AdaIN (VGG)"]["encoder"]
    # A new style costs one VGG-19 pass in both, and DIN its nets.
    new = (content["AdaIN (VGG)"] + vgg) / (
        content["DIN (MobileNet)"] + vgg + own["weight and bias net"]
    )
    held = [name for name, ratio in ratios.items() if ratio > 20]
    found = CONFIRMED if len(held) == len(ratios) else NOT_CONFIRMED
    reason = (
        "encoder and decoder, style known: "
        + ", ".join(f"{name} {ratio:.1f} times DIN's" for name, ratio in ratios.items())
        + f"; so it holds for {' and '.join(held) or 'none'}. With a new style read by VGG-19 "
        f"AdaIN takes {new:.1f} times."
    )
    return Verdict(TWENTY, found, reason, COUNTED)
