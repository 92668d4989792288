#!/bin/sh
# timm 1.0.31: create_optimizer_v2(model, layer_decay=0.5) does nothing, without a word, unless one of timm's own
# schedulers drives the optimizer. Its documentation says "learning rates will be scaled by layer_decay^(max_depth -
# layer_depth)", with the call alone as the example. Seen: all groups have the full learning rate; the factor lies in
# a key of the group, lr_scale, that no optimizer and no scheduler of torch reads. With CosineAnnealingLR (or
# OneCycleLR, or no scheduler, as a Lightning or skorch user has it) layer_decay=0.5 gives the weights of
# layer_decay=1, to the bit, so a search over it measures noise, and a fine-tuned network's first layers move as fast
# as its head: in a small vision transformer 92 times as far in ten steps as with timm's cosine. Way round: after the
# call, group["lr"] *= group["lr_scale"] for each group; or sched="constant" of timm.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check timm==1.0.31 torch==2.14.1
"$folder/venv/bin/python" - <<'CODE'
import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

torch.set_num_threads(1)
print("timm", timm.__version__)
doc = " ".join(create_optimizer_v2.__doc__.split())
start = doc.find("layer_decay: ")
print("documented:", doc[start : doc.find("Only used", start)])

photos = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
STEPS = 10
ways = {
    "no scheduler": lambda optimizer: None,
    "torch's cosine": lambda optimizer: CosineAnnealingLR(optimizer, STEPS),
    "torch's one cycle": lambda optimizer: OneCycleLR(optimizer, 1e-4, total_steps=STEPS + 1),
    "timm's cosine": lambda optimizer: create_scheduler_v2(optimizer, "cosine", num_epochs=STEPS)[0],
    "timm's constant": lambda optimizer: create_scheduler_v2(optimizer, "constant", num_epochs=STEPS)[0],
}


def trained(way, decay):
    """Weights after some steps, the rates at the start, and how far the first layer and the head moved."""
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", depth=6, embed_dim=48, num_heads=3, num_classes=18)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    optimizer = create_optimizer_v2(network, "adamw", lr=1e-4, weight_decay=0.05, layer_decay=decay)
    scheduler = ways[way](optimizer)
    rates = sorted({round(group["lr"], 10) for group in optimizer.param_groups})
    for step in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(photos), torch.arange(8)).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step(*([step + 1] if way.startswith("timm") else []))
    after = network.state_dict()
    moved = [float((after[n] - before[n]).abs().mean()) for n in ("patch_embed.proj.weight", "head.weight")]
    return after, rates, moved


first = {}
for way in ways:
    (half, rates, moved), (whole, _, _) = trained(way, 0.5), trained(way, 1.0)
    same = all(torch.equal(half[name], whole[name]) for name in whole)
    first[way] = moved[0]
    print(f"{way:17} rates {rates[0]:.1e} to {rates[-1]:.1e}; first layer moved {moved[0]:.1e}, head {moved[1]:.1e}; "
          f"the weights of layer_decay=1: {same}")
    assert same == (len(rates) == 1) == (not way.startswith("timm")), way
times = first["torch's cosine"] / first["timm's cosine"]
print(f"with torch's cosine the first layer moves {times:.0f} times as far as with timm's")
assert times > 20
CODE
