"""Other people's methods over the shared VGG-19, losses and styled layers, to compare with.

    python -m din_jax.evaluation.rivals gatys=out/gatys wct=out/wct --content photos \\
        --style paintings --size 256

Those that the registry of models has (`din_jax.configs`) are trained by `train.py`; here stand
those that need no training but of decoders: Gatys et al. 2016 (`gatys`), Chen & Schmidt 2016
(`swap`), Huang & Belongie 2017 (`adain`), Li et al. 2017 (`wct`), and the style decorator of Sheng
et al. 2018 (`avatar`).
"""
