"""Kill searches at random moments, go on with them, and count what was lost, doubled or left behind.

    python -m benchmarks.kills [--kills 60] [--seed 0] [--out out/kills]

Small searches on drawn people, one after the other: one and two trials at a time, with and without pauses.
A trial, the warm server, the dispatcher, NNI's manager, or all of them and the command that watches them, are
killed by SIGKILL or, as a machine that is taken away does, by SIGTERM; then `experiments resume` or plain
`nnictl resume` goes on. A search that was counted is not run again: the command may be stopped and goes on,
or be given more kills (nightly: 1000). Exit code 1 if anything was lost, doubled or left.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.kills.count import Counts
from benchmarks.kills.search import Search
from common.files import write_json
from common.machine import PROJECT
from dataset.face_masks.drawing.synthetic import draw

EACH = 6  # kills in a search
RESULT = "result.json"


def kills(number: int, seed: int, out: Path) -> Counts:
    """The counts of `number` kills, with those of earlier calls with this seed and `out`."""
    out = out.resolve() / f"seed{seed}"
    data = out / "people"
    if not data.is_dir():
        draw(data, people=30, height=64, width=48)
    counts: list[Counts] = []
    while (left := number - sum(len(one.kills) for one in counts)) > 0:
        folder = out / f"search{len(counts)}"
        result = folder / RESULT
        if not result.is_file():
            write_json(result, asdict(Search(len(counts), seed, folder, data, min(EACH, left)).run()))
        counts.append(Counts(**json.loads(result.read_text())))
        print(f"{folder.name}: {', '.join(counts[-1].kills)}\n  {counts[-1].line()}", flush=True)
        for fault in (*counts[-1].lost, *counts[-1].doubled, *counts[-1].leftovers):
            print(f"  {fault}", flush=True)
        if len(counts) > 1:
            print(f"  so far {sum(counts, Counts([])).line()}", flush=True)
    total = sum(counts, Counts([]))
    write_json(out / RESULT, asdict(total))
    return total


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "kills")
    given = parser.parse_args()
    total = kills(given.kills, given.seed, given.out)
    print(total.line())
    sys.exit(1 if total.faults else 0)


if __name__ == "__main__":
    main()
