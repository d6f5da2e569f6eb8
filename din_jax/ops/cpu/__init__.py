"""The forms that XLA on CPU runs fast, where those for other platforms are slow there.

They compute what the definitions in `din_jax.ops` say, by other means: depthwise taps, im2col
(unfold), space to depth, Winograd's minimal filtering, borders written in place. Measured reasons
stand beside each choice; tests hold that all forms are equal.
"""
