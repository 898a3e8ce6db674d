"""Backups hold what the table held, find what is wrong with them, and come back whole, whatever stops the program."""

import csv
import io
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import pytest
from deltalake import DeltaTable

from engines import duckdb_delta

VECTORS = "'delta.enableDeletionVectors' = 'true'"
CHANGES = "'delta.enableChangeDataFeed' = 'true'"
SERIES = "SELECT value AS id, concat('row ', value) AS name FROM generate_series({}, {}) AS g(value)"


@pytest.fixture
def backup(tmp_path):
    return tmp_path / "backup"


def found(lake, statement):
    """The rows of a statement that may fail, with how it ended."""
    answer = lake.run(statement)
    return list(csv.DictReader(io.StringIO(answer.stdout))), answer


def verified(lake, backup):
    rows, answer = found(lake, f"VERIFY BACKUP '{backup}'")
    assert answer.returncode == 0, (rows, answer.stderr)
    assert {row["status"] for row in rows} == {"ok"}, rows
    return rows


def contents(lake, table, version=None):
    at = "" if version is None else f" VERSION AS OF {version}"
    return ordered(lake.sql(f"SELECT * FROM {table}{at}"))


def ordered(rows):
    return sorted(rows, key=lambda row: sorted(row.items()))


def with_history(lake, versions, extra=""):
    """A table with inserts, deletes, updates and an optimize among its commits."""
    lake.sql(f"CREATE TABLE t (id BIGINT, name STRING) TBLPROPERTIES ({VECTORS}, {CHANGES}{extra})")
    statements = []
    for version in range(1, versions):
        match version % 10:
            case 3:
                statements.append(f"DELETE FROM t WHERE id = {version - 1}")
            case 6:
                statements.append(f"UPDATE t SET name = 'changed in {version}' WHERE id % 7 = 1")
            case 9:
                statements.append("OPTIMIZE t")
            case _:
                statements.append(f"INSERT INTO t {SERIES.format(version, version)}")
    return statements


def test_every_version_of_a_chain_is_what_it_was(lake, backup):
    statements = with_history(lake, 161)
    pieces = [statements[:50], statements[50:90], statements[90:130], statements[130:]]
    for number, piece in enumerate(pieces):
        lake.sql(*piece)
        [row] = lake.sql(f"BACKUP TABLE t TO '{backup}'{' INCREMENTAL' if number else ''}")
        assert (row["table"], row["backup_number"]) == ("t", str(number + 1))
        assert row["restorable_versions"] == f"0 to {row['version']}"
    last = DeltaTable(lake.path("t")).version()
    assert last >= 150, "there are checkpoints among the versions"
    assert len(list((backup / "tables").rglob("*.checkpoint.parquet"))) > 5
    verified(lake, backup)
    history = lake.sql("DESCRIBE HISTORY t")
    # Time travel on the source, version by version, against a restore of each.
    others = [f"RESTORE TABLE t AS r{version} FROM '{backup}' TO VERSION AS OF {version}" for version in range(last + 1)]
    lake.sql(*others)
    compared = []
    for version in range(last + 1):
        assert DeltaTable(lake.path(f"r{version}")).version() == version
        then, now = f"SELECT * FROM t VERSION AS OF {version}", f"SELECT * FROM r{version}"
        both = f"({then} EXCEPT ALL {now}) UNION ALL ({now} EXCEPT ALL {then})"
        compared.append(f"SELECT concat('version {version} has ', count(*), ' wrong rows') AS answer FROM ({both})")
    answer = lake.run(*compared)
    assert answer.returncode == 0, answer.stderr
    answers = [line for line in answer.stdout.splitlines() if line != "answer"]
    assert answers == [f"version {version} has 0 wrong rows" for version in range(last + 1)]
    # A restored table has its history, times and change feed.
    assert lake.sql(f"DESCRIBE HISTORY r{last}") == history
    feed = "SELECT * FROM table_changes('{}', 0)"
    assert ordered(lake.sql(feed.format(f"r{last}"))) == ordered(lake.sql(feed.format("t")))
    lake.sql(f"INSERT INTO r{last} VALUES (-1, 'more')", f"CHECKPOINT r{last}")
    theirs = duckdb_delta().execute(f"SELECT count(*) FROM delta_scan('{lake.path(f'r{last}')}')").fetchall()
    assert lake.sql(f"SELECT count(*) AS n FROM r{last}") == [{"n": str(theirs[0][0])}]
    # By time, as of the moment of a commit and between two.
    at = {row["version"]: row["timestamp"] for row in history}
    lake.sql(f"RESTORE TABLE t AS then FROM '{backup}' TO TIMESTAMP AS OF '{at['77']}'")
    assert contents(lake, "then") == contents(lake, "t", 77)


