import os
import subprocess
import sys

import pytest

from dataset.cache import cached
from dataset.machine import cores
from dataset.pixels import unreadable


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="macOS binds no process to cores")
def test_cores_are_those_that_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    code += "from dataset.machine import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_photos_are_decoded_where_python_lacks_what_only_linux_has(paths, folder, monkeypatch):
    for name in ("sched_getaffinity", "posix_fallocate"):
        monkeypatch.delattr(os, name, raising=False)
    assert cores() == os.cpu_count()
    assert cached(paths, (20, 15), "bicubic", folder) is not None
    assert unreadable(paths) == []
