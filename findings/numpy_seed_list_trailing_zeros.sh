#!/usr/bin/env bash
# numpy 2.4.6: a generator seeded with a list of numbers is the same with zeros added at its end, up to four words.
# Guessed: default_rng([seed]), default_rng([seed, epoch]) and default_rng([seed, epoch, fold]) are independent.
# Seen: with epoch 0 and fold 0 all three are one stream, so what is drawn "for the run" comes again in its first
# epoch and in its first fold. A fifth word is another stream, and so is any number but 0.
# Way round: lists of one length, or counting from 1, or a first number that says what the stream is for.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np

def first(*words):
    return np.random.default_rng(words).integers(1_000_000, size=4).tolist()

print("numpy", np.__version__)
for words in ((7,), (7, 0), (7, 0, 0), (7, 0, 0, 0), (7, 0, 0, 0, 0), (7, 1)):
    print(f"default_rng({list(words)!s:17}) -> {first(*words)}")
assert first(7) == first(7, 0) == first(7, 0, 0) == first(7, 0, 0, 0), "zeros at the end tell streams apart now"
assert first(7) != first(7, 0, 0, 0, 0) and first(7) != first(7, 1)
print("as stated: up to four words, zeros at the end change nothing")
PY