def test_other_engines_read_what_was_restored(lake, backup):
    lake.sql(
        "CREATE TABLE t (id BIGINT, p STRING) PARTITIONED BY (p)",
        "INSERT INTO t SELECT value, concat('a/b %', value % 3) FROM generate_series(1, 30) AS g(value)",
        "DELETE FROM t WHERE id < 4",
        f"BACKUP TABLE t TO '{backup}'",
        f"RESTORE TABLE t AS u FROM '{backup}'",
    )
    table = DeltaTable(lake.path("u")).to_pyarrow_table().sort_by("id").to_pylist()
    assert ordered([{key: str(value) for key, value in row.items()} for row in table]) == contents(lake, "t")


def test_checkpoints_with_sidecars_and_a_log_that_was_cleaned(lake, backup):
    statements = with_history(
        lake,
        45,
        ", 'delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '5', "
        "'delta.logRetentionDuration' = 'interval 1 day', 'delta.deletedFileRetentionDuration' = 'interval 0 seconds'",
    )
    lake.sql(*statements)
    log = pathlib.Path(lake.path("t"), "_delta_log")
    old = sorted(log.glob("*.json"))[:30]
    for commit in old:
        os.utime(commit, (0, 0))
    lake.sql("CHECKPOINT t", *[f"INSERT INTO t VALUES ({n}, 'late')" for n in range(100, 106)])
    commits = [file for file in log.glob("*.json") if len(file.name) == 25]
    assert len(commits) < 45, "the log was cleaned up"
    lake.sql("SET posixlake.vacuum_retention_check = false; VACUUM t RETAIN 0 HOURS")
    [row] = lake.sql(f"BACKUP TABLE t TO '{backup}'")
    verified(lake, backup)
    last = int(row["version"])
    first = int(row["restorable_versions"].replace(",", " ").split()[0])
    assert 0 < first < last
    lake.sql(f"RESTORE TABLE t AS u FROM '{backup}'")
    assert contents(lake, "u") == contents(lake, "t")
    refused = lake.run(f"RESTORE TABLE t AS v FROM '{backup}' TO VERSION AS OF 2")
    assert refused.returncode != 0 and row["restorable_versions"] in refused.stderr, refused.stderr
    # What is cleaned up at the source afterwards stays in the backup.
    lake.sql("DELETE FROM t WHERE id = 100", "INSERT INTO t VALUES (7, 'seven')", f"BACKUP TABLE t TO '{backup}' INCREMENTAL")
    before = contents(lake, "t", last)
    lake.sql("OPTIMIZE t", "SET posixlake.vacuum_retention_check = false; VACUUM t RETAIN 0 HOURS")
    lake.sql(f"BACKUP TABLE t TO '{backup}' INCREMENTAL", f"RESTORE TABLE t AS w FROM '{backup}' TO VERSION AS OF {last}")
    verified(lake, backup)
    assert contents(lake, "w") == before


def test_every_flipped_byte_and_missing_file_is_found(lake, backup):
    lake.sql(*with_history(lake, 22))
    lake.sql(f"BACKUP TABLE t TO '{backup}'")
    lake.sql("INSERT INTO t VALUES (1000, 'more')", f"BACKUP TABLE t TO '{backup}' INCREMENTAL")
    verified(lake, backup)
    files = sorted(file for file in backup.rglob("*") if file.is_file())
    assert len(files) > 20
    for number, file in enumerate(files):
        good = file.read_bytes()
        place = (number * 7919) % len(good)
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        rows, answer = found(lake, f"VERIFY BACKUP '{backup}'")
        assert answer.returncode != 0, f"{file} at {place}"
        assert any(row["path"] and str(file).endswith(row["path"]) for row in rows if row["status"] != "ok"), (file, rows)
        file.unlink()
        rows, answer = found(lake, f"VERIFY BACKUP '{backup}'")
        assert answer.returncode != 0, f"{file} is gone"
        file.write_bytes(good)
    verified(lake, backup)


def test_a_damaged_file_is_not_restored(lake, backup):
    lake.sql(f"CREATE TABLE t AS {SERIES.format(1, 100)}", f"BACKUP TABLE t TO '{backup}'")
    data = next((backup / "tables").rglob("part-*.parquet"))
    data.write_bytes(data.read_bytes()[:-20] + b"x" * 20)
    answer = lake.run(f"RESTORE TABLE t AS u FROM '{backup}'")
    assert answer.returncode != 0 and "checksum" in answer.stderr, answer.stderr
    assert lake.run("SELECT * FROM u").returncode != 0
    assert lake.sql("SHOW TABLES", "SELECT count(*) AS n FROM t")[-1]


