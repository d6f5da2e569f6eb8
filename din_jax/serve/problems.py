"""What a request is answered that cannot be fulfilled: a status, and one sentence as JSON."""

import json

from din_jax.data.files import BadImageError
from din_jax.errors import UserError

DEFECT = "the server failed at this, which is a defect of it: its log says where."


class Problem(Exception):
    """Raised anywhere in a request; becomes {"error": sentence}.

    Args:
      status: of HTTP, 400 to 599.
      sentence: what was wrong, and what helps.
      again: seconds after which to try again; None where that would not help.
    """

    def __init__(self, status: int, sentence: str, again: float | None = None):
        super().__init__(sentence)
        self.status, self.sentence, self.again = status, sentence, again

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.again is None else {"Retry-After": str(max(1, round(self.again)))}

    def body(self) -> bytes:
        return json.dumps({"error": self.sentence}, ensure_ascii=False).encode()


def problem_of(error: Exception) -> Problem:
    """The problem that an error is: of a picture 415, of what else users can mend 422, else 500."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadImageError):
        return Problem(415, str(error))
    if isinstance(error, UserError):
        return Problem(422, str(error))
    return Problem(500, DEFECT)
