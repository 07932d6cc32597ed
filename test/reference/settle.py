"""Random networks that behave like trained ones."""

import torch


def has_shortcut(module: torch.nn.Module) -> bool:
    if type(module).__name__ in ("BasicBlock", "Bottleneck", "ResBottleneckBlock"):
        return True
    return any(getattr(module, name, False) for name in ("use_res_connect", "apply_residual", "has_skip"))


@torch.no_grad()
def settle(model: torch.nn.Module, images: torch.Tensor, branch_weight: float = 1) -> None:
    """Gives a network properties of a trained one: batch norm statistics that fit the activations, and a class that fits each image.

    The logits of a random classifier are small differences of large sums, which magnify rounding errors: in float32,
    torchvision's own are then wrong by up to 8e-6 of the largest.

    In many residual blocks whose branches have as much weight as their shortcuts, rounding errors grow a thousandfold.
    branch_weight is the weight that the branches get.
    """
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # average all batches
        torch.nn.init.uniform_(norm.weight, 0.6, 1.4)
        torch.nn.init.normal_(norm.bias, 0, 0.2)
    for block in model.modules():
        if has_shortcut(block):
            last = [module for module in block.modules() if isinstance(module, torch.nn.BatchNorm2d)][-1]
            last.weight *= branch_weight
            last.bias *= branch_weight
    if norms:
        model.train()(images)
    for norm in norms:
        norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= 0.8 + 0.4 * torch.rand_like(norm.running_var)
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):  # ConvNeXt's initial scale makes a block almost an identity
            torch.nn.init.uniform_(parameter, 0.2, 0.6)
    classifier = [module for module in model.modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)][-1]
    features = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    model.eval()(images)
    hook.remove()
    if not classifier.weight.any():  # ViT's starts with zeros
        torch.nn.init.normal_(classifier.weight, 0, 0.02)
    if isinstance(classifier, torch.nn.Linear):
        classifier.weight[: len(images)] += 0.2 * torch.nn.functional.normalize(features[0])
