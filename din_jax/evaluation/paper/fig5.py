"""Figure 5: all methods side by side, trained equally in the lightweight network.

Other programs' pictures (`--outputs NAME=FOLDER`) stand beside, such as those that `din-jax rivals`
paints of the same contents and styles: Gatys, and AdaIN and WCT with VGG-19. They were not trained
on this budget, which the notes say.
"""

from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.paper.bench import METHODS, Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge
from din_jax.evaluation.paper.measuring import number_rows
from din_jax.evaluation.paper.sheets import side_by_side

SOURCE = "Jing et al. 2020, figure 5"


def make(bench: Bench) -> Result:
    """Trains the methods of the bench, and compares their losses pair by pair."""
    runs = bench.trained(METHODS)
    grids = {name: bench.paint(run) for name, run in runs.items()} | bench.others()
    found = bench.measure(grids)
    bootstrap = CrossedBootstrap(*found["DIN"]["style_loss"].shape)
    verdicts = []
    for other in [name for name in METHODS if name != "DIN"]:
        difference, contents = (
            bootstrap.interval(found[other][name] - found["DIN"][name])
            for name in ("style_loss", "content_loss")
        )
        text = f"With a lightweight encoder DIN brings more of a style than {other}."
        claim = Claim(text, SOURCE)
        more = f"In content loss it is {contents.mean:.3g}."
        verdicts.append(
            judge(
                claim, difference, f"{other}'s style loss less DIN's", bench.budget,
                decisive=bench.decisive, reason=more,
            )
        )  # fmt: skip
    notes = ["One seed; intervals are over contents and styles."]
    if bench.outputs:
        notes.append(f"Not trained here, on whatever budget: {', '.join(bench.outputs)}.")
    return Result(
        "Figure 5: methods side by side", verdicts, number_rows(found),
        side_by_side(bench.contents, bench.styles, grids), notes,
    )  # fmt: skip
