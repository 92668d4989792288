"""Print every benchmark's table (`make bench`); each row is a ratio against a named rival in the same run.

python -m benchmarks [--quick] [NAME ...]        NAME: busy, caching, memory, scale,
                                                scale_photos, scale_search, starting, training
"""

import sys

from benchmarks import busy, caching, memory, scale, scale_photos, scale_search, starting, training
from benchmarks.measure import HEADER

ALL = {
    "training": training, "caching": caching, "memory": memory, "starting": starting, "scale": scale,
    "scale_search": scale_search, "scale_photos": scale_photos, "busy": busy,
}  # fmt: skip


def main(arguments: list[str]) -> None:
    quick = "--quick" in arguments
    names = [name for name in arguments if name != "--quick"] or list(ALL)
    if wrong := [name for name in names if name not in ALL]:
        raise SystemExit(f"unknown benchmark {', '.join(wrong)}; choose from {', '.join(ALL)}")
    for name in names:
        print(f"\n{name}: {(ALL[name].__doc__ or '').splitlines()[0]}\n{HEADER}", flush=True)
        for row in ALL[name].rows(quick):
            print(row, flush=True)


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
    else:
        main(sys.argv[1:])
