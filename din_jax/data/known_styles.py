"""The pictures of known styles: those records of a source that a model names, in its order.

A style's name is its file's without folder and suffix ("waves" for paintings/waves.jpg), or what
the source calls the record ("SyntheticStyle 3"). Its number is its place among the names given.
"""

from collections.abc import Sequence
from pathlib import Path

from din_jax.data.sources import Source, SourceError, SubsetSource

_NAMED = 5  # missing names that a message holds


def style_name(record: str) -> str:
    """The name of a style, from `source.name(index)`."""
    return Path(record).stem


def known_styles(source: Source, names: Sequence[str]) -> SubsetSource:
    """The named pictures of a source: record i of the result is the style of number i.

    Raises:
        SourceError: a name that no picture has, or more than one; all are named at once.
    """
    places: dict[str, list[int]] = {name: [] for name in names}
    for index in range(len(source)):
        name = style_name(source.name(index))
        if name in places:
            places[name].append(index)
    wrong = [name for name, found in places.items() if len(found) != 1]
    if wrong:
        shown = ", ".join(f"'{name}' ({len(places[name])} pictures)" for name in wrong[:_NAMED])
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise SourceError(
            f"config.model.styles must each name one picture of config.data.style, but {shown}"
            f"{more} of its {len(source)} do not: correct the names or the folder."
        )
    return SubsetSource(source, [places[name][0] for name in names])