def test_a_table_that_stands_is_only_replaced_when_told_so(lake, backup):
    lake.sql(f"CREATE TABLE t AS {SERIES.format(1, 10)}", f"BACKUP TABLE t TO '{backup}'", "DELETE FROM t WHERE id > 3")
    refused = lake.run(f"RESTORE TABLE t FROM '{backup}'")
    assert refused.returncode != 0 and "OVERWRITE" in refused.stderr
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "3"}]
    [row] = lake.sql(f"RESTORE TABLE t FROM '{backup}' OVERWRITE")
    assert row["version"] == "2"
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "10"}]
    assert lake.sql("SELECT count(*) AS n FROM t VERSION AS OF 1") == [{"n": "3"}]
    assert [row["operation"] for row in lake.sql("DESCRIBE HISTORY t")][0] == "RESTORE"
    # Another table of the same name, too.
    lake.sql("DROP TABLE t", "CREATE TABLE t (x INT)", "INSERT INTO t VALUES (1)", f"RESTORE TABLE t FROM '{backup}' OVERWRITE")
    assert lake.sql("SELECT sum(id) AS n FROM t") == [{"n": "55"}]
    assert len(DeltaTable(lake.path("t")).to_pyarrow_table()) == 10
    refused = lake.run(f"BACKUP TABLE t TO '{backup}' INCREMENTAL")
    assert refused.returncode != 0 and "another place" in refused.stderr
    refused = lake.run(f"BACKUP TABLE t TO '{backup}'")
    assert refused.returncode != 0 and "INCREMENTAL" in refused.stderr


def test_a_lake_comes_back(lake, backup, tmp_path):
    lake.sql(
        f"CREATE TABLE a AS {SERIES.format(1, 5)}",
        "CREATE SCHEMA s",
        f"CREATE TABLE s.`b c` AS {SERIES.format(1, 7)}",
        f"BACKUP LAKE TO '{backup}'",
        "DROP TABLE a",
        "CREATE TABLE a (other INT)",
        "INSERT INTO s.`b c` VALUES (8, 'eight')",
        "CREATE TABLE late (x INT)",
    )
    rows = lake.sql(f"BACKUP LAKE TO '{backup}' INCREMENTAL")
    assert {row["table"]: row["version"] for row in rows} == {"a": "0", "late": "0", "s.`b c`": "1"}
    verified(lake, backup)
    assert lake.run(f"RESTORE LAKE FROM '{backup}'").returncode != 0
    other = type(lake)(tmp_path / "other")
    other.sql(f"RESTORE LAKE FROM '{backup}'")
    assert other.sql("SELECT count(*) AS n FROM s.`b c`") == [{"n": "8"}]
    assert other.sql("SELECT * FROM late") == [] and other.sql("SELECT other FROM a") == []
    # As of the first run's end: the old table, and not the late one.
    first = min((backup / "manifests").iterdir()).read_text().splitlines()[0]
    taken = int(first.split('"taken":')[1].split(",")[0])
    then = type(lake)(tmp_path / "then")
    then.sql(f"RESTORE LAKE FROM '{backup}' TO TIMESTAMP AS OF to_timestamp_micros({taken})")
    assert then.sql("SELECT count(*) AS n FROM a") == [{"n": "5"}]
    assert then.sql("SELECT count(*) AS n FROM s.`b c`") == [{"n": "7"}]
    assert then.run("SELECT * FROM late").returncode != 0
    lake.sql(f"RESTORE LAKE FROM '{backup}' OVERWRITE")


def test_nothing_new_is_no_new_run(lake, backup):
    lake.sql(f"CREATE TABLE t AS {SERIES.format(1, 5)}", f"BACKUP TABLE t TO '{backup}'")
    [row] = lake.sql(f"CALL backup('t', '{backup}', incremental => true)")
    assert (row["backup_number"], row["num_files"]) == ("1", "0")
    assert lake.sql(f"CALL verify_backup('{backup}')")[0]["status"] == "ok"
    assert lake.sql(f"CALL restore_backup('{backup}', 't', target => 'u', version => 0)")[0]["table"] == "u"
    assert contents(lake, "u") == contents(lake, "t")


