"""Packages whose names are imported when they are asked for (PEP 562).

What a package offers must not cost those who take one small thing of it JAX's start, or JAX.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attributes(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    Args:
      package: its `__name__`.
      places: each name that it offers, to the module of the package that holds it.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{places[name]}"), name)

    return get
