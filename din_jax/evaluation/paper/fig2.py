"""Figure 2: AdaIN with one VGG-19 for content and style, with small encoders, with one for each.

"Unshared" has a second encoder, built as the content's, with weights of its own.
"""

from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.paper.bench import METHODS, Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge
from din_jax.evaluation.paper.measuring import number_rows, total
from din_jax.evaluation.paper.sheets import side_by_side

SOURCE = "Jing et al. 2020, figure 2"
VGG, SMALL, UNSHARED = "AdaIN, VGG-19", "AdaIN, small", "AdaIN, unshared"
MODELS = {
    VGG: METHODS["AdaIN"] | {"network": "vgg19", "levels": 1},
    SMALL: METHODS["AdaIN"],
    UNSHARED: METHODS["AdaIN"] | {"style_encoder": "unshared"},
}
CLAIMS = (
    (SMALL, VGG, "AdaIN needs a large encoder: with a small one its results are worse."),
    (UNSHARED, SMALL, "AdaIN needs a shared encoder: with one for each its results are worse."),
)


def make(bench: Bench) -> Result:
    """Trains the three, and compares what training minimizes, pair by pair."""
    runs = bench.trained(MODELS)
    grids = {name: bench.paint(run) for name, run in runs.items()} | bench.others()
    found = bench.measure(grids)
    bootstrap = CrossedBootstrap(*found[VGG]["style_loss"].shape)
    verdicts = [
        judge(
            Claim(text, SOURCE),
            bootstrap.interval(total(bench, found[worse]) - total(bench, found[better])),
            f"The total loss of '{worse}' less that of '{better}'",
            bench.budget,
            decisive=bench.decisive,
        )
        for worse, better, text in CLAIMS
    ]
    return Result(
        "Figure 2: AdaIN and its encoders", verdicts, number_rows(found),
        side_by_side(bench.contents, bench.styles, grids),
        ["All decoders were trained; VGG-19 itself never is.", "One seed."],
    )  # fmt: skip
