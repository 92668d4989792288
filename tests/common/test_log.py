import io
import logging
import subprocess
import sys
from contextlib import redirect_stderr

import pytest

from common.errors import exit_on_usage_error
from common.log import PACKAGES, show_logs
from common.machine import PROJECT

LOGGER = logging.getLogger("dataset.some.module")


def test_messages_go_to_the_current_stderr_once(capsys):
    show_logs()
    show_logs()
    LOGGER.info("decoding %d photos", 3)
    LOGGER.debug("not shown")
    assert capsys.readouterr() == ("", "decoding 3 photos\n")
    with redirect_stderr(io.StringIO()) as elsewhere:
        LOGGER.warning("damaged")
    assert elsewhere.getvalue() == "damaged\n" and capsys.readouterr().err == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_shows_the_logs_of_every_package(package):
    code = (
        "import logging\nfrom common.errors import exit_on_usage_error\n"
        f"logger = logging.getLogger('{package}.part')\n"
        "logger.info('before')\n"
        "with exit_on_usage_error():\n    logger.info('inside')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "inside\n")


def test_output_goes_to_stdout_once_and_nowhere_without_a_command():
    code = (
        "from common.log import output_of, show_logs\noutput = output_of('analysis.part')\n"
        "output.info('before')\nshow_logs()\nshow_logs()\noutput.info('100 % inside')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("100 % inside\n", "")


def test_a_level_that_the_program_has_set_is_kept(capsys):
    logger = logging.getLogger("dataset")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with exit_on_usage_error():
            LOGGER.warning("not wanted")
    finally:
        logger.setLevel(before)
    assert capsys.readouterr().err == ""