def test_refusals_say_what_to_do(lake, backup):
    lake.sql(f"CREATE TABLE t AS {SERIES.format(1, 5)}", "CREATE TABLE c SHALLOW CLONE t")
    for statement, says in [
        (f"BACKUP TABLE c TO '{backup}'", "shallow clone"),
        (f"BACKUP TABLE t TO '{lake.path('t')}/inside'", "lies inside"),
        (f"BACKUP LAKE TO '{lake.folder}/inside'", "lies inside"),
        (f"VERIFY BACKUP '{backup}'", "no backup at"),
        (f"RESTORE TABLE t FROM '{backup}'", "no backup at"),
    ]:
        answer = lake.run(statement)
        assert answer.returncode != 0 and says in answer.stderr, (statement, answer.stderr)
    other = backup.parent / "other"
    lake.sql(f"BACKUP TABLE t TO '{other}'")
    answer = lake.run(f"RESTORE TABLE x FROM '{other}'")
    assert "has no table x; it has t" in answer.stderr
    answer = lake.run(f"RESTORE TABLE t AS u FROM '{other}' TO TIMESTAMP AS OF '2100-01-01'")
    assert "is after the backup" in answer.stderr


def test_writers_and_vacuum_go_on(lake, backup):
    lake.sql(f"CREATE TABLE t (writer BIGINT, n BIGINT) TBLPROPERTIES ({VECTORS}, 'delta.deletedFileRetentionDuration' = 'interval 0 seconds')")
    stop = threading.Event()
    done = [0] * 4

    def write(writer):
        while not stop.is_set():
            lake.sql(f"INSERT INTO t VALUES ({writer}, {done[writer]})")
            done[writer] += 1

    # Without LITE it would take files that a writer is about to commit.
    def tidy():
        while not stop.is_set():
            lake.run("OPTIMIZE t", "SET posixlake.vacuum_retention_check = false; VACUUM t LITE RETAIN 0 HOURS")

    workers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)] + [threading.Thread(target=tidy)]
    for worker in workers:
        worker.start()
    try:
        for number in range(4):
            lake.sql(f"BACKUP TABLE t TO '{backup}'{' INCREMENTAL' if number else ''}")
            [row] = lake.sql(f"RESTORE TABLE t AS u{number} FROM '{backup}'")
            # Each writer's rows are there without gaps, up to some moment.
            gaps = lake.sql(
                f"SELECT writer, count(*) AS rows, count(DISTINCT n) AS distinct, max(n) + 1 AS last FROM u{number} GROUP BY writer"
            )
            assert all(gap["rows"] == gap["distinct"] == gap["last"] for gap in gaps), gaps
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert min(done) > 0
    verified(lake, backup)


class Runner:
    def __init__(self, lake):
        self.lake = lake

    def run(self, *statements, **environment):
        return subprocess.run(
            self.lake.command(*statements), capture_output=True, text=True, env={**os.environ, **environment}
        )


def places(lake, statement, tmp_path):
    """The places that the statement passes, each with how often."""
    notes = tmp_path / "passed"
    answer = Runner(lake).run(statement, POSIXLAKE_FAILPOINTS=str(notes))
    assert answer.returncode == 0, answer.stderr
    if not notes.exists():
        pytest.skip("a build without failpoints")
    passed = {}
    for place in notes.read_text().split():
        passed[place] = passed.get(place, 0) + 1
    return passed


