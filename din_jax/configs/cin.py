"""CIN: one network for a few known styles, each a row of a table (Dumoulin et al. 2017).

    python train.py --config configs/cin.py:paintings --workdir runs/cin
    python train.py --config configs/cin.py:demo --workdir runs/cin-demo     needs no data
    python evaluate.py --checkpoint runs/cin --content photos --style paintings --output out

variant  data and weights              what to expect
FOLDER   COCO, a folder of paintings,  every picture of the folder becomes a style of the model,
         VGG-19                        named as its file; 40,000 steps, which nobody here has run
demo     none                          eight drawn styles, 150 steps on seeded random features

A style's code is a weight and a bias per channel of each styled layer, learned, not predicted: the
model paints in no other style, and needs neither the style's picture nor an encoder for it. A
folder of one picture trains the single-style network of Johnson et al. and Ulyanov et al. (2016).
`evaluate.py` takes a style by its file's name, the engine by name or number.

A painting more in FOLDER is learned by its row alone, all else standing bit for bit (their section
3.2), and begins at the mean of the others:

    python train.py --config configs/cin.py:FOLDER --workdir runs/more \\
        --config.train.initialize=runs/cin --config.train.only_styles=wave
"""

import dataclasses
from pathlib import Path

from din_jax.config import Config, TrainConfig
from din_jax.configs.din import DEMO, FAST, PAPER, PORTABLE
from din_jax.data.folders import FolderSource
from din_jax.errors import UserError


def table_of(config: Config, styles: tuple[str, ...]) -> Config:
    """The same run with a row for each style in the place of nets."""
    model = dataclasses.replace(
        config.model, code="cin", style_encoder="none", style_feature="relu4_1", styles=styles
    )
    return dataclasses.replace(config, name="cin", model=model)


def of_folder(folder: str) -> Config:
    """The run whose styles are all usable pictures of a folder.

    Raises:
      UserError: two have one name, or there is none.
    """
    first: dict[str, Path] = {}
    for path in FolderSource(folder).files:
        if path.stem in first:
            raise UserError(
                f"'{first[path.stem]}' and '{path}' would be styles of one name, '{path.stem}': "
                "rename one of them."
            )
        first[path.stem] = path
    names = tuple(first)
    run = dataclasses.replace(
        PAPER,
        data=dataclasses.replace(PAPER.data, style=folder),
        model=PORTABLE,
        optim=FAST,
        train=TrainConfig(steps=40_000),
    )
    return table_of(run, names)


def get_config(variant: str = ""):
    if variant == "demo":
        styles = tuple(f"SyntheticStyle {i}" for i in range(8))
        train = dataclasses.replace(DEMO.train, teacher_steps=0)
        return table_of(dataclasses.replace(DEMO, train=train), styles).to_config_dict()
    if not Path(variant).is_dir() or not variant:
        raise UserError(
            "configs/cin.py takes a folder of paintings or demo: --config "
            f"configs/cin.py:FOLDER, not {variant!r}."
        )
    return of_folder(variant).to_config_dict()
