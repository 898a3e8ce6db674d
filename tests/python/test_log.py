"""The files of the log beside the commits: checkpoints, compacted commits, checksums, and what is cleaned up."""

import json
import os
import pathlib
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder
from engines import duckdb_delta, ours, rows

DAY = 24 * 3600

COLUMNS = (
    "id BIGINT, name STRING, v DOUBLE, day DATE, price DECIMAL(10,2), at TIMESTAMP, local TIMESTAMP_NTZ, ok BOOLEAN, raw BINARY, "
    "tags ARRAY<STRING>, place STRUCT<x: DOUBLE, y: STRING>, part STRING"
)
ROW = (
    "({0}, 'name {0}', {0}.5, '2026-01-01', {0}.25, '2026-01-01T10:00:00Z', '2026-01-01T10:00:00.123456', true, X'00FF', "
    "['x', 'y'], named_struct('x', 1.0, 'y', 'z{0}'), '{1}')"
)


def log(lake):
    return pathlib.Path(lake.path("t"), "_delta_log")


def names(lake, pattern):
    return sorted(file.name for file in log(lake).glob(pattern))


def versions(lake, pattern="*[0-9].json"):
    return sorted({int(file.name[:20]) for file in log(lake).glob(pattern)})


def forget_commits(lake, before):
    for file in log(lake).glob("*.json"):
        if file.name[:20].isdigit() and len(file.name) == 25 and int(file.name[:20]) < before:
            file.unlink()


def theirs(lake):
    return pa.table(QueryBuilder().register("t", DeltaTable(lake.path("t"))).execute("SELECT * FROM t").read_all())


def look(table):
    """Rows that compare, NaN included."""
    return [repr(row) for row in rows(table)]


def everyone_reads(lake, wanted, mapped=False):
    assert look(ours(lake, "SELECT * FROM t")) == wanted
    assert look(theirs(lake)) == wanted
    # DuckDB does not see the partition columns of mapped tables, whoever wrote them.
    assert mapped or look(duckdb_delta().execute(f"SELECT * FROM delta_scan('{lake.path('t')}')").to_arrow_table()) == wanted


KINDS = {
    "classic": "",
    "v2": "'delta.checkpointPolicy' = 'v2', ",
    "structs": "'delta.checkpoint.writeStatsAsStruct' = 'true', ",
    "structs alone": "'delta.checkpoint.writeStatsAsStruct' = 'true', 'delta.checkpoint.writeStatsAsJson' = 'false', ",
    "v2 structs alone": "'delta.checkpointPolicy' = 'v2', 'delta.checkpoint.writeStatsAsStruct' = 'true', "
    "'delta.checkpoint.writeStatsAsJson' = 'false', ",
    "mapped": "'delta.columnMapping.mode' = 'name', 'delta.checkpoint.writeStatsAsStruct' = 'true', ",
}


