"""Tell the study of an experiment what its trials became, as a resume does, without NNI's manager.

    python -m tuners.settle FOLDER < ORDER.json

ORDER: {"space": the search space, "arguments": the tuner's classArgs}.
"""

import json
import os
import sys
from pathlib import Path


def settle(folder: Path, order: dict) -> None:
    os.environ["NNI_LOG_DIRECTORY"] = str(folder / "log")  # where the tuner looks for its experiment
    from tuners.search import Search

    Search(**order["arguments"]).update_search_space(order["space"])


if __name__ == "__main__":
    settle(Path(sys.argv[1]), json.load(sys.stdin))
