"""Parts added to a trained network, which stays the function that it was.

A residual block is x + f(x). With the last scale of f at zero (without a norm, its last kernel) it
is x, and a gradient step moves it from there (Goyal et al. 2017, section 5.1; for trained networks
Chen et al. 2016, "Net2Net"). So with nets that read what their code lacks (`models.feedback`), by a
layer that begins at zero.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def with_blocks(given: Mapping, fresh: Mapping) -> dict:
    """The variables `given`, with those residual blocks that `fresh` alone has, adding nothing yet.

    Args:
      given: variables of a network, "params" and "batch_stats".
      fresh: those of a network with more blocks, newly drawn.
    """
    grown = {kind: dict(parts) for kind, parts in given.items()}
    for kind, parts in grown.items():
        for part in ("encoder", "decoder"):
            wanted = fresh.get(kind, {}).get(part, {}).get("residuals", {})
            known = parts.get(part, {}).get("residuals", {})
            added = {number: wanted[number] for number in wanted if number not in known}
            if added:
                if kind == "params":
                    added = {number: _silent(block) for number, block in added.items()}
                parts[part] = {**parts.get(part, {}), "residuals": {**known, **added}}
    return grown


def with_feedback(given: Mapping, fresh: Mapping) -> dict:
    """The variables `given`, with the feedback that `fresh` alone has, correcting nothing yet.

    Args:
      given: variables of a network, "params" and "batch_stats".
      fresh: those of a network with `config.model.net_feedback`, newly drawn.
    """
    if "feedback" in given["batch_stats"] or "feedback" not in fresh["batch_stats"]:
        return dict(given)
    known, wanted = (tree["params"].get("codes", {}) for tree in (given, fresh))
    if jax.tree.structure(known) != jax.tree.structure(_uncorrected(wanted)):
        return dict(given)  # another kind of code or other levels, which the caller names
    codes = {
        level: {
            name: {**net, "correct": wanted[level][name]["correct"]} for name, net in nets.items()
        }
        for level, nets in known.items()
    }
    stats = {**given["batch_stats"], "feedback": fresh["batch_stats"]["feedback"]}
    return {"params": {**given["params"], "codes": codes}, "batch_stats": stats}


def _uncorrected(codes: Mapping) -> dict:
    return {
        level: {
            name: {part: x for part, x in net.items() if part != "correct"}
            for name, net in nets.items()
        }
        for level, nets in codes.items()
    }


def _silent(block: Mapping) -> dict:
    last = dict(block["second"]["pointwise"])
    part = "norm" if "scale" in last.get("norm", {}) else "conv"
    last[part] = jax.tree.map(jnp.zeros_like, last[part])
    return {**block, "second": {**block["second"], "pointwise": last}}
