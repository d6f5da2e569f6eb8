"""`din_jax.ops` as another project's dependency: what it imports, its gradients, its page."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from din_jax import ops

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "OPERATIONS.md"
# All that requirements.txt names beside JAX and NumPy, as it is imported.
BLOCKED = (
    "flax",
    "optax",
    "orbax",
    "grain",
    "tensorflow_datasets",
    "tensorflow",
    "array_record",
    "etils",
    "PIL",
    "absl",
    "ml_collections",
    "tensorboardX",
    "tqdm",
    "safetensors",
    "matplotlib",
    "torch",
    "torchvision",
)


def test_importing_the_operations_takes_jax_and_numpy_alone():
    program = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None  # an import of it raises
import jax, jax.image, jax.numpy
before = set(sys.modules)
import din_jax.ops as ops
assert all(hasattr(ops, name) for name in ops.__all__)
roots = {{name.partition(".")[0] for name in set(sys.modules) - before}}
assert roots <= {{"din_jax", "jax", "jaxlib", "numpy"}}, roots
parts = {{name for name in sys.modules if name.startswith("din_jax.")}}
assert all(name.startswith("din_jax.ops") for name in parts), parts
"""
    # No such platform: nothing is computed while importing.
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "nothing"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


MAP, OFFSETS = (2, 4, 4, 4), (2, 4, 4, 18)
# "Reverse mode only" are those with a gradient of their own in some form.
REVERSE_ONLY = {
    "bilinear_sample": (MAP, (2, 3, 2)),
    "conv2d": (MAP, (3, 3, 4, 4)),
    "covariance_root": ((2, 4, 4),),
    "deformable_conv": (MAP, OFFSETS, (3, 3, 4, 4)),
    "depthwise_conv2d": (MAP, (3, 3, 1, 4)),
    "dynamic_conv": (MAP, (2, 3, 3, 4, 4)),
    "dynamic_instance_norm": (MAP, (2, 1, 1, 4, 4), (2, 4)),
    "inverse_covariance_root": ((2, 4, 4),),
    "max_pool": (MAP,),
    "upsample_bilinear": (MAP,),
    "wct": (MAP, MAP),
}
BOTH_MODES = {
    "adain": (MAP, MAP),
    "gram_matrix": (MAP,),
    "instance_norm": (MAP,),
    "mean_and_covariance": (MAP,),
    "mean_and_std": (MAP,),
    "mean_and_variance": (MAP,),
    "spatial_affine": (MAP, MAP, MAP),
    "spatial_instance_norm": (MAP, (2, 2, 2, 4), (2, 2, 2, 4)),
    "style_swap": (MAP, MAP),
    "upsample_nearest": (MAP,),
}
# Their gradient is of their own only on CPU, or they take more than arrays.
OTHERS = {
    "adaptive_average_pool": (lambda x: ops.adaptive_average_pool(x, 2), False),
    "resize_map": (lambda x: ops.resize_map(x, 3, 5), False),
    "instance_affine": (lambda x: ops.instance_affine(x)(x), False),
    "reflect_pad": (lambda x: ops.reflect_pad(x, 1), True),
    "normalized_dynamic_conv": (
        lambda x: ops.normalized_dynamic_conv(x, ops.instance_affine(x), jnp.ones((2, 1, 1, 4, 4))),
        True,
    ),
}
CASES = {
    **{name: (getattr(ops, name), shapes, True) for name, shapes in REVERSE_ONLY.items()},
    **{name: (getattr(ops, name), shapes, False) for name, shapes in BOTH_MODES.items()},
    **{name: (function, (MAP,), only) for name, (function, only) in OTHERS.items()},
}


def test_every_public_function_has_a_case():
    assert set(CASES) == set(ops.__all__) - {"Affine", "default_form"}


@pytest.mark.parametrize("name", CASES)
def test_reverse_mode_only_is_said_where_it_is_so(name):
    function, shapes, reverse_only = CASES[name]
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]

    def forward(*inputs):
        return jax.jvp(function, inputs, inputs)

    def reverse(*inputs):
        y, pull = jax.vjp(function, *inputs)
        return pull(y)

    gradients = jax.eval_shape(reverse, *inputs)
    assert [gradient.shape for gradient in gradients] == list(shapes)
    said = re.search(r"[Rr]everse\s+mode\s+only", inspect.getdoc(getattr(ops, name)))
    assert bool(said) is reverse_only
    if reverse_only:  # JAX's own sentence
        with pytest.raises(TypeError, match="forward-mode .* custom_vjp"):
            jax.jit(forward).lower(*inputs)
    else:
        jax.jit(forward).lower(*inputs)


@pytest.mark.parametrize("name", ["conv2d", "depthwise_conv2d", "reflect_pad"])
def test_the_forms_for_other_backends_have_both_modes(name):
    function, shapes, _ = CASES[name]
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    with ops.default_form("conv"):
        jax.jit(lambda *inputs: jax.jvp(function, inputs, inputs)).lower(*inputs)


def test_the_page_has_every_public_name():
    page = PAGE.read_text(encoding="utf-8")
    missing = [name for name in ops.__all__ if f"`{name}" not in page]
    assert missing == []
    for name in ops.__all__:
        assert inspect.getdoc(getattr(ops, name)), name


def test_the_examples_of_the_page_run():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) > 8
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
