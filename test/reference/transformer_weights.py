"""transformer_weights.py FOLDER: weights of a small ViT and of Swin-T, in forms other than torchvision's.

Writes vit.pth and swin.pth with the names of the original implementations (timm, Microsoft), position.f32 with the position
embedding of vit.pth as torchvision interpolates it for images of 96 pixels, and images as SIZE.f32 (two each). Prints
{"vit": [logits], "swin": [logits]}, computed by torchvision's modules in float64.
"""

import json
import pathlib
import re
import sys

import torch

import stubs  # noqa: F401  before torchvision
from settle import settle
from torchvision.models import VisionTransformer, swin_t
from torchvision.models.vision_transformer import interpolate_embeddings

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(0)


def vit_name(name):
    name = name.replace("class_token", "cls_token").replace("encoder.pos_embedding", "pos_embed")
    name = name.replace("conv_proj", "patch_embed.proj").replace("heads.head", "head").replace("encoder.ln.", "norm.")
    name = re.sub(r"encoder\.layers\.encoder_layer_(\d+)", r"blocks.\1", name).replace("ln_", "norm")
    name = name.replace("self_attention.in_proj_", "attn.qkv.").replace("self_attention.out_proj", "attn.proj")
    return name.replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")


def swin_name(name):
    name = name.replace("features.0.0.", "patch_embed.proj.").replace("features.0.2.", "patch_embed.norm.")

    def stage(match):
        number = int(match[1])
        return f"layers.{(number - 1) // 2}.{'blocks' if number % 2 else 'downsample'}."

    name = re.sub(r"^features\.(\d)\.", stage, name)
    return name.replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")


def write(model, rename, path, size):
    images = torch.randn(2, 3, size, size)
    images.numpy().tofile(folder / f"{size}.f32")
    settle(model, images)
    renamed = {rename(name): tensor for name, tensor in model.state_dict().items()}
    for name, tensor in renamed.items():
        if name.endswith("relative_position_index"):
            renamed[name] = tensor.view(49, 49)
    torch.save(renamed, folder / path)
    return model.double()(images.double()).flatten().tolist()


with torch.no_grad():
    vit = VisionTransformer(64, 16, num_layers=2, num_heads=2, hidden_dim=48, mlp_dim=96, num_classes=10)
    logits = write(vit, vit_name, "vit.pth", 64)
    state = interpolate_embeddings(96, 16, vit.float().state_dict())
    state["encoder.pos_embedding"].numpy().tofile(folder / "position.f32")
    print(json.dumps({"vit": logits, "swin": write(swin_t(num_classes=10), swin_name, "swin.pth", 80)}))
