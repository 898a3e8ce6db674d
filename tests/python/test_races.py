"""Statements that run at once: the table is as if they had run one after the other, in the order of their commits."""

import os
import random
import shutil
import subprocess
import threading
import time

import pyarrow as pa
import pytest
from conftest import Lake
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from engines import rows

# A condition that is true, and takes long enough for another statement to be first.
WORK = "(SELECT count(*) FROM generate_series(1, 2500) AS a(x), generate_series(1, 2500) AS b(y) WHERE (x * y) % 7 = 3) > 0"
SOON = "(SELECT 1) > 0"

LATE = {
    "delete": "DELETE FROM t WHERE id % 3 = 0 AND {slow}",
    "update": "UPDATE t SET n = n + 100 WHERE id BETWEEN 5 AND 15 AND {slow}",
    "upsert": "MERGE INTO t USING (SELECT value AS id FROM generate_series(8, 44, 4) AS g(value) WHERE {slow}) AS s "
    "ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1000 WHEN NOT MATCHED THEN INSERT (id, n, p) VALUES (s.id, -1, 0)",
    "mirror": "MERGE INTO t USING (SELECT value AS id FROM generate_series(1, 10) AS g(value) WHERE {slow}) AS s "
    "ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "replace": "INSERT INTO t REPLACE WHERE p = 1 SELECT 1 + 4 * value, 7, 1 FROM generate_series(1, 3) AS g(value) WHERE {slow}",
    "own rows": "INSERT INTO t SELECT max(id) + 1, count(*), 0 FROM t WHERE {slow}",
    "own sum": "UPDATE t SET n = (SELECT sum(n) FROM t) WHERE id = 2 AND {slow}",
    "overwrite": "INSERT OVERWRITE t SELECT id, n + 1, p FROM t WHERE {slow}",
    "overwrite partition": "INSERT OVERWRITE t PARTITION (p = 1) SELECT 1, 1 FROM (SELECT 1) WHERE {slow}",
    "replace table": "CREATE OR REPLACE TABLE t PARTITIONED BY (p) AS SELECT id, n + 1 AS n, p FROM t WHERE {slow}",
}

EARLY = {
    "insert": "INSERT INTO t VALUES (9, 1, 1), (40, 2, 1), (41, 2, 2), (12, 5, NULL)",
    "delete": "DELETE FROM t WHERE id IN (6, 7, 12, 13)",
    "delete others": "DELETE FROM t WHERE id IN (2, 4, 16)",
    "update": "UPDATE t SET n = n + 1 WHERE id IN (6, 8, 9, 16)",
    "move": "UPDATE t SET p = 1, id = id + 1 WHERE id IN (2, 8, 14)",
    "merge": "MERGE INTO t USING (SELECT 12 AS id UNION ALL SELECT 36) AS s ON t.id = s.id "
    "WHEN MATCHED THEN UPDATE SET n = 77 WHEN NOT MATCHED THEN INSERT (id, n, p) VALUES (s.id, 78, 1)",
    "optimize": "OPTIMIZE t",
    "restore": "RESTORE TABLE t TO VERSION AS OF 2",
    "restore vectors": "RESTORE TABLE t TO VERSION AS OF 3",
    "truncate": "TRUNCATE TABLE t",
    "overwrite": "INSERT OVERWRITE t VALUES (9, 1, 1), (10, 2, 2)",
    "replace where": "INSERT INTO t REPLACE WHERE id = 9 VALUES (9, 55, 1)",
    "vectors off": "ALTER TABLE t SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
}


def prepare(folder, vectors, layout):
    lake = Lake(folder)
    lake.sql(
        f"CREATE TABLE t (id BIGINT, n BIGINT, p INT) {layout} TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')",
        "INSERT INTO t SELECT value, value * 10, value % 4 FROM generate_series(1, 16) AS g(value)",
        "INSERT INTO t SELECT value, value * 10, value % 4 FROM generate_series(17, 32) AS g(value)",
        "DELETE FROM t WHERE id IN (9, 12, 15, 30)",
        "DELETE FROM t WHERE id IN (5, 18, 24, 28)",
    )
    return lake


def state(lake):
    answer = lake.sql("SELECT id, n, p FROM t ORDER BY id, n, p")
    return [tuple(row.values()) for row in answer]


def race(folder, late, early, vectors="true", layout=""):
    """Runs the late statement, and the early one while it is busy; compares with both in the order of their commits."""
    lake = prepare(folder / "lake", vectors, layout)
    serial = Lake(folder / "serial")
    shutil.copytree(lake.folder, serial.folder)
    running = subprocess.Popen(
        lake.command(LATE[late].format(slow=WORK)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.25)
    lake.sql(EARLY[early])
    before = running.poll() is not None
    message = running.communicate()[1]
    assert running.returncode in (0, 5), message
    order = [EARLY[early]]
    if running.returncode == 0:
        order.insert(0 if before else 1, LATE[late].format(slow=SOON))
    serial.sql(*order)
    assert state(lake) == state(serial), f"order: {order}, exit code {running.returncode}"
    return running.returncode
