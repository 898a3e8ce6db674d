"""Statements that run at once: the table is as if they had run one after the other, in the order of their commits."""

import collections
import multiprocessing
import os
import random
import shutil
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import pyarrow as pa
import pytest
from conftest import Lake
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

# A condition that is true, and takes long enough for another statement to be first.
SERIES = "generate_series(1, 2000)"
WORK = f"(SELECT count(*) FROM {SERIES} AS a(x), {SERIES} AS b(y) WHERE (x * y) % 7 = 3) > 0"
SOON = "(SELECT 1) > 0"

LATE = {
    "delete": "DELETE FROM t WHERE id % 3 = 0 AND {slow}",
    "update": "UPDATE t SET n = n + 100 WHERE id BETWEEN 5 AND 15 AND {slow}",
    "upsert": "MERGE INTO t USING (SELECT value AS id FROM generate_series(8, 44, 4) AS g(value) WHERE {slow}) AS s "
    "ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1000 "
    "WHEN NOT MATCHED THEN INSERT (id, n, p) VALUES (s.id, -1, 0)",
    "mirror": "MERGE INTO t USING (SELECT value AS id FROM generate_series(1, 10) AS g(value) WHERE {slow}) AS s "
    "ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "replace": "INSERT INTO t REPLACE WHERE p = 1 "
    "SELECT 1 + 4 * value, 7, 1 FROM generate_series(1, 3) AS g(value) WHERE {slow}",
    "own rows": "INSERT INTO t SELECT max(id) + 1, count(*), 0 FROM t WHERE {slow}",
    "replace by own rows": "INSERT INTO t REPLACE WHERE p = 1 SELECT id, n + 1, 1 FROM t WHERE p = 1 AND {slow}",
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
        f"CREATE TABLE t (id BIGINT, n BIGINT, p INT) {layout} "
        f"TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')",
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


# Pairs in which the late statement must see what the early one did.
RACES = [
    ("delete", "insert"),
    ("delete", "restore"),
    ("update", "optimize"),
    ("update", "move"),
    ("upsert", "insert"),
    ("mirror", "insert"),
    ("own rows", "insert"),
    ("own sum", "update"),
    ("replace by own rows", "insert"),
    ("overwrite", "insert"),
    ("overwrite partition", "move"),
    ("replace table", "insert"),
]


@pytest.mark.parametrize(("late", "early"), RACES)
def test_a_late_statement_sees_an_early_one(tmp_path, late, early):
    code = race(tmp_path, late, early, layout="PARTITIONED BY (p)")
    assert code == 0 or late == "replace table", "it is run again"


def test_a_view_on_the_table_is_read_as_the_table_is(tmp_path):
    LATE["view"] = (
        "CREATE VIEW numbers AS SELECT sum(n) AS total FROM t; "
        "UPDATE t SET n = (SELECT total FROM numbers) WHERE id = 2 AND {slow}"
    )
    race(tmp_path, "view", "update")


def test_places_of_rows_are_read_as_the_table_is(tmp_path):
    LATE["places"] = "UPDATE t SET n = (SELECT count(*) FROM t$rows) WHERE id = 2 AND {slow}"
    race(tmp_path, "places", "delete")


@pytest.mark.parametrize(
    ("change", "vectors"),
    [("append", "true"), ("delete", "true"), ("update", "true"), ("compact", "true"), ("update", "false")],
)
def test_a_late_statement_sees_what_deltalake_did(tmp_path, change, vectors):
    lake = prepare(tmp_path / "lake", vectors, "PARTITIONED BY (p)")
    running = subprocess.Popen(lake.command(LATE["delete"].format(slow=WORK)), stdout=subprocess.DEVNULL)
    time.sleep(0.25)
    table = DeltaTable(lake.path("t"))
    match change:
        case "append":
            new = {"id": [33], "n": [1], "p": pa.array([1], pa.int32())}
            write_deltalake(lake.path("t"), pa.table(new), mode="append")
        case "delete":
            table.delete("id IN (6, 7, 21)")
        case "update":
            table.update(updates={"n": "n + 1", "id": "id + 1"}, predicate="id IN (8, 26)")
        case "compact":
            table.optimize.compact()
    assert running.poll() is None, "the statement is still busy"
    assert running.wait() == 0
    gone = {9, 12, 15, 30, 5, 18, 24, 28}
    numbers = [number for number in range(1, 33) if number not in gone]
    match change:
        case "delete":
            numbers = [number for number in numbers if number not in (6, 7, 21)]
        case "update":
            numbers = [number + (number in (8, 26)) for number in numbers]
    assert [int(row[0]) for row in state(lake)] == sorted(number for number in numbers if number % 3)


def at_once(lake, *statements):
    """Starts a process for each statement; their exit codes."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(lake.command(text), **pipes) for text in statements]
    messages = [process.communicate()[1] for process in running]
    codes = [process.returncode for process in running]
    assert set(codes) <= {0, 5}, messages
    return codes


TURNS = 2
SEVEN = "INSERT INTO t VALUES (7, 70, 3)"

# OPTIMIZE and another statement; what the table may be afterwards, from its rows before.
AGAINST_OPTIMIZE = {
    "OPTIMIZE t": None,
    "OPTIMIZE t ZORDER BY (id)": None,
    "DELETE FROM t": [],
    "INSERT OVERWRITE t VALUES (1, 1, 1), (2, 2, 2)": [("1", "1", "1"), ("2", "2", "2")],
}


@pytest.mark.parametrize("statement", AGAINST_OPTIMIZE)
def test_optimize_neither_doubles_nor_resurrects(tmp_path, statement):
    lake = prepare(tmp_path / "lake", "true", "PARTITIONED BY (p)")
    before = state(lake)
    wanted = AGAINST_OPTIMIZE[statement]
    fragments = [f"INSERT INTO t SELECT id, n, p FROM t VERSION AS OF 4 WHERE id % 5 = {rest}" for rest in range(5)]
    for turn in range(TURNS):
        # Many small files, some with deletion vectors, so that there is something to do.
        extra = ["INSERT INTO t VALUES (-1, 0, 0), (7, 70, 3), (-2, 0, 0)", "DELETE FROM t WHERE id < 0"]
        lake.sql("TRUNCATE TABLE t", *fragments, *extra, "DELETE FROM t WHERE id = 7", SEVEN)
        pair = ["OPTIMIZE t", statement][:: 1 if turn % 2 else -1]
        codes = dict(zip(pair, at_once(lake, *pair), strict=True))
        expected = before if wanted is None or codes[statement] == 5 else wanted
        assert state(lake) == expected, f"turn {turn}: {codes}"
        found = pa.table(QueryBuilder().register("t", DeltaTable(lake.path("t"))).execute("SELECT * FROM t").read_all())
        assert found.num_rows == len(expected)


SECONDS = float(os.environ.get("POSIXLAKE_RACE_SECONDS", "15"))
COUNTERS = 12


class Work(threading.Thread):
    """Changes a table until the time is up, and keeps what it was told has happened."""

    def __init__(self, lake, number, until):
        super().__init__()
        self.lake, self.number, self.until = lake, number, until
        self.pick = random.Random(number)
        # Rows (writer, key, n) that this one added or took away, increments by counter, and what went wrong otherwise.
        self.rows, self.increments, self.errors, self.conflicts, self.done = {}, {}, [], 0, 0
        self.key = 0

    def run(self):
        while time.monotonic() < self.until and not self.errors:
            try:
                self.turn()
            except Exception as error:
                self.errors.append(repr(error))

    def ours(self, statement):
        answer = self.lake.run(statement)
        if answer.returncode not in (0, 5):
            self.errors.append(f"{statement}: {answer.returncode} {answer.stderr}")
        self.conflicts += answer.returncode == 5
        self.done += answer.returncode == 0
        return answer.returncode == 0

    def new_keys(self, count):
        self.key += count
        return range(self.key - count, self.key)


class Appends(Work):
    def turn(self):
        keys = self.new_keys(5)
        if self.ours(f"INSERT INTO t VALUES {', '.join(f'({self.number}, {key}, {key})' for key in keys)}"):
            self.rows |= {key: key for key in keys}


class Increments(Work):
    def turn(self):
        few = self.pick.sample(range(COUNTERS), 2)
        if self.ours(f"UPDATE t SET n = n + 1 WHERE writer = -1 AND key IN ({few[0]}, {few[1]})"):
            for key in few:
                self.increments[key] = self.increments.get(key, 0) + 1


class Deletes(Work):
    def turn(self):
        keys = list(self.new_keys(6))
        values = ", ".join(f"({self.number}, {key}, 0)" for key in keys)
        if self.ours(f"INSERT INTO t VALUES {values}"):
            self.rows |= dict.fromkeys(keys, 0)
        few = ", ".join(map(str, self.pick.sample(keys, 3)))
        if self.ours(f"DELETE FROM t WHERE writer = {self.number} AND key IN ({few})"):
            for key in map(int, few.split(",")):
                self.rows.pop(key, None)


class Merges(Work):
    def turn(self):
        few = self.pick.sample(range(30), 5)
        source = " UNION ALL ".join(f"SELECT CAST({key} AS BIGINT) AS key" for key in few)
        if self.ours(
            f"MERGE INTO t USING ({source}) AS s ON t.writer = {self.number} AND t.key = s.key "
            "WHEN MATCHED THEN UPDATE SET n = t.n + 1 "
            f"WHEN NOT MATCHED THEN INSERT (writer, key, n) VALUES ({self.number}, s.key, 1)"
        ):
            self.rows |= {key: self.rows.get(key, 0) + 1 for key in few}


class Optimizes(Work):
    def turn(self):
        self.ours("OPTIMIZE t")
        time.sleep(self.pick.uniform(0, 0.3))


class Theirs(Work):
    """What deltalake does, in a process of its own: whether it stood, its exceptions tell.

    It does not compact: its compaction also commits where its files have been replaced meanwhile, and doubles their rows.
    """

    def run(self):
        # A fresh interpreter: a copy of this one, with its threads, could hang.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as self.process:
            super().run()

    def attempt(self, change, *parameters):
        error = self.process.submit(refusal, change, self.lake.path("t"), self.number, *parameters).result()
        self.done += error is None
        self.conflicts += error is not None
        if error and not any(word in error.lower() for word in ("concurrent", "conflict", "transaction")):
            self.errors.append(f"{change.__name__}: {error}")
        return error is None

    def turn(self):
        keys = list(self.new_keys(4))
        if self.attempt(append, keys):
            self.rows |= dict.fromkeys(keys, 0)
        few = self.pick.sample(keys, 2)
        match self.pick.randrange(5):
            case 0:
                if self.attempt(delete, few):
                    for key in few:
                        self.rows.pop(key, None)
            case 1:
                # Those that are not there (a conflict kept them out) are not updated.
                if self.attempt(increment, self.number, few):
                    self.rows |= {key: self.rows[key] + 1 for key in few if key in self.rows}
            case 2:
                few = self.pick.sample(range(COUNTERS), 2)
                if self.attempt(increment, -1, few):
                    for key in few:
                        self.increments[key] = self.increments.get(key, 0) + 1
            case 3:
                few += self.new_keys(2)
                if self.attempt(merge, few):
                    self.rows |= {key: self.rows.get(key, 0) + 1 for key in few}


# What the processes of deltalake run.


def refusal(change, *parameters):
    """What deltalake says where the change did not stand: its exceptions do not get from one process to another."""
    try:
        change(*parameters)
    except (CommitFailedError, DeltaError) as error:
        return str(error)


def rows_by(number, keys, n):
    return pa.table({"writer": pa.array([number] * len(keys), pa.int64()), "key": keys, "n": [n] * len(keys)})


def condition(writer, keys):
    return f"writer = {writer} AND key IN ({', '.join(map(str, keys))})"


def append(path, number, keys):
    write_deltalake(path, rows_by(number, keys, 0), mode="append")


def delete(path, number, keys):
    DeltaTable(path).delete(condition(number, keys))


def increment(path, _, writer, keys):
    DeltaTable(path).update(updates={"n": "n + 1"}, predicate=condition(writer, keys))


def merge(path, number, keys):
    same = "t.writer = s.writer AND t.key = s.key"
    merging = DeltaTable(path).merge(rows_by(number, keys, 1), same, source_alias="s", target_alias="t")
    merging.when_matched_update(updates={"n": "t.n + 1"}).when_not_matched_insert_all().execute()


@pytest.mark.parametrize(("vectors", "share"), [("true", 0.65), ("false", 0.35)])
def test_every_acknowledged_change_is_there_once(tmp_path, vectors, share):
    lake = Lake(tmp_path / "lake")
    lake.sql(
        f"CREATE TABLE t (writer BIGINT, key BIGINT, n BIGINT) "
        f"TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}', 'delta.checkpointInterval' = '10')",
        f"INSERT INTO t SELECT -1, value, 0 FROM generate_series(0, {COUNTERS - 1}) AS g(value)",
    )
    until = time.monotonic() + SECONDS * share
    kinds = [Appends, Increments, Increments, Deletes, Merges, Optimizes, Theirs, Theirs]
    works = [kind(lake, number, until) for number, kind in enumerate(kinds)]
    for work in works:
        work.start()
    for work in works:
        work.join()
    assert [work.errors for work in works] == [[] for _ in works]
    wanted = [(-1, key, sum(work.increments.get(key, 0) for work in works)) for key in range(COUNTERS)]
    wanted += [(work.number, key, n) for work in works for key, n in work.rows.items()]
    mine = [tuple(map(int, row.values())) for row in lake.sql("SELECT writer, key, n FROM t")]
    assert differences(wanted, mine) == ([], []), [(type(work).__name__, work.done, work.conflicts) for work in works]
    table = DeltaTable(lake.path("t"))
    found = pa.table(QueryBuilder().register("t", table).execute("SELECT writer, key, n FROM t").read_all())
    assert differences(wanted, [tuple(row.values()) for row in found.to_pylist()]) == ([], [])
    assert all(work.done for work in works if not isinstance(work, Theirs)), "everybody got through"


def differences(wanted, found):
    """What is missing, and what is too much."""
    less, more = collections.Counter(wanted), collections.Counter(found)
    return sorted((less - more).elements()), sorted((more - less).elements())
