"""A picture painted in pieces is the picture painted whole."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import TINY, make_loaded  # noqa: F401 (see below)
