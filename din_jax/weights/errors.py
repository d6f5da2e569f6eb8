"""What can be wrong with a file of weights, told apart so that a caller may react."""

from collections.abc import Iterable

from din_jax.errors import UserError

LONGEST_LIST = 600  # characters


class WeightsError(UserError):
    """The file is damaged, of another network, or of a kind that is not read here."""


class WeightsNotFound(UserError, FileNotFoundError):
    """There is no such file, and none could be downloaded."""


def one_line(text: object, longest: int = 160) -> str:
    """What an error says, or a name out of a file: one printable line of bearable length."""
    # Cut first: a file may hold a name of any length.
    words = " ".join(str(text)[: 4 * longest].split()) or type(text).__name__
    return "".join(c if c.isprintable() else "?" for c in words[:longest]).rstrip(".")


def listed(problems: Iterable[str]) -> str:
    """Problems in one sentence: as many as have room, and how many more there are."""
    problems = list(problems)
    shown, room = [], LONGEST_LIST
    for problem in problems:
        room -= len(problem)
        if room < 0 and shown:
            break
        shown.append(problem)
    more = len(problems) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