@pytest.mark.parametrize("vectors", ["true", "false"])
@pytest.mark.parametrize("kind", KINDS)
def test_everyone_reads_our_checkpoints(lake, kind, vectors):
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}) PARTITIONED BY (part) TBLPROPERTIES ({KINDS[kind]}'delta.enableDeletionVectors' = '{vectors}')",
        *[f"INSERT INTO t VALUES {ROW.format(number, f'p {number % 3}/ü')}" for number in range(1, 6)],
        f"INSERT INTO t VALUES {ROW.format(6, 'q')}, (7, NULL, 'NaN'::double, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        "DELETE FROM t WHERE id IN (2, 6)",
        "UPDATE t SET name = 'changed' WHERE id = 3",
        "OPTIMIZE t WHERE part = 'p 1/ü'",
        "CHECKPOINT t",
    )
    files = names(lake, "*.checkpoint*.parquet")
    version = versions(lake)[-1]
    assert len(files) == 1 and files[0].startswith(f"{version:020}.checkpoint.")
    found = pq.read_table(log(lake) / files[0])
    assert ("sidecar" in found.column_names) == kind.startswith("v2") == bool(names(lake, "_sidecars/*.parquet"))
    if kind.startswith("v2"):
        sidecars = [row["sidecar"] for row in found.to_pylist() if row["sidecar"]]
        assert [sidecar["path"] for sidecar in sidecars] == names(lake, "_sidecars/*.parquet")
        assert sidecars[0]["sizeInBytes"] == (log(lake) / "_sidecars" / sidecars[0]["path"]).stat().st_size
        found = pq.read_table(log(lake) / "_sidecars" / sidecars[0]["path"])
    adds = [row["add"] for row in found.to_pylist() if row["add"]]
    assert not any(add["dataChange"] for add in adds)
    assert ("stats" in adds[0]) == ("alone" not in kind)
    assert ("stats_parsed" in adds[0]) == ("structs" in kind or kind == "mapped")
    removes = [row["remove"] for row in found.to_pylist() if row["remove"]]
    assert removes and all(remove["deletionTimestamp"] and remove["size"] for remove in removes)
    wanted = look(ours(lake, "SELECT * FROM t"))
    statistics = lake.sql("SELECT num_records, min_values FROM t$files ORDER BY path")
    forget_commits(lake, version)
    everyone_reads(lake, wanted, kind == "mapped")
    if "alone" not in kind:
        assert lake.sql("SELECT num_records, min_values FROM t$files ORDER BY path") == statistics
    assert lake.sql("SELECT id FROM t WHERE at >= '2026-01-01T09:00:00Z' AND price = 3.25 AND place.y = 'z3'") == [{"id": "3"}]
    lake.sql("DELETE FROM t WHERE id = 1", "CHECKPOINT t", f"INSERT INTO t VALUES {ROW.format(8, 'p 1/ü')}")
    forget_commits(lake, version + 1)
    everyone_reads(lake, look(ours(lake, "SELECT * FROM t")), kind == "mapped")
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": str(len(wanted))}]


def test_we_read_their_checkpoints(lake):
    lake.sql(f"CREATE TABLE t ({COLUMNS})", *[f"INSERT INTO t VALUES {ROW.format(number, 'p')}" for number in range(1, 4)])
    DeltaTable(lake.path("t")).create_checkpoint()
    wanted = look(ours(lake, "SELECT * FROM t"))
    forget_commits(lake, 3)
    everyone_reads(lake, wanted)
    # Ours is made from theirs, whose tombstones it keeps.
    lake.sql("DELETE FROM t WHERE id = 2")
    DeltaTable(lake.path("t")).create_checkpoint()
    lake.sql("DELETE FROM t WHERE id = 3", "CHECKPOINT t")
    forget_commits(lake, 5)
    (log(lake) / "_last_checkpoint").unlink()
    everyone_reads(lake, look(ours(lake, "SELECT * FROM t")))
    newest = pq.read_table(log(lake) / names(lake, "*.checkpoint.parquet")[-1]).to_pylist()
    assert len([row for row in newest if row["remove"]]) == 2


