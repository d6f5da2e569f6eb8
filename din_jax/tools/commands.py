"""din_jax's commands: din-jax COMMAND ..., or from a clone python -m din_jax COMMAND ...

    din-jax photo.jpg painting.jpg        paints the first in the style of the second
    din-jax photo.jpg --style waves       in one that comes with the program (din-jax info)

Each answers `din-jax COMMAND --help`.
"""

import importlib
import sys
from pathlib import Path

from din_jax.errors import UserError, exit_status, loading

# Name to module, whose `main()` reads `sys.argv`, and what it does. Modules are imported when
# called for, so that neither this list nor a mistake in a name waits for JAX.
COMMANDS = {
    "train": ("din_jax.tools.train", "trains a model, or goes on with a run"),
    "evaluate": ("din_jax.tools.evaluate", "paints every content in every style, and measures"),
    "stylize": ("din_jax.tools.stylize", "paints pictures and videos in styles of your choice"),
    "info": ("din_jax.tools.info", "what a model or a style bank is, versions, devices"),
    "demo": ("din_jax.tools.demo", "paints with the included model"),
    "prepare": ("din_jax.data.prepare", "turns MS-COCO's and WikiArt's archives into data sets"),
    "compare": ("din_jax.evaluation.compare", "several models' pictures of the same pairs"),
    "curves": ("din_jax.evaluation.curves", "several runs' losses over their steps"),
    "table": ("din_jax.evaluation.table", "several programs on the same pairs, with intervals"),
    "paper": ("din_jax.evaluation.paper.__main__", "a figure of the papers, and what was found"),
    "texture": ("din_jax.evaluation.texture", "whose texture is on flat pictures"),
    "flicker": ("din_jax.evaluation.flicker", "how much a painted video flickers"),
    "rivals": ("din_jax.evaluation.rivals.command", "paints as Gatys, AdaIN, WCT, style swap do"),
    "controls": ("din_jax.tools.controls", "paints a sheet of every control"),
    "gallery": ("din_jax.tools.gallery", "writes a page of the included model's pictures"),
    "bank": ("din_jax.tools.bank", "styles encoded once, painted by name"),
    "convert": ("din_jax.tools.convert", "carries weights to PyTorch and back"),
    "pack": ("din_jax.tools.pack", "makes one model file of a run"),
    "export": ("din_jax.tools.export", "files for ONNX Runtime, browsers and JAX elsewhere"),
    "flops": ("din_jax.evaluation.flops", "counts operations, beside the paper's table 1"),
    "profile": ("din_jax.tools.profile", "where the time of a picture goes"),
    "bench": ("din_jax.tools.rates", "pictures a second, and the memory that they take"),
    "convolutions": ("din_jax.tools.bench", "times every dynamic convolution in every form"),
    "accelerator": ("din_jax.tools.accelerator", "all measurements on a GPU, in nine minutes"),
    "report": ("din_jax.tools.report", "a run's curves, pictures and settings as one page"),
    "plan": ("din_jax.tools.plan", "what a training run will need on many devices"),
    "page": ("din_jax.tools.page", "writes a web page that paints in the browser"),
    "serve": ("din_jax.tools.serve", "the page and a JSON API over the engine, for programs"),
    "pace": ("din_jax.tools.pace", "pairs a second of a training step, and of its parts"),
}


def main() -> int:
    """`din-jax`: runs the command that the first argument names; the exit status."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h"):
        width = max(map(len, COMMANDS))
        lines = [f"    {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
        return exit_status(lambda: print("\n".join([__doc__, *lines])))
    arguments = sys.argv[2:]
    if name not in COMMANDS and _names_picture(name) and arguments:
        if _is_style(*arguments):
            # Not as a word of its own: a third path would be one more style.
            arguments = [f"--style={arguments[0]}", *arguments[1:]]
        name, arguments = "stylize", [name, *arguments]
    if name in COMMANDS:
        # As if the command had been started by itself.
        sys.argv = [f"din-jax {name}", *arguments]
    return run(name)


def _names_picture(argument: str) -> bool:
    """Whether it is a content, and not a command that has been misspelled."""
    return argument == "-" or Path(argument).exists() or Path(argument).suffix != ""


def _is_style(second: str, *others: str) -> bool:
    """Whether what follows a content is the style: no flag, and no flag names one."""
    flagged = any(x.startswith(("-s", "--style")) for x in others)
    return not flagged and (second == "-" or not second.startswith("-"))


def run(name: str) -> int:
    """Runs a command on `sys.argv`; the exit status, also of Ctrl-C while it is being loaded."""

    def command() -> int:
        if name not in COMMANDS:
            raise UserError(
                f"there is no command '{name[:80]}'; they are {', '.join(COMMANDS)} (see --help)."
            )
        with loading():
            module = importlib.import_module(COMMANDS[name][0])
        return module.main()

    return exit_status(command)
