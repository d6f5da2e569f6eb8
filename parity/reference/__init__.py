"""Dynamic instance normalization in plain PyTorch (Jing et al. 2020): the other side of parity.

Written from the paper and this project's design, with PyTorch's own operations, NCHW and OIHW; it
shares settings (`din_jax.config`) with the JAX code and no arithmetic.
"""
