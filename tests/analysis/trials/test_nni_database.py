"""NNI's database as a killed manager leaves it."""

import sqlite3
import subprocess
import sys

from analysis.trials.nni_database import database, profile

KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("pragma cache_size=1")  # so that it writes before the end of the transaction
connection.execute("begin")
connection.executemany("insert into ExperimentProfile values (?, 2)", [("x" * 5000,)] * 200)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_transaction_that_was_cut_off_by_a_kill_is_taken_back(tmp_path):
    path = database(tmp_path)
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("create table ExperimentProfile (params text, revision int)")
    connection.execute("""insert into ExperimentProfile values ('{"experimentName": "mine"}', 1)""")
    connection.commit()
    connection.close()
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.with_name("nni.sqlite-journal").exists()
    assert profile(tmp_path) == {"experimentName": "mine"}
