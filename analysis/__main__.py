"""python -m analysis COMMAND: everything after an experiment, and a look at the data before it.

Imports that take long (torch, plotly) are inside the commands, so that each starts fast.
"""

from analysis.commands import results, submitting, viewing
from analysis.commands.options import app

__all__ = ["app", "results", "submitting", "viewing"]

if __name__ == "__main__":
    app(prog_name="python -m analysis")
