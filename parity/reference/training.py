"""The objective, Adam with two parameter groups, and one update."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from parity.reference import losses
from parity.reference.stylizer import Stylizer
from parity.reference.vgg import VGG19

DYNAMIC = ("weight_net", "bias_net", "offset_net", "weight_table", "bias_table")


def objective(vgg: VGG19, stylized: Tensor, content: dict, style: dict, config) -> dict:
    """Every loss by name, and "total"; `content` and `style` are VGG features of the batch."""
    seen = vgg(stylized)
    parts = {
        "content": [losses.content_loss(seen[n], content[n]) for n in config.content_layers],
        "style": [losses.style_loss(seen[n], style[n]) for n in config.style_layers],
    }
    layers = {"content": config.content_layers, "style": config.style_layers}
    if config.gram_weight:
        parts["gram"] = [losses.gram_loss(seen[n], style[n]) for n in config.style_layers]
        layers["gram"] = config.style_layers
    found = {
        f"{part}/{name}": value
        for part, values in parts.items()
        for name, value in zip(layers[part], values, strict=True)
    }
    found |= {part: sum(values) / len(values) for part, values in parts.items()}
    total = config.content_weight * found["content"] + config.style_weight * found["style"]
    if config.gram_weight:
        total = total + config.gram_weight * found["gram"]
    if config.variation_weight:
        found["variation"] = losses.total_variation(stylized)
        total = total + config.variation_weight * found["variation"]
    return found | {"total": total}


def training_losses(model: Stylizer, vgg: VGG19, batch: dict, config, step: int) -> dict:
    """All losses of a batch of images {"content", "style"} in [0, 1], with gradient."""
    with torch.no_grad():
        of_content, of_style = vgg(batch["content"]), vgg(batch["style"])
    m, regression = config.model, None
    if m.code != "din":
        code = model.encode_style(batch["style"])
    elif m.style_encoder == "vgg19":
        code = model.code(model.describe(of_style))
    else:
        read = model.style_features(batch["style"])
        if m.style_feature == "statistics":
            target = model.describe(of_style)
            regression = F.mse_loss(read, target)
            # The nets learn from VGG's statistics first; the encoder by regression alone.
            read = target if step < config.train.teacher_steps else read.detach()
        code = model.code(read)
    stylized = model.stylize(batch["content"], code)
    found = objective(vgg, stylized, of_content, of_style, config.loss)
    if regression is not None:
        found["descriptor"] = regression
        found["total"] = found["total"] + config.loss.descriptor_weight * regression
    if regression is not None and m.net_feedback:
        painted = stylized.detach().clamp(0, 1)
        model.standardize.eval()
        with torch.no_grad():
            target = model.describe(vgg(stylized))
        model.standardize.train()
        found["descriptor_painted"] = F.mse_loss(model.style_features(painted), target)
        regression = found["descriptor_painted"]
        found["total"] = found["total"] + config.loss.descriptor_weight * regression
    return found


def make_optimizer(named_parameters, config, steps: int):
    """Adam and its schedule: weight and bias nets learn `dynamic_multiplier` times faster."""
    groups = {True: [], False: []}
    for name, parameter in named_parameters:
        groups[any(net in name.split(".") for net in DYNAMIC)].append(parameter)
    rate = config.learning_rate
    optimizer = torch.optim.Adam(
        [
            {"params": groups[False], "lr": rate},
            {"params": groups[True], "lr": rate * config.dynamic_multiplier},
        ],
        betas=(config.b1, config.b2),
    )

    def factor(step: int) -> float:
        if step < config.warmup:
            return step / config.warmup
        if config.decay == "constant":
            return 1.0
        length = max(steps, config.warmup + 1) - config.warmup
        done = min((step - config.warmup) / length, 1)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def clip_by_global_norm(parameters, largest: float) -> None:
    """Scales gradients down to a global norm of `largest`.

    `clip_grad_norm_` divides by norm + 1e-6 where optax divides by the norm.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.sqrt(sum(g.square().sum() for g in gradients))
    if norm > largest:
        for g in gradients:
            g.mul_(largest / norm)


def update(model: Stylizer, vgg: VGG19, batch: dict, optimizer, scheduler, config, step: int):
    """One step of training; gives the losses before it."""
    model.train()
    optimizer.zero_grad(set_to_none=False)
    found = training_losses(model, vgg, batch, config, step)
    found["total"].backward()
    if config.optim.clip > 0:
        clip_by_global_norm(list(model.parameters()), config.optim.clip)
    optimizer.step()
    scheduler.step()
    return {name: value.item() for name, value in found.items()}
