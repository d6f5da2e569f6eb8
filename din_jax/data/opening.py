"""From one word of the configuration to a source: a folder, a TFDS data set, drawn pictures."""

from pathlib import Path

from din_jax.data.drawn.synthetic import SyntheticContent, SyntheticStyle
from din_jax.data.folders import FolderSource
from din_jax.data.sources import Source, SourceError
from din_jax.data.tfds_source import open_tfds


def open_source(spec: str, kind: str, *, size: int = 256) -> Source:
    """The source that one configuration word names.

    Args:
        spec: "synthetic", "tfds:NAME[:SPLIT]" or the path of a folder.
        kind: "content" or "style": which synthetic pictures are meant.
        size: side of synthetic pictures, px.

    Raises:
        UserError: nothing usable is there; the sentence says what to do.
    """
    if kind not in ("content", "style"):
        raise SourceError(f"kind must be 'content' or 'style', but is '{kind}'.")
    if spec == "synthetic":
        return SyntheticContent(size=size) if kind == "content" else SyntheticStyle(size=size)
    if spec.startswith("tfds:"):
        return open_tfds(spec)
    if not spec:
        raise SourceError(
            f"a {kind} source is needed, but none is given: set it to a folder, 'synthetic' or "
            "'tfds:NAME'."
        )
    return FolderSource(Path(spec).expanduser())
