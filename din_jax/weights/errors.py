"""What can be wrong with a file of weights, told apart so that a caller may react."""

from din_jax.errors import UserError


class WeightsError(UserError):
    """The file is damaged, of another network, or of a kind that is not read here."""


class WeightsNotFound(UserError, FileNotFoundError):
    """There is no such file, and none could be downloaded."""
