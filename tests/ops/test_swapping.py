"""Style swap against the loop over patches that it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.swapping import style_swap


def by_loop(content, style, side, stride):
    """Chen & Schmidt 2016, section 3, patch by patch in float64; one picture."""
    content, style = content.astype(np.float64), style.astype(np.float64)
    places = [
        (r, c)
        for r in range(0, style.shape[0] - side + 1, stride)
        for c in range(0, style.shape[1] - side + 1, stride)
    ]
    patches = [style[r : r + side, c : c + side] for r, c in places]
    total, count = np.zeros(content.shape), np.zeros(content.shape)
    for r in range(content.shape[0] - side + 1):
        for c in range(content.shape[1] - side + 1):
            own = content[r : r + side, c : c + side]
            alike = [
                (own * patch).sum() / (np.linalg.norm(own) * np.linalg.norm(patch))
                for patch in patches
            ]
            total[r : r + side, c : c + side] += patches[int(np.argmax(alike))]
            count[r : r + side, c : c + side] += 1
    return total / count


@pytest.fixture
def maps(rng):
    return (
        rng.normal(0.3, 1, (2, 7, 9, 5)).astype(np.float32),
        rng.normal(-0.2, 2, (2, 8, 6, 5)).astype(np.float32),
    )


@pytest.mark.parametrize("side, stride", [(3, 1), (3, 2), (2, 1), (1, 3)])
def test_swapping_equals_the_loop_over_patches(maps, side, stride):
    expected = [by_loop(*pair, side, stride) for pair in zip(*maps, strict=True)]
    found = style_swap(*map(jnp.asarray, maps), side, stride)
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)


def test_a_map_swapped_with_itself_is_itself_however_bright(maps):
    content = jnp.asarray(maps[0])
    np.testing.assert_allclose(style_swap(0.1 * content, content), content, atol=1e-5)


def test_a_patch_of_zeros_is_chosen_by_none(maps):
    content, style = jnp.abs(jnp.asarray(maps[0])), jnp.abs(jnp.asarray(maps[1]))
    style = style.at[:, :3, :3].set(0.0)
    assert float(style_swap(content, style, 1).min()) > 0


def test_the_gradient_reaches_the_style_alone(maps):
    content, style = map(jnp.asarray, maps)
    to_content, to_style = jax.grad(lambda c, s: style_swap(c, s).sum(), (0, 1))(content, style)
    assert not np.asarray(to_content).any()
    # Every pixel of the result is a mean of the style's: the gradient adds up to their number.
    np.testing.assert_allclose(to_style.sum(), content.size, rtol=1e-5)


def test_the_result_has_the_content_s_type(maps):
    content, style = (jnp.asarray(x, jnp.bfloat16) for x in maps)
    assert style_swap(content, style).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "shapes, side, words",
    [
        (((1, 5, 5, 3), (1, 5, 5, 4)), 3, "one number of channels"),
        (((1, 5, 5, 3), (2, 5, 5, 3)), 3, "one batch"),
        (((1, 5, 5, 3), (1, 2, 9, 3)), 3, "1 to 2 pixels"),
        (((1, 5, 5, 3), (1, 5, 5, 3)), 0, "1 to 5 pixels"),
    ],
)
def test_maps_that_do_not_fit_are_refused(shapes, side, words):
    with pytest.raises(ValueError, match=words):
        style_swap(*map(jnp.zeros, shapes), side)
