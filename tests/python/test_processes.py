"""Several processes on one table: nothing is lost, nobody sees half a statement, and a kill leaves whole statements."""

import random
import signal
import subprocess
import threading
import time

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError


def insert_ten(writer, turn):
    first = 10 * turn
    return f"INSERT INTO t SELECT {writer}, value FROM generate_series({first}, {first + 9}) AS g(value)"


def counts(lake):
    """How many rows there are, as posixlake and as deltalake see them."""
    mine = int(lake.sql("SELECT count(*) AS rows FROM t")[0]["rows"])
    return mine, DeltaTable(lake.path("t")).to_pyarrow_table().num_rows


def test_writers_at_once_lose_nothing(lake):
    writers, turns = 8, 25
    lake.sql("CREATE TABLE t (writer INT, n INT)")
    running = [
        subprocess.Popen(lake.command(*[insert_ten(writer, turn) for turn in range(turns)]), stdout=subprocess.DEVNULL)
        for writer in range(writers)
    ]

    def append(rows):
        # deltalake gives up after 15 lost races, without a pause between them.
        while True:
            try:
                return write_deltalake(lake.path("t"), rows, mode="append")
            except CommitFailedError:
                time.sleep(random.uniform(0.001, 0.05))

    def append_theirs():
        for turn in range(turns):
            numbers = pa.array(range(10 * turn, 10 * turn + 10), pa.int32())
            rows = pa.table({"writer": pa.array([writers] * 10, pa.int32()), "n": numbers})
            append(rows)

    theirs = threading.Thread(target=append_theirs)
    theirs.start()
    seen = []
    while theirs.is_alive() or any(writer.poll() is None for writer in running):
        seen.extend(counts(lake))
    theirs.join()
    assert [writer.returncode for writer in running] == [0] * writers
    assert all(count % 10 == 0 for count in seen), seen
    assert len(set(seen)) > 2, "the readers looked while rows came in"
    total = str((writers + 1) * turns * 10)
    assert lake.sql("SELECT count(*) AS rows FROM t") == [{"rows": total}]
    assert lake.sql("SELECT count(*) AS rows FROM (SELECT DISTINCT * FROM t)") == [{"rows": total}]
    assert DeltaTable(lake.path("t")).version() == (writers + 1) * turns


def test_a_kill_leaves_whole_statements(lake):
    lake.sql("CREATE TABLE t (n BIGINT)")
    random.seed(5)
    acknowledged = 0
    for _ in range(15):
        statement = "INSERT INTO t SELECT value FROM generate_series(1, 1000) AS g(value)"
        # Each statement that returned has printed its count.
        writer = subprocess.Popen(lake.command(*[statement] * 40), stdout=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0.05, 0.8))
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.communicate()[0].split().count("1000")
        mine, theirs = counts(lake)
        assert mine == theirs
        assert mine % 1000 == 0, "half a statement"
        assert mine >= acknowledged * 1000, "a statement that returned is lost"
    assert acknowledged > 0, "some statements returned before the kill"
    lake.sql("INSERT INTO t VALUES (1)")


def test_changes_and_inserts_at_once(lake):
    lake.sql("CREATE TABLE t (writer INT, n INT)")
    inserting = [
        subprocess.Popen(lake.command(*[insert_ten(writer, turn) for turn in range(10)]), stdout=subprocess.DEVNULL)
        for writer in range(2)
    ]
    # A statement that lost every race says so and may be run again.
    while any(writer.poll() is None for writer in inserting):
        for statement in ("DELETE FROM t WHERE n % 10 = 9", "OPTIMIZE t", "UPDATE t SET writer = writer"):
            answer = lake.run(statement)
            assert answer.returncode in (0, 5), answer.stderr
    assert [writer.returncode for writer in inserting] == [0, 0]
    lake.sql("DELETE FROM t WHERE n % 10 = 9")
    assert counts(lake) == (2 * 10 * 9, 2 * 10 * 9)
