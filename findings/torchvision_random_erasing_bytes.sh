#!/bin/sh
# torchvision 0.29.1: RandomErasing(value="random") on photos as bytes (uint8, as decoders give them and as the guide
# to transforms.v2 advises) erases with black and white dots instead of noise, without a word; in v1 and v2 alike.
# Guessed: random values in the photo's range (documented: "If a str of 'random', erasing each pixel with random
# values"). Seen: the values are drawn from a standard normal distribution and then cast to the photo's type, so -1 to
# 1 becomes 0, and -2 is 254 on x86-64: 84 % of the values are 0 to 4, 16 % are 251 to 255, and none lies between.
# Their mean is 41, not 128, so erased photos get darker, and the dots of three channels are black or of the purest
# colours, which no photo has. A search over value= and p= measures that, not the noise of the paper. Floats from 0 to
# 1 that are normalized afterwards get noise with a standard deviation of 4.4, half of it below black. Only photos
# that are normalized before are erased as meant: the example has that order, and nothing says that it matters. Way
# round: RandomErasing after Normalize.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --no-compile --disable-pip-version-check \
  torchvision==0.29.1 torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'CODE'
import torch
import torchvision
from torchvision import transforms as v1
from torchvision.transforms import v2

torch.set_num_threads(1)
print("torchvision", torchvision.__version__)
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
grey = torch.full((3, 256, 256), 100, dtype=torch.uint8)


def erased(steps, photo=grey):
    """The values of the erased part, after the steps."""
    torch.manual_seed(0)
    whole = photo
    for step in steps:
        photo = step(photo)
        if not isinstance(step, (v1.RandomErasing, v2.RandomErasing)):
            whole = step(whole)
    return photo[:, (photo != whole).all(0)].double()


def shown(name, values):
    print(f"{name}: {len(values.unique())} values, mean {values.mean():.2f}, standard deviation {values.std():.2f}")
    return values


normalize = (v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, SD))
for name, transforms in (("v1", v1), ("v2", v2)):
    erasing = transforms.RandomErasing(p=1, scale=(0.3, 0.3), value="random")
    values = shown(f"{name}, bytes", erased([erasing]))
    dark, bright = float((values < 5).double().mean()), float((values > 250).double().mean())
    print(f"  0 to 4: {dark:.0%}, 251 to 255: {bright:.0%}, between: {abs(1 - dark - bright):.0%}")
    assert dark > 0.8 and bright > 0.15 and dark + bright == 1, "bytes are erased with noise of their own range now"
    late = shown(f"{name}, normalized before", erased([*normalize, erasing]))
    assert abs(late.mean()) < 0.02 and abs(late.std() - 1) < 0.02
    early = shown(f"{name}, floats from 0 to 1, normalized afterwards", erased([normalize[0], erasing, normalize[1]]))
    assert early.std() > 4
CODE