def test_a_long_tail_is_compacted(lake):
    lake.sql(
        "CREATE TABLE t (id BIGINT, n BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '100', "
        "'delta.enableDeletionVectors' = 'true')",
        *[f"INSERT INTO t VALUES ({number}, 0)" for number in range(1, 20)],
        *[f"UPDATE t SET n = n + 1 WHERE id = {number}" for number in range(1, 12)],
        "INSERT INTO t VALUES (100, 100)",
        "SET posixlake.txn_app_id = 'app'",
        "SET posixlake.txn_version = 5",
        "DELETE FROM t WHERE id = 19",
    )
    assert names(lake, "*.compacted.json") == [
        f"{first:020}.{first + 9:020}.compacted.json" for first in (1, 11, 21)
    ], "groups that end behind a multiple of ten"
    actions = [
        json.loads(line)
        for name in names(lake, "*.compacted.json")
        for line in (log(lake) / name).read_text().splitlines()
    ]
    assert not any("commitInfo" in action or "cdc" in action for action in actions)
    wanted = look(ours(lake, "SELECT * FROM t"))
    assert len(wanted) == 19
    everyone_reads(lake, wanted)
    at = look(ours(lake, "SELECT * FROM t VERSION AS OF 25"))
    # They stand for the commits, which can be missing.
    for version in (3, 14, 27):
        (log(lake) / f"{version:020}.json").rename(log(lake) / f"away-{version}")
    assert look(ours(lake, "SELECT * FROM t")) == wanted
    assert lake.run("SELECT * FROM t VERSION AS OF 28").returncode != 0, "only whole groups do"
    # A damaged one is no matter.
    for version in (3, 14, 27):
        (log(lake) / f"away-{version}").rename(log(lake) / f"{version:020}.json")
    (log(lake) / names(lake, "*.compacted.json")[1]).write_text("{")
    assert look(ours(lake, "SELECT * FROM t")) == wanted
    assert look(ours(lake, "SELECT * FROM t VERSION AS OF 25")) == at
    lake.sql("CHECKPOINT t", *[f"INSERT INTO t VALUES ({number}, 0)" for number in range(200, 220)])
    wanted = look(ours(lake, "SELECT * FROM t"))
    assert len(wanted) == 39
    (log(lake) / "_last_checkpoint").unlink()
    assert look(ours(lake, "SELECT * FROM t")) == wanted


def test_frequent_checkpoints_need_no_compaction(lake):
    lake.sql("CREATE TABLE t (id BIGINT)", *[f"INSERT INTO t VALUES ({number})" for number in range(25)])
    assert names(lake, "*.compacted.json") == []
    assert versions(lake, "*.checkpoint.parquet") == [10, 20], "none is left out for what comes behind it"


def test_the_last_version_of_a_session_has_a_checksum(lake):
    lake.sql(
        "CREATE TABLE t (id BIGINT, p INT) PARTITIONED BY (p)",
        *[f"INSERT INTO t VALUES ({number}, {number % 2})" for number in range(5)],
        "DELETE FROM t WHERE id = 3",
    )
    assert versions(lake, "*.crc")[-1] == 6
    said = json.loads((log(lake) / f"{6:020}.crc").read_text())
    adds = pa.table(DeltaTable(lake.path("t")).get_add_actions()).to_pylist()
    assert said["numFiles"] == len(adds) and said["tableSizeBytes"] == sum(add["size_bytes"] for add in adds)
    assert (said["numMetadata"], said["numProtocol"]) == (1, 1)
    assert said["metadata"]["partitionColumns"] == ["p"] and said["protocol"]["minReaderVersion"] >= 1
    # A change of the log behind everyone's back is found out.
    commit = log(lake) / f"{3:020}.json"
    text = commit.read_text()
    commit.write_text("".join(line + "\n" for line in text.splitlines() if not line.startswith('{"add"')))
    for statement in ("CHECKPOINT t", "FSCK REPAIR TABLE t DRY RUN"):
        refused = lake.run(statement)
        assert refused.returncode != 0 and "3 files by the log and 4 by its checksum" in refused.stderr
    assert names(lake, "*.checkpoint*") == []
    commit.write_text(text)
    lake.sql("CHECKPOINT t", "FSCK REPAIR TABLE t DRY RUN")


