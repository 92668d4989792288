"""Several real processes build in one cache folder; some are killed."""

import fcntl
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.cache.arrays import cached
from dataset.cache.store import entries, tidy

PROJECT = Path(__file__).resolve().parents[3]
BUILD = """
import sys, time
from pathlib import Path
from dataset.cache import build
from common.log import show_logs
from dataset.cache.arrays import cached
show_logs()
folder, photo, count, height, seconds = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
decode = build.read_to_size
def slowly(*given):
    if seconds:
        print("decoding one", flush=True)
        time.sleep(seconds)
    return decode(*given)
build.read_to_size = slowly
array = cached([photo] * count, (height, 384), "bicubic", folder)
peak = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
print(int(array[::50].sum()), peak // 1024)
"""


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (512, 384, 3), dtype=np.uint8))
    return str(path)


@pytest.fixture
def start(tmp_path, photo):
    """start(count=, height=, seconds=): a process that builds, taking `seconds` per photo; killed at the end."""
    (tmp_path / "cache").mkdir()
    started = []

    def begin(count=4, height=512, seconds=0):
        words = [tmp_path / "cache", photo, count, height, seconds]
        process = subprocess.Popen(
            [sys.executable, "-c", BUILD, *map(str, words)],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(condition):
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def names(folder):
    return sorted(
        path.name.split("-")[0].removesuffix(path.suffix) + path.suffix for path in folder.iterdir()
    )


DONE = ["builder.lock", "photos.json", "photos.npy"]


def test_of_two_that_want_the_same_one_builds(start, tmp_path):
    both = [start(), start()]
    outputs = [process.communicate(timeout=60) for process in both]
    assert outputs[0][0].split()[0] == outputs[1][0].split()[0] != ""
    assert "".join(errors for _, errors in outputs).count("decoding 4 photos") == 1
    assert names(tmp_path / "cache") == DONE


def test_another_array_waits_says_so_and_is_built_after(start, tmp_path):
    with (tmp_path / "cache" / "builder.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(height=100)
        assert process.stderr.readline().startswith("waiting for another process that decodes photos into ")
        assert names(tmp_path / "cache") == ["builder.lock"] and process.poll() is None
    assert "decoding 4 photos to 100x384" in process.communicate(timeout=60)[1]
    assert names(tmp_path / "cache") == DONE


def test_after_a_killed_builder_the_next_one_builds(start, tmp_path, photo):
    folder = tmp_path / "cache"
    killed = start(seconds=60)
    until(lambda: list(folder.glob("*.part")))
    waiting = start()
    waiting.stderr.readline()
    killed.send_signal(signal.SIGKILL)
    assert waiting.communicate(timeout=60)[0]
    assert names(folder) == DONE
    assert cached([photo] * 4, (512, 384), "bicubic", folder) is not None


def test_leftovers_of_a_killed_builder_of_another_array_are_swept_up(start, tmp_path):
    folder = tmp_path / "cache"
    killed = start(height=100, seconds=60)
    until(lambda: list(folder.glob("*.part")))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert list(folder.glob("*.part"))
    assert start().communicate(timeout=60)[0]
    assert names(folder) == DONE


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_and_does_not_decode_the_rest_first(start, tmp_path):
    folder = tmp_path / "cache"
    process = start(count=500, seconds=1)
    assert process.stdout.readline().startswith("decoding one")  # of several threads at once
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)  # the rest takes minutes
    assert process.returncode != 0
    assert names(folder) == ["builder.lock"]


@pytest.mark.slow
def test_neither_building_nor_reading_holds_the_array_in_memory(start):
    small, large = (int(start(count).communicate(timeout=60)[0].split()[1]) for count in (2, 500))
    assert large - small < 100, f"{small} MiB for two photos, {large} MiB for an array of 281 MiB"


@pytest.mark.slow
def test_arrays_removed_under_a_builder_do_no_harm(start, tmp_path):
    folder = tmp_path / "cache"
    start(height=100).communicate(timeout=60)
    process = start(seconds=1)
    until(lambda: list(folder.glob("*.part")))
    for entry in entries(folder):
        entry.remove()
    tidy(folder)
    assert process.communicate(timeout=60)[0]
    assert names(folder) == DONE
