"""`din-jax bench` beside the same model in PyTorch, eager: the same weights, the same pictures.

    python -m parity.rates [--sizes 256 512 1024 4k] [--batches 1 8] [--processes 5] [--json]
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np

from din_jax.errors import UserError, exit_status
from parity.__main__ import require_torch


def painter(model: str) -> Callable[[], object]:
    """Makes PyTorch's painter of a model, with the interface of the engine.

    Raises:
      UserError: the model holds a VGG-19.
    """

    def make():
        import torch

        from din_jax.training.state import variables_of
        from din_jax.weights.models import load_model
        from din_jax.weights.torch_names import to_torch
        from parity.reference.stylizer import Stylizer

        loaded = load_model(model)
        if loaded.vgg is not None:
            raise UserError("a model with VGG-19 inside has no PyTorch twin here; give another.")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        twin = Stylizer(loaded.config.model, None).eval().to(device)
        state = {name: torch.from_numpy(np.array(x)) for name, x in to_torch(
            variables_of(loaded.model)).items()}  # fmt: skip
        twin.load_state_dict(state)
        return _Painter(twin, device)

    return make


class _Painter:
    """A PyTorch model; pictures uint8 in and out."""

    batch = 1

    def __init__(self, model, device: str):
        self.model, self.device = model, device

    def encode_style(self, styles: Sequence[np.ndarray]):
        import torch

        with torch.inference_mode():
            return self.model.encode_style(self._given(styles))

    def stylize(self, contents: Sequence[np.ndarray], code) -> list[np.ndarray]:
        import torch

        with torch.inference_mode():
            y = self.model.stylize(self._given(contents), code)
            y = (y.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return list(y)

    def _given(self, pictures: Sequence[np.ndarray]):
        import torch

        x = torch.from_numpy(np.stack(pictures)).to(self.device)
        return x.permute(0, 3, 1, 2).float().contiguous() / 255


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""

    def command() -> int:
        require_torch()
        from din_jax.tools import rates

        given = rates.parse(sys.argv[1:] if arguments is None else arguments)
        rates.run(given, module="parity.rates", rivals={"PyTorch": painter(given.model)})
        return 0

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
