"""A kill at any moment of a statement: the table shows the state before or after it, to other engines as well."""

import random
import signal
import subprocess
import time

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

ROWS = 2000

# Statements that may be repeated; each takes a table of ROWS rows, whose `n` are all the same, to another such table.
STATEMENTS = {
    "update": ["UPDATE t SET n = n + 1"],
    "delete and insert": [
        "DELETE FROM t WHERE id % 2 = 0",
        "INSERT INTO t SELECT id + 1, n, (p + 1) % 4 FROM t",
    ],
    "merge": [
        "MERGE INTO t USING (SELECT id + {half} AS id, n, p FROM t) AS s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET n = t.n + 1, id = t.id - {half} WHEN NOT MATCHED THEN INSERT (id, n, p) VALUES "
        "(s.id - {half}, s.n + 1, s.p) WHEN NOT MATCHED BY SOURCE THEN DELETE"
    ],
    "optimize": ["OPTIMIZE t", "UPDATE t SET n = n WHERE id % 7 = 0"],
    "replace table": ["CREATE OR REPLACE TABLE t PARTITIONED BY (p) AS SELECT id, n + 1 AS n, p FROM t"],
    "restore": ["RESTORE TABLE t TO VERSION AS OF 3", "RESTORE TABLE t TO VERSION AS OF 2"],
    "overwrite": ["INSERT OVERWRITE t SELECT id, n + 1, p FROM t"],
}


def facts(source):
    return f"SELECT count(*) AS count, sum(id) AS ids, min(n) AS low, max(n) AS high, sum(n) AS total FROM {source}"


def look(lake):
    """What posixlake and deltalake say of the table, which must be the same."""
    mine = lake.sql(facts("t"))[0]
    table = DeltaTable(lake.path("t"))
    theirs = pa.table(QueryBuilder().register("t", table).execute(facts("t")).read_all()).to_pylist()[0]
    assert mine == {name: str(value) for name, value in theirs.items()}
    return {name: int(value) for name, value in mine.items()}, table.version()


def whole(name, found):
    """Whether a state is one that whole statements make."""
    every = ROWS * (ROWS + 1) // 2
    full = (found["count"], found["ids"]) == (ROWS, every)
    same = found["low"] == found["high"]
    match name:
        case "delete and insert":
            odd = (found["count"], found["ids"]) == (ROWS // 2, (ROWS // 2) ** 2)
            return (full or odd) and same
        case "restore":
            return full and (same or found["total"] == ROWS + ROWS // 4)
        case _:
            return full and same


@pytest.mark.parametrize(
    ("name", "vectors"), [*((name, "true") for name in STATEMENTS), ("update", "false"), ("merge", "false")]
)
def test_a_kill_leaves_whole_statements(lake, name, vectors):
    lake.sql(
        f"CREATE TABLE t (id BIGINT, n BIGINT, p INT) PARTITIONED BY (p) "
        f"TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}', 'delta.checkpointInterval' = '7')",
        f"INSERT INTO t SELECT value, 1, value % 4 FROM generate_series(1, {ROWS // 2}) AS g(value)",
        f"INSERT INTO t SELECT value, 1, value % 4 FROM generate_series({ROWS // 2 + 1}, {ROWS}) AS g(value)",
        "UPDATE t SET n = n + 1 WHERE id % 4 = 1" if name == "restore" else "OPTIMIZE t",
    )
    pick = random.Random(name + vectors)
    statements = [statement.format(half=ROWS // 2) for statement in STATEMENTS[name]]
    found, last = look(lake)
    advanced = 0
    # On a busy machine, no statement may return before the first kills.
    for kills in range(20):
        if kills >= 2 and advanced > 0:
            break
        # What is not whole any more, such as a delete without its insert, goes on where it stopped.
        at_half = name == "delete and insert" and found["count"] == ROWS // 2
        turns = (statements[1:] if at_half else []) + statements * 30
        process = subprocess.Popen(lake.command(*turns), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(pick.uniform(0.08, 0.45))
        process.send_signal(signal.SIGKILL)
        message = process.communicate()[1]
        assert message == "", message
        found, version = look(lake)
        assert whole(name, found), found
        assert version >= last
        advanced += version - last
        last = version
    assert advanced > 0, "some statements returned before the kill"
    lake.sql("UPDATE t SET n = -1", "DELETE FROM t WHERE id = 1", "OPTIMIZE t")
    found, _ = look(lake)
    assert found["low"] == found["high"] == -1


