"""What "auto" means is decided where a program is lowered: one trace fits every platform."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import PartitionSpec

from din_jax import ops
from din_jax.ops.forms import default_form
from din_jax.ops.padding import reflect_pad

MAP = (2, 6, 7, 4)
CASES = {
    "conv2d": (ops.conv2d, (3, 3, 4, 5)),
    "depthwise_conv2d": (ops.depthwise_conv2d, (3, 3, 1, 4)),
    "dynamic_conv": (ops.dynamic_conv, (2, 3, 3, 4, 3)),
    "reflect_pad": (lambda x, k: reflect_pad(x, 2) * k[None], (10, 11, 4)),
    "upsample_bilinear": (lambda x, k: ops.upsample_bilinear(x) * k[None], (12, 14, 4)),
}  # fmt: skip


def arrays(name, rng):
    return [jnp.asarray(rng.normal(size=size), jnp.float32) for size in (MAP, CASES[name][1])]


def value_and_gradients(function):
    def run(*inputs):
        y, pull = jax.vjp(function, *inputs)
        return y, *pull(jnp.cos(y))

    return run


def test_a_function_that_is_traced_already_is_lowered_for_each_platform():
    shapes = [jax.ShapeDtypeStruct(size, jnp.float32) for size in (MAP, (3, 3, 1, 4))]
    trace = jax.jit(ops.depthwise_conv2d).trace(*shapes)
    grouped = re.compile(r"stablehlo\.convolution.*feature_group_count = 4")
    for platform, count in (("cpu", 0), ("cuda", 1), ("rocm", 1), ("tpu", 1)):
        text = trace.lower(lowering_platforms=(platform,)).as_text()
        assert len(grouped.findall(text)) == count, platform
        # The CPU's border is written by a loop.
        assert ("stablehlo.while" in text) is (platform == "cpu")


def test_one_exported_program_serves_all_platforms(rng):
    """With every operation and its gradients; what the others get is what runs here."""
    inputs = {name: arrays(name, rng) for name in CASES}

    def every(inputs):
        return {name: value_and_gradients(CASES[name][0])(*v) for name, v in inputs.items()}

    program = export.export(jax.jit(every), platforms=("cpu", "cuda", "tpu"))(inputs)
    assert program.platforms == ("cpu", "cuda", "tpu")
    with default_form("conv"):
        elsewhere = jax.jit(every)(inputs)
    for name, results in program.call(inputs).items():
        for a, b in zip(results, elsewhere[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()), err_msg=name)


def test_the_blocks_of_a_deformable_convolution_are_the_platforms():
    """On CPU 8192 points at a time, 85 rows of 96; elsewhere the whole map."""
    sizes = (1, 96, 96, 2), (1, 96, 96, 18), (3, 3, 2, 2)
    shapes = [jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes]

    def trace(rows):
        run = lambda *inputs: ops.deformable_conv(*inputs, rows_at_a_time=rows)  # noqa: E731
        return jax.jit(run).trace(*shapes)

    for form, rows, others in (("shift", 85, 96), ("conv", 96, 85)):
        with default_form(form):
            chosen = str(trace(None).jaxpr)
        assert chosen == str(trace(rows).jaxpr) != str(trace(others).jaxpr)
    for platform in ("cpu", "cuda", "tpu"):
        trace(None).lower(lowering_platforms=(platform,))


def test_sizes_may_be_unknown_while_tracing():
    b, h, w = export.symbolic_shape("b,h,w", constraints=["h >= 16", "w >= 16"])

    def run(x, kernel, filters, kernels):
        x = ops.conv2d(x, kernel)  # as wide as Winograd's form takes it
        x = ops.upsample_bilinear(ops.depthwise_conv2d(x, filters, 2))
        return ops.dynamic_instance_norm(x, kernels, jnp.zeros((x.shape[0], 2)))

    sizes = (b, h, w, 64), (3, 3, 64, 64), (3, 3, 1, 64), (b, 3, 3, 64, 2)
    shapes = [jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes]
    program = export.export(jax.jit(run), platforms=("cpu", "cuda", "tpu"))(*shapes)
    rows = program.out_avals[0].shape[1]
    assert str(rows) in ("2*floordiv(h - 1, 2) + 2", "2*floordiv(h + 1, 2)")


def test_the_compiled_program_is_that_of_the_form_alone(rng):
    inputs = arrays("depthwise_conv2d", rng)

    def instructions(form):
        run = value_and_gradients(lambda *a: ops.depthwise_conv2d(*a, form=form))
        text = jax.jit(run).lower(*inputs).compile().as_text()
        return sorted(re.findall(r"^\s+(?:ROOT )?\S+ = \S+ ([\w-]+)\(", text, re.M))

    chosen = instructions("auto")
    assert len(chosen) > 50 and "conditional" not in chosen
    assert chosen == instructions("shift")


def test_vmap_and_shard_map_see_one_operation(rng):
    x, kernel = arrays("conv2d", rng)
    run = value_and_gradients(ops.conv2d)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = PartitionSpec()
    shared = jax.shard_map(run, mesh=mesh, in_specs=(spec, spec), out_specs=spec, check_vma=False)

    @jax.jit
    def every(x, kernel):
        many = [jnp.stack([v, -v]) for v in (x, kernel)]
        return run(x, kernel), shared(x, kernel), jax.vmap(run)(*many)

    expected, shared, mapped = every(x, kernel)
    for y, a, b in zip(expected, shared, mapped, strict=True):
        atol = 1e-5 * np.abs(y).max()
        np.testing.assert_allclose(a, y, atol=atol)
        np.testing.assert_allclose(b[0], y, atol=atol)
        assert b.shape == (2, *y.shape)


def test_default_form_holds_inside_its_block_for_what_is_compiled_already():
    traced = []

    @jax.jit
    def pad(x):
        traced.append(None)
        return reflect_pad(x, 1)

    @jax.jit
    def outer(x):
        return pad(x) + 0

    x = jax.ShapeDtypeStruct((1, 3, 3, 1), jnp.float32)
    for _ in range(2):
        outside = outer.trace(x)
        with default_form("conv"):
            inside = str(outer.trace(x).jaxpr)
            with pytest.raises(KeyError), default_form("shift"):
                assert "dynamic_update_slice" in str(outer.trace(x).jaxpr)
                raise KeyError
            assert str(outer.trace(x).jaxpr) == inside
        assert "platform_index" not in inside and "concatenate" in inside
        assert "platform_index" in str(outside.jaxpr)
    # Each form was traced once, and is kept.
    assert len(traced) == 3


def test_an_unknown_default_form_is_refused_where_it_is_set():
    with pytest.raises(ValueError, match="auto, conv or shift, not 'fast'"):
        default_form("fast")
