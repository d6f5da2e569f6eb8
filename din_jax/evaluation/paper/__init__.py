"""The papers' tables and figures, each by one command: python -m din_jax.evaluation.paper FIGURE.

A figure is a module with a `make(bench)` that gives a `findings.Result`. What figures share, equal
training and equal measuring, is `bench`; what they write, `findings`.
"""
