"""DIN in plain PyTorch, and its comparison with `din_jax`; needs the `parity` extra."""
