import contextlib
import sqlite3
import subprocess
import sys

import pytest

from common.errors import UsageError
from common.nni_database import database, profile, query

KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("pragma cache_size=1")  # so that it writes before the end of the transaction
connection.execute("begin")
connection.executemany("insert into ExperimentProfile values (?, 2)", [("x" * 5000,)] * 200)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path):
    """An experiment's folder whose database has the table of profiles, empty."""
    database(tmp_path).parent.mkdir()
    run(tmp_path, "create table ExperimentProfile (params text, revision int)")
    return tmp_path


def run(folder, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(database(folder))) as connection, connection:
        connection.execute(sql)


def test_the_profile_is_the_latest_revision_or_the_first(folder):
    assert profile(folder) == {}
    run(folder, """insert into ExperimentProfile values ('{"n": 2}', 1), ('{"n": 3}', 2)""")
    assert profile(folder) == {"n": 3}
    assert profile(folder, first=True) == {"n": 2}


def test_a_table_that_is_not_yet_made_is_empty(folder):
    assert query(folder, "select * from TrialJobEvent") == []


def test_a_file_that_is_not_a_database_or_missing_is_refused(folder):
    database(folder).write_text("not a database, but long enough to be looked at" * 99)
    with pytest.raises(UsageError, match="can't be read as NNI's database"):
        profile(folder)
    database(folder).unlink()
    with pytest.raises(UsageError, match="can't be read as NNI's database"):
        profile(folder)


def test_a_transaction_that_a_killed_manager_left_unfinished_is_rolled_back(folder):
    run(folder, """insert into ExperimentProfile values ('{"experimentName": "mine"}', 1)""")
    path = database(folder)
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.with_name("nni.sqlite-journal").exists()
    assert profile(folder) == {"experimentName": "mine"}
