"""Flax NNX modules: convolution and residual blocks, norms, and where style codes come from."""