def some(passed):
    for place, times in sorted(passed.items()):
        for time in sorted({1, (times + 1) // 2, times}):
            for action in ("abort", "error"):
                yield f"{place}:{time}={action}"


def test_a_backup_that_is_stopped_anywhere_is_completed(lake, backup, tmp_path):
    lake.sql(*with_history(lake, 12))
    passed = places(lake, f"BACKUP TABLE t TO '{backup}'", tmp_path)
    for told in some(passed):
        shutil.rmtree(backup)
        stopped = Runner(lake).run(f"BACKUP TABLE t TO '{backup}'", POSIXLAKE_FAILPOINT=told)
        assert stopped.returncode >= 0 or stopped.returncode == -signal.SIGABRT, (told, stopped)
        rows, answer = found(lake, f"VERIFY BACKUP '{backup}'")
        if answer.returncode == 0:
            # The manifest stands: only the journal's end was cut off.
            assert {row["status"] for row in rows} == {"ok"}, (told, rows)
            lake.sql(f"BACKUP TABLE t TO '{backup}' INCREMENTAL")
        else:
            assert "no backup at" in answer.stderr, (told, answer.stderr)
            assert lake.run(f"RESTORE TABLE t AS u FROM '{backup}'").returncode != 0, told
            lake.sql(f"BACKUP TABLE t TO '{backup}'")
        verified(lake, backup)
        lake.sql("DROP TABLE IF EXISTS u", f"RESTORE TABLE t AS u FROM '{backup}'")
        assert contents(lake, "u") == contents(lake, "t"), told


def test_what_is_copied_is_not_copied_again(lake, backup):
    lake.sql("CREATE TABLE t (id BIGINT)", *[f"INSERT INTO t VALUES ({n})" for n in range(60)])
    stopped = Runner(lake).run(f"BACKUP TABLE t TO '{backup}'", POSIXLAKE_FAILPOINT="put.data.named:58=abort")
    assert stopped.returncode == -signal.SIGABRT
    rows = Runner(lake).run(f"BACKUP TABLE t TO '{backup}'").stdout
    [row] = list(csv.DictReader(io.StringIO(rows)))
    assert int(row["num_copied_files"]) <= int(row["num_files"]) - 30, row
    verified(lake, backup)


def test_a_restore_that_is_stopped_anywhere_is_completed(lake, backup, tmp_path):
    lake.sql(*with_history(lake, 12))
    lake.sql(f"BACKUP TABLE t TO '{backup}'")
    passed = places(lake, f"RESTORE TABLE t AS u FROM '{backup}'", tmp_path)
    whole = contents(lake, "t")
    history = lake.sql("DESCRIBE HISTORY t")
    for told in some(passed):
        shutil.rmtree(lake.path("u"), ignore_errors=True)
        Runner(lake).run(f"RESTORE TABLE t AS u FROM '{backup}'", POSIXLAKE_FAILPOINT=told)
        opened = lake.run("SELECT * FROM u")
        if opened.returncode == 0:
            assert contents(lake, "u") == whole, told
        again = lake.run(f"RESTORE TABLE t AS u FROM '{backup}'")
        if again.returncode != 0:
            assert opened.returncode == 0 and "exists already" in again.stderr, (told, again.stderr)
        assert contents(lake, "u") == whole and lake.sql("DESCRIBE HISTORY u") == history, told
        assert not pathlib.Path(lake.path("u"), ".restore.json").exists() or again.returncode != 0, told
    # A restore of another version takes the place of one that was stopped.
    shutil.rmtree(lake.path("u"))
    Runner(lake).run(f"RESTORE TABLE t AS u FROM '{backup}'", POSIXLAKE_FAILPOINT="put.commit.named:3=abort")
    lake.sql(f"RESTORE TABLE t AS u FROM '{backup}' TO VERSION AS OF 5")
    assert contents(lake, "u") == contents(lake, "t", 5)
    assert DeltaTable(lake.path("u")).version() == 5


def test_an_overwrite_that_is_stopped_anywhere_is_all_or_nothing(lake, backup, tmp_path):
    lake.sql(*with_history(lake, 8), f"BACKUP TABLE t TO '{backup}'", "INSERT OVERWRITE t VALUES (1, 'only')")
    whole = contents(lake, "t", 7)
    template = tmp_path / "template"
    shutil.copytree(lake.folder, template)
    passed = places(lake, f"RESTORE TABLE t FROM '{backup}' OVERWRITE", tmp_path)
    assert contents(lake, "t") == whole
    for told in some(passed):
        shutil.rmtree(lake.folder)
        shutil.copytree(template, lake.folder)
        Runner(lake).run(f"RESTORE TABLE t FROM '{backup}' OVERWRITE", POSIXLAKE_FAILPOINT=told)
        assert contents(lake, "t") in (whole, [{"id": "1", "name": "only"}]), told
        lake.sql(f"RESTORE TABLE t FROM '{backup}' OVERWRITE")
        assert contents(lake, "t") == whole, told


def test_a_lake_restore_that_is_stopped_goes_on(lake, backup, tmp_path):
    lake.sql(*[f"CREATE TABLE t{n} AS {SERIES.format(1, n + 1)}" for n in range(4)], f"BACKUP LAKE TO '{backup}'")
    other = type(lake)(tmp_path / "other")
    passed = places(other, f"RESTORE LAKE FROM '{backup}'", tmp_path)
    for told in some(passed):
        shutil.rmtree(other.folder)
        Runner(other).run(f"RESTORE LAKE FROM '{backup}'", POSIXLAKE_FAILPOINT=told)
        again = other.run(f"RESTORE LAKE FROM '{backup}'")
        assert again.returncode == 0 or "exists already" in again.stderr, (told, again.stderr)
        for n in range(4):
            assert other.sql(f"SELECT count(*) AS n FROM t{n}") == [{"n": str(n + 1)}], told
