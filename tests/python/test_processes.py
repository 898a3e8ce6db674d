"""Several processes on one table: nothing is lost, nobody sees half a statement, and a kill leaves whole statements."""

import random
import signal
import subprocess
import threading
import time

from deltalake import DeltaTable, write_deltalake
import pyarrow as pa


def test_writers_at_once_lose_nothing(lake):
    lake.sql("CREATE TABLE t (writer INT, n INT)")
    writers = [
        subprocess.Popen(lake.command(*[f"INSERT INTO t SELECT {writer}, value FROM generate_series({10 * n}, {10 * n + 9}) AS g(value)" for n in range(6)]))
        for writer in range(4)
    ]

    def append_theirs():
        for n in range(6):
            rows = pa.table({"writer": pa.array([9] * 10, pa.int32()), "n": pa.array(range(10 * n, 10 * n + 10), pa.int32())})
            write_deltalake(lake.path("t"), rows, mode="append")

    theirs = threading.Thread(target=append_theirs)
    theirs.start()
    seen = []
    while any(writer.poll() is None for writer in writers):
        seen.append(DeltaTable(lake.path("t")).to_pyarrow_table().num_rows)
    theirs.join()
    assert all(writer.returncode == 0 for writer in writers)
    assert all(count % 10 == 0 for count in seen), seen
    assert lake.sql("SELECT count(*) AS c, count(DISTINCT writer * 1000 + n) AS d FROM t") == [{"c": "300", "d": "300"}]


def test_a_kill_leaves_whole_statements(lake):
    lake.sql("CREATE TABLE t (n BIGINT)")
    random.seed(5)
    for _ in range(12):
        statement = "INSERT INTO t SELECT value FROM generate_series(1, 1000) AS g(value)"
        writer = subprocess.Popen(lake.command(*[statement] * 20), stdout=subprocess.DEVNULL)
        time.sleep(random.uniform(0.02, 0.6))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        count = int(lake.sql("SELECT count(*) AS c FROM t")[0]["c"])
        assert count % 1000 == 0
        assert DeltaTable(lake.path("t")).to_pyarrow_table().num_rows == count
    lake.sql("INSERT INTO t VALUES (1)")