@pytest.mark.parametrize(("seconds", "has"), [(-10, True), (10, False)])
def test_versions_of_many_processes_get_no_checksum_at_once(lake, seconds, has):
    lake.sql("CREATE TABLE t (id BIGINT)")
    then = time.time() + seconds
    os.utime(log(lake) / f"{0:020}.json", (then, then))
    lake.sql("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
    assert (2 in versions(lake, "*.crc")) is has


def test_no_checksum_outlives_its_table(lake):
    lake.sql("CREATE TABLE t (id BIGINT)", "INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TABLE t (n INT)")
    assert versions(lake, "*.crc") == [0]
    assert '\\"n\\"' in (log(lake) / f"{0:020}.crc").read_text()
    lake.sql("INSERT INTO t VALUES (1)", "ALTER TABLE t RENAME TO u")
    assert not pathlib.Path(lake.path("t")).exists(), "nothing is written where the table was"


def age(lake, days, upto):
    """Makes all files of the log up to a version look old."""
    then = time.time() - days * DAY
    for file in [*log(lake).iterdir(), *log(lake).glob("_sidecars/*")]:
        if not file.name[:20].isdigit() or int(file.name[:20]) <= upto:
            os.utime(file, (then, then))


@pytest.mark.parametrize("policy", ["classic", "v2"])
def test_old_logs_are_cleaned_up(lake, policy):
    lake.sql(
        f"CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.checkpointPolicy' = '{policy}')",
        *[f"INSERT INTO t VALUES ({number})" for number in range(1, 25)],
    )
    (log(lake) / f"{3:020}.crc").write_text("{}")
    (log(lake) / f"{3:020}.{4:020}.compacted.json").write_text("")
    (log(lake) / f"{5:020}.checkpoint.{1:010}.{2:010}.parquet").write_text("a part without the other")
    (log(lake) / ".left-behind.tmp").write_text("")
    age(lake, days=40, upto=22)
    wanted = look(ours(lake, "SELECT * FROM t VERSION AS OF 21"))
    lake.sql(*[f"INSERT INTO t VALUES ({number})" for number in range(25, 31)])
    assert versions(lake) == list(range(20, 31))
    assert versions(lake, "*.checkpoint*") == [20, 30]
    assert not any(version < 20 for version in versions(lake, "*.crc"))
    assert names(lake, "*.compacted.json") == [] and names(lake, ".*.tmp") == []
    assert len(names(lake, "_sidecars/*")) == (2 if policy == "v2" else 0)
    assert look(ours(lake, "SELECT * FROM t VERSION AS OF 21")) == wanted
    everyone_reads(lake, look(ours(lake, "SELECT value AS id FROM generate_series(1, 30) AS g(value)")))
    refused = lake.run("SELECT * FROM t VERSION AS OF 19")
    assert refused.returncode != 0 and "19" in refused.stderr


@pytest.mark.parametrize("reason", ["recent", "not wanted", "damaged", "protected", "not protected"])
def test_logs_that_are_not_cleaned_up(lake, reason):
    properties = {"not wanted": "TBLPROPERTIES ('delta.enableExpiredLogCleanup' = 'false')"}
    lake.sql(f"CREATE TABLE t (id BIGINT) {properties.get(reason, '')}")
    if "protected" in reason:
        first = log(lake) / f"{0:020}.json"
        actions = [json.loads(line) for line in first.read_text().splitlines()]
        for action in actions:
            if "protocol" in action:
                features = ["appendOnly", "invariants", "checkpointProtection"]
                action["protocol"] = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": features}
            if "metaData" in action:
                version = "15" if reason == "protected" else "10"
                action["metaData"]["configuration"] = {"delta.requireCheckpointProtectionBeforeVersion": version}
        first.write_text("".join(json.dumps(action) + "\n" for action in actions))
        (log(lake) / f"{0:020}.crc").unlink(missing_ok=True)
    lake.sql(*[f"INSERT INTO t VALUES ({number})" for number in range(1, 15)])
    age(lake, days=20 if reason == "recent" else 40, upto=12)
    if reason == "damaged":
        (log(lake) / f"{10:020}.checkpoint.parquet").write_text("damaged")
    lake.sql(*[f"INSERT INTO t VALUES ({number})" for number in range(15, 21)])
    assert versions(lake) == (list(range(10, 21)) if reason == "not protected" else list(range(21)))
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "20"}]
