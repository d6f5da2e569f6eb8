"""Contents as their own styles: the pairs that a share of the batch turns into."""

import jax
import numpy as np
import pytest

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.feed import with_own_styles
from din_jax.training.step import to_float


def test_no_share_leaves_the_batch_and_forgets_what_it_is_not_asked_for():
    batch = {"content": 1, "style": 2, "targets": {"content": 3, "own": 4}}
    left = {"content": 1, "style": 2, "targets": {"content": 3}}
    assert with_own_styles(batch, 0.0, jax.random.key(0)) == left


@pytest.mark.parametrize("kept", [False, True])
def test_chosen_pairs_are_those_of_content_and_content(parts, kept):
    """The losses of pairs that were chosen are those of (content, content), the others' theirs."""
    own_targets, style_targets, targets, with_own = (
        jax.jit(function, static_argnums=static)
        for function, static in (
            (parts.objective.own_targets, ()),
            (parts.objective.style_targets, ()),
            (parts.objective.targets, ()),
            (with_own_styles, 1),
        )
    )
    batch = {name: np.repeat(x, 8, 0) for name, x in parts.batch.items()}
    if kept:
        content, style = (to_float(batch[k], "float32") for k in ("content", "style"))
        batch["targets"] = own_targets(parts.vgg, content) | style_targets(parts.vgg, style)
    mixed = with_own(batch, 0.5, jax.random.key(1))
    mixed |= {name: np.asarray(mixed[name]) for name in ("content", "style")}
    alike = (mixed["style"] == batch["content"]).all((1, 2, 3))
    assert 3 <= alike.sum() <= 13
    np.testing.assert_array_equal(mixed["style"][~alike], batch["style"][~alike])
    np.testing.assert_array_equal(mixed["content"], batch["content"])
    if kept:
        assert "own" not in mixed["targets"]
        style = to_float(mixed["style"], "float32")
        wanted = targets(parts.vgg, content, style)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            mixed["targets"], wanted,
        )  # fmt: skip


def test_share_of_pairs_is_the_one_asked_for(parts):
    batch = {name: np.repeat(x[:1], 4000, 0)[:, :1, :1] for name, x in parts.batch.items()}
    mixed = with_own_styles(batch, 0.2, jax.random.key(0))
    share = (mixed["style"] == batch["content"]).all((1, 2, 3)).mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 4000) ** 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"identity": 0.5, "style_crop": 64}},
        {
            "data": {"identity": 0.5},
            "model": {"code": "cin", "styles": ("a",), "style_encoder": "none"},
        },
    ],
)
def test_settings_that_leave_no_own_style_are_a_sentence(changed, changes):
    with pytest.raises(UserError, match=r"config\.data\.identity=0\.5 makes contents their own"):
        changed(Config(), **changes)
