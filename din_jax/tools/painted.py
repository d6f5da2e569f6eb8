"""Where the outputs of `din-jax stylize` go, and what is told of them."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from din_jax.command_line import require_writable
from din_jax.data.decoding import load_image
from din_jax.data.inputs import STDIN, Input, Style, output_names
from din_jax.data.inspection import size_of
from din_jax.data.outputs import Outputs, real_path
from din_jax.data.pipeline import Outcome
from din_jax.data.saving import FORMATS, encode_picture
from din_jax.data.sheets import image_grid, thumbnail
from din_jax.data.video import FORMATS as VIDEO_FORMATS
from din_jax.data.video import WRITTEN_AS, VideoReader, is_video
from din_jax.errors import UserError

FOLDER = "stylized"
MOST_ROWS = 32  # contents on a sheet


class StandardOutput(Outputs):
    """One output, which is written to standard output when it is whole."""

    def __init__(self):
        super().__init__(".", journal=False)

    def standing(self, name: str, made_of: str) -> str:
        return "absent"

    def require_writable(self) -> None:
        pass

    def claim(self, names=()) -> None:
        pass

    def write(self, name: str, made_of: str, data: bytes, facts=None) -> Path:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return Path(STDIN)


class Target:
    """Where outputs go: a folder, a file, or standard output.

    Attributes:
      outputs: of the folder that they are in.
      names: of the outputs below it, a row for each input; after `settle`.
      sheet: the file that shows them all, or None.
    """

    def __init__(self, flags: Namespace):
        path = Path(flags.output).expanduser()
        self.sheet = Path(flags.sheet).expanduser() if flags.sheet else None
        self._format = f".{flags.format}" if flags.format else ""
        self._file = ""
        self.names: list[list[str]] = []
        suffix = path.suffix.lower()
        if flags.output == STDIN or not flags.output and flags.contents == [STDIN]:
            self.outputs = StandardOutput()
            self._file = "-"
        elif flags.output and suffix in (*FORMATS, *VIDEO_FORMATS) and not path.is_dir():
            if self._format not in ("", suffix) and suffix in FORMATS:
                raise UserError(f"--output is '{path}' and --format {flags.format}: give one.")
            self.outputs, self._file = Outputs(path.parent, journal=False), path.name
        elif flags.output:
            self.outputs = Outputs(path)
        elif len(flags.contents) == 1 and Path(flags.contents[0]).is_file() and not flags.each:
            self.outputs = Outputs(".", journal=False)
        else:
            self.outputs = Outputs(FOLDER)

    def settle(
        self, inputs: Sequence[Input], styles: Sequence[Style], flags: Namespace
    ) -> list[tuple[int, ...]]:
        """Names the outputs of all inputs.

        Returns:
          The numbers of the styles of each output of a row: one, or all that are mixed.

        Raises:
          UserError: a single file takes no more outputs, files of others are there, or nothing can
            be written where they or the sheet go.
        """
        numbers = range(len(styles))
        groups = [(i,) for i in numbers] if flags.each else [tuple(numbers)]
        self._name(inputs, styles, groups)
        if not flags.overwrite:
            self._require_free()
        self.outputs.require_writable()
        if self.sheet:
            self._require_sheet(flags.overwrite)
        return groups

    def _name(self, inputs: Sequence[Input], styles: Sequence[Style], groups: Sequence):
        suffixes = [self._suffix(x.path) for x in inputs]
        if not self._file:
            mixed = ["+".join(styles[i].name for i in group) for group in groups]
            rows = output_names(inputs, mixed)
            self.names = [
                [name + suffix for name in row] for row, suffix in zip(rows, suffixes, strict=True)
            ]
            return
        if len(inputs) * len(groups) > 1:
            where = "standard output" if self._file == "-" else f"the file '{self._file}'"
            raise UserError(
                f"{where} takes one output, not {len(inputs) * len(groups)}; give a folder as "
                "--output."
            )
        name = self._file if self._file != "-" else f"-{suffixes[0]}"
        kinds = VIDEO_FORMATS if is_video(inputs[0].path) else FORMATS
        if Path(name).suffix.lower() not in kinds or (self._file == "-" and kinds is not FORMATS):
            raise UserError(
                f"'{inputs[0].name}' is written to a file that ends in {', '.join(kinds)}, not to "
                f"'{self._file}'."
            )
        self.names = [[name]]

    def _suffix(self, path: Path | None) -> str:
        return WRITTEN_AS[path.suffix.lower()] if is_video(path) else self._format or ".png"

    def _require_free(self) -> None:
        """Raises UserError if a single file, or the sheet, is there already, and of others."""
        if not self.outputs.has_journal:
            for row in self.names:
                for name in row:
                    require_free(self.outputs, name)
        if self.sheet:
            require_free(self.sheets(), self.sheet.name)

    def _require_sheet(self, overwrite: bool) -> None:
        """Raises UserError if the sheet cannot be written, or would replace an output."""
        require_writable(self.sheet)
        own = real_path(self.sheet)
        names = [name for row in self.names for name in row]
        earlier = not overwrite and self.sheets().standing(self.sheet.name, "") == "outdated"
        if earlier or any(own == real_path(self.outputs.folder / name) for name in names):
            raise UserError(
                f"--sheet is '{self.sheet}', which is the place of an output: name another file."
            )

    def sheets(self) -> Outputs:
        """What the sheet is an output of: of the folder of outputs, if it is in it."""
        folder = self.sheet.parent
        if self.outputs.has_journal and real_path(folder) == real_path(self.outputs.folder):
            return self.outputs
        return Outputs(folder, journal=False)


class Report:
    """What became of each job, in order."""

    def __init__(self, jobs: Sequence, styles: Sequence[str], target: Target):
        self.jobs, self.styles = jobs, styles
        self.target, self.outputs = target, target.outputs
        self.kept: list = []
        self.failed: list[tuple] = []
        self.left: list = []
        self.seconds = 0.0  # since the command began
        self.no_sheet = ""  # why there is none that was asked for
        self._taken: dict = {}  # job -> seconds
        self._sizes: dict = {}
        self._thumbnails: dict = {}
        self._shown = list(dict.fromkeys(job.content for job in jobs))[:MOST_ROWS]

    def sort_out(self, overwrite: bool) -> list:
        """The jobs that are to be done; the others are kept, or would replace files of others."""
        if overwrite:
            return list(self.jobs)
        standing = {job: self.outputs.standing(job.name, job.made_of) for job in self.jobs}
        self.kept = [job for job in self.jobs if standing[job] == "done"]
        self.failed = [
            (job, foreign(self._path(job))) for job in self.jobs if standing[job] == "foreign"
        ]
        return [job for job in self.jobs if standing[job] in ("absent", "outdated")]

    def done(self, job, picture) -> None:
        """Told of each picture when it is written; in threads."""
        self._sizes[job] = picture.size
        if job.content in self._shown:
            self._thumbnails[job] = thumbnail(np.asarray(picture.convert("RGB")))

    def add(self, outcome: Outcome) -> None:
        """Takes in what a run of some of the jobs came to."""
        self._taken |= dict(outcome.done)
        order = {job: i for i, job in enumerate(self.jobs)}
        self.failed = sorted([*self.failed, *outcome.failed], key=lambda pair: order[pair[0]])
        self.left += outcome.left

    def write_sheet(self, tops: Sequence[np.ndarray | None]) -> None:
        """Contents down the side, styles across the top; where nothing is, nothing was painted."""
        rows: dict = {}
        for job in self.jobs:
            if job.content in self._shown:
                rows.setdefault(job.content, []).append(self._thumbnail(job))
        first = [
            None if x.path is None or is_video(x.path) else _thumbnail_of(x.path) for x in rows
        ]
        cells = [[content, *row] for content, row in zip(first, rows.values(), strict=True)]
        if len(tops) > 1 and len(cells[0]) == 2:
            # Styles that are mixed stand above one another.
            tops = [image_grid([[x] for x in tops], cell=96)]
        sheet = self.target.sheet
        data = encode_picture(image_grid([[None, *tops], *cells]), sheet.suffix)
        self.target.sheets().write(sheet.name, "", data)

    def tell(self, notes: Sequence[str], *, as_json: bool) -> None:
        """Prints what was done on standard output, and what was not on standard error."""
        for note in dict.fromkeys(notes):
            print(f"note: {note}", file=sys.stderr)
        kept = set(self.kept)
        good = [job for job in self.jobs if job in self._taken or job in kept]
        if self.failed or self.left:
            count = len(self.failed) + len(self.left)
            sentences = [sentence for _, sentence in self.failed]
            if self.left:
                names = ", ".join(f"'{job.content.name}'" for job in self.left)
                sentences.append(f"not begun, since nothing more can be written: {names}.")
            if len(self.jobs) == 1:
                print(f"error: {sentences[0]}", file=sys.stderr)
            else:
                head = f"error: {count} of {len(self.jobs)} could not be painted:"
                print("\n  ".join([head, *sentences]), file=sys.stderr)
        if self.no_sheet:
            print(f"error: the sheet could not be made: {self.no_sheet}", file=sys.stderr)
        if as_json:
            text = json.dumps(self._document(good), indent=2, ensure_ascii=False)
            # Bytes of a name that are not UTF-8 stay escapes, so that the document is UTF-8.
            print(text.encode(errors="backslashreplace").decode())
        elif isinstance(self.outputs, StandardOutput):
            return
        elif len(self.jobs) == 1 and good:
            print(self._path(good[0]))
        elif good:
            kept = f" ({len(self.kept)} were there already)" if self.kept else ""
            print(f"{len(good)} outputs in {self.outputs.folder}{kept}, {self.seconds:.1f} s")

    def _document(self, good: Sequence) -> dict:
        outputs = []
        for job in good:
            width, height = self._sizes.get(job) or _size_of(self._path(job))
            seconds = round(self._taken.get(job, 0.0), 3)
            outputs.append(
                self._about(job)
                | {"width": width, "height": height, "seconds": seconds, "kept": job in self.kept}
            )
        return {
            "outputs": outputs,
            "failed": [self._about(job) | {"error": why} for job, why in self.failed],
            "left": [self._about(job) for job in self.left],
            "seconds": round(self.seconds, 3),
        }

    def _about(self, job) -> dict:
        style = [self.styles[i] for i in job.styles]
        return {"input": job.content.name, "style": style, "output": str(self._path(job))}

    def _path(self, job) -> Path:
        return self.outputs.folder / job.name

    def _thumbnail(self, job) -> np.ndarray | None:
        if job in self.kept and not is_video(self._path(job)):
            return _thumbnail_of(self._path(job))
        return self._thumbnails.get(job)


def require_free(outputs: Outputs, name: str) -> None:
    """Raises UserError if a file of others would be replaced."""
    if outputs.standing(name, "") == "foreign":
        raise UserError(foreign(outputs.folder / name))


def foreign(path: Path) -> str:
    """Why an output is not written, and what helps, as a sentence."""
    return (
        f"'{path}' is there already, and was not written by this command; choose another --output, "
        "or replace it with --overwrite."
    )


def _size_of(path: Path) -> tuple[int, int]:
    """(width, height) of a picture or a video; (0, 0) if it cannot be told."""
    if not is_video(path):
        return size_of(path)
    try:
        with VideoReader(path) as video:
            return video.size
    except UserError:
        return 0, 0


def _thumbnail_of(path: Path) -> np.ndarray | None:
    try:
        return thumbnail(load_image(path))
    except UserError:  # told with the failures
        return None
