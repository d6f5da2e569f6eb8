"""What a model or a style bank is, and what this installation has.

din-jax info                      versions, devices, the models and styles that come with it
din-jax info din_portable         a model: an included one's name, a file, or a run directory
din-jax info mine.safetensors     a model, or a style bank (din-jax bank)
"""

import argparse
import contextlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from din_jax.command_line import Parser
from din_jax.errors import UserError, exit_status, loading

LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "pillow", "av")
FEW = 12  # names on a line of the table


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax info")
    add = parser.add_argument
    add("path", nargs="?", default="", metavar="MODEL|BANK")
    add("--step", help='of a run directory: a number or "best"; default: the newest')
    add("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(arguments)


def about_installation() -> dict[str, Any]:
    """Versions, devices and what is included."""
    with loading():
        import jax

        from din_jax import __version__
        from din_jax.weights.included import ASSETS, INCLUDED_BANK
    facts: dict[str, Any] = {"din_jax": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            facts[name] = importlib.metadata.version(name)
    facts["devices"] = [f"{x.device_kind} ({x.platform} {x.id})" for x in jax.devices()]
    facts["models"] = sorted(path.stem for path in ASSETS.glob("din_*.safetensors"))
    if INCLUDED_BANK.is_file():
        bank = about_bank(INCLUDED_BANK)
        facts |= {"styles": bank["styles"], "styles of": bank["model"]}
    return facts


def about_bank(path: Path) -> dict[str, Any]:
    """A style bank.

    Raises:
      UserError: it is damaged.
    """
    from din_jax.inference.bank import StyleBank

    bank = StyleBank.load(path)
    return {
        "style bank": str(path),
        "bytes": path.stat().st_size,
        "model": bank.model,
        "fingerprint": bank.fingerprint,
        "count": len(bank),
        "styles": list(bank.names),
    }


def about_model(path: str, step: str | None) -> dict[str, Any]:
    """A model: what it is made of, and where it comes from; nothing of it is built.

    Raises:
      UserError: there is none, or it is damaged.
    """
    with loading():
        import numpy as np

        from din_jax.inference.bank import BankError, StyleBank
        from din_jax.weights.included import INCLUDED_BANK
        from din_jax.weights.models import read_model

    stored = read_model(path, step)
    model, source = stored.config.model, Path(stored.source)
    files = [source] if source.is_file() else [x for x in source.rglob("*") if x.is_file()]
    parameters: dict[str, int] = {}
    for name, array in stored.arrays.items():
        part = name.split(".")[1]
        parameters[part] = parameters.get(part, 0) + int(np.size(array))
    fingerprint = stored.fingerprint
    styles = list(model.styles)
    if not styles and INCLUDED_BANK.is_file():
        with contextlib.suppress(BankError):
            bank = StyleBank.load(INCLUDED_BANK)
            styles = list(bank.names) if bank.fingerprint == fingerprint else []
    needs_vgg = "vgg19" in (model.network, model.style_encoder)
    return {
        "model": str(source),
        "name": stored.config.name,
        "method": model.code,
        "network": model.network,
        "levels": model.levels,
        "widths": list(model.widths),
        "norms": f"encoder {model.encoder_norm}, decoder {model.decoder_norm}, styled layers "
        f"{model.normalizer}",
        "dynamic convolution": f"{model.dynamic_kernel} x {model.dynamic_kernel}, "
        f"{model.dynamic_groups or 'one per channel'} groups, {model.transform}",
        "style encoder": model.style_encoder,
        "needs VGG-19": needs_vgg,
        "parameters": parameters,
        "numbers": sum(parameters.values()),
        "dtype": sorted({str(np.asarray(x).dtype) for x in stored.arrays.values()}),
        "bytes": sum(file.stat().st_size for file in files),
        "step": stored.step,
        "style size": stored.config.data.resize,
        "card": dict(stored.card),
        "fingerprint": fingerprint,
        "styles": styles,
    }


def is_bank(path: Path) -> bool:
    """Whether a file says of itself that it is a style bank."""
    from din_jax.inference.bank import FORMAT
    from din_jax.weights.containers import safetensors_entries
    from din_jax.weights.opening import refusing

    if path.suffix != ".safetensors" or not path.is_file():
        return False
    with contextlib.ExitStack() as stack, refusing(path, UserError):
        return safetensors_entries(path, stack)[1].get("format") == FORMAT


def table(facts: Mapping[str, Any]) -> str:
    """The facts a line each, for the screen."""
    width = max(map(len, facts))
    return "\n".join(f"{name:{width}}  {_text(value)}" for name, value in facts.items())


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items()) or "-"
    if isinstance(value, list):
        more = f" and {len(value) - FEW} more" if len(value) > FEW else ""
        return ", ".join(map(_text, value[:FEW])) + more or "-"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    # A file from outside may hold letters that a terminal obeys.
    return "".join(x if x.isprintable() else " " for x in str(value))


def run(flags: argparse.Namespace):
    if not flags.path:
        facts = about_installation()
    elif is_bank(Path(flags.path).expanduser()):
        facts = about_bank(Path(flags.path).expanduser())
    else:
        facts = about_model(flags.path, flags.step)
    print(json.dumps(facts, indent=2, ensure_ascii=False) if flags.json else table(facts))


def main() -> int:
    """Says what `sys.argv` asks for; the exit status."""
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
