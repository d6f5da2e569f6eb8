"""The presets, settings of the paper's recipe and of every variant and baseline: one file each.

`--config din:portable` and `--config configs/din.py:portable` name them from any folder.
"""
