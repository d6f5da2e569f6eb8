"""Figure 9: what the design is worth: convolutions, levels, kernels."""

from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge, judge_alike
from din_jax.evaluation.paper.measuring import number_rows, total
from din_jax.evaluation.paper.sheets import side_by_side

SOURCE = "Jing et al. 2020, figure 9"
OURS = "separable, 3 levels, 1x1"
STANDARD, SINGLE = "standard convolutions", "1 level"
MODELS = {
    OURS: {},
    STANDARD: {"separable": False},
    SINGLE: {"levels": 1},
    "3x3 kernel": {"dynamic_kernel": 3},
    "5x5 kernel": {"dynamic_kernel": 5},
}
ALIKE = 0.05  # of the total loss: less counts as the same quality


def make(bench: Bench) -> Result:
    """Trains each with one thing changed, and compares what training minimizes."""
    runs = bench.trained(MODELS)
    grids = {name: bench.paint(run) for name, run in runs.items()}
    found = bench.measure(grids)
    totals = {name: total(bench, numbers) for name, numbers in found.items()}
    bootstrap = CrossedBootstrap(*totals[OURS].shape)
    more = {"budget": bench.budget, "decisive": bench.decisive}
    verdicts = [
        judge_alike(
            Claim(
                "Depthwise separable convolutions keep the quality of standard ones, at a fraction "
                "of their cost.", SOURCE,
            ),
            bootstrap.interval(totals[OURS] - totals[STANDARD]),
            ALIKE * float(totals[STANDARD].mean()),
            "The total loss with separable convolutions less that with standard ones", **more,
        ),
        judge(
            Claim("Three levels stylize better than the deepest alone.", SOURCE),
            bootstrap.interval(totals[SINGLE] - totals[OURS]),
            "The total loss of one level less that of three", **more,
        ),
        *(
            judge(
                Claim(
                    f"A dynamic convolution with a larger kernel ({name[:3]}) stylizes better than "
                    "1x1.", SOURCE,
                ),
                bootstrap.interval(totals[OURS] - totals[name]),
                f"The total loss of 1x1 less that of {name[:3]}", **more,
            )
            for name in ("3x3 kernel", "5x5 kernel")
        ),
    ]  # fmt: skip
    rows = number_rows(found)
    for row in rows:
        row["total loss"] = float(totals[row["method"]].mean())
    return Result(
        "Figure 9: ablations", verdicts, rows, side_by_side(bench.contents, bench.styles, grids),
        ["One seed; intervals are over contents and styles. The paper shows pictures alone."],
    )  # fmt: skip
