"""Tables with deletion vectors: other engines read every version, change them, and posixlake reads them again."""

import json
import os
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from engines import duckdb_delta, ours, rows

COLUMNS = "id BIGINT, k STRING, v DOUBLE, p INT"
VECTORS = "'delta.enableDeletionVectors' = 'true'"
FEED = "'delta.enableChangeDataFeed' = 'true'"
KINDS = {
    "plain": ("", VECTORS),
    "partitioned": ("PARTITIONED BY (p)", VECTORS),
    "feed": ("", f"{VECTORS}, {FEED}"),
    "by name": ("PARTITIONED BY (p)", f"{VECTORS}, {FEED}, 'delta.columnMapping.mode' = 'name'"),
    "by id": ("PARTITIONED BY (p)", f"{VECTORS}, 'delta.columnMapping.mode' = 'id'"),
    "v2": ("PARTITIONED BY (p)", f"{VECTORS}, 'delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '3'"),
}

SERIES = (
    "SELECT value AS id, CASE WHEN value % 7 = 0 THEN NULL WHEN value % 5 = 0 THEN '' ELSE 'k' || value END AS k, "
    "CAST(value AS DOUBLE) AS v, CAST(CASE WHEN value % 4 = 3 THEN NULL ELSE value % 4 END AS INT) AS p "
    "FROM generate_series({}, {}) AS g(value)"
)

CHANGES = [
    f"INSERT INTO t {SERIES.format(1, 60)}",
    "DELETE FROM t WHERE id % 9 = 0",
    "UPDATE t SET v = v + 1000 WHERE id % 10 = 1",
    "DELETE FROM t WHERE k IS NULL AND id > 30",
    "MERGE INTO t USING (SELECT value AS id FROM generate_series(50, 65) AS g(value)) AS s ON t.id = s.id "
    "WHEN MATCHED AND t.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 'merged' "
    "WHEN NOT MATCHED THEN INSERT (id, k, v, p) VALUES (s.id, 'new', 0, 1) "
    "WHEN NOT MATCHED BY SOURCE AND t.id < 5 THEN DELETE "
    "WHEN NOT MATCHED BY SOURCE AND t.id < 8 THEN UPDATE SET k = NULL",
    "UPDATE t SET p = 9 WHERE id IN (12, 13, 14)",
    "INSERT INTO t REPLACE WHERE id BETWEEN 20 AND 24 SELECT 21 AS id, 'replaced' AS k, 1.5 AS v, 0 AS p",
    f"INSERT INTO t {SERIES.format(100, 120)}",
    "DELETE FROM t WHERE v > 1000 OR id = 110",
    "OPTIMIZE t",
    "DELETE FROM t WHERE id = 101",
    "RESTORE TABLE t TO VERSION AS OF 6",
    "DELETE FROM t WHERE id = 40",
]


def create(lake, kind):
    layout, properties = KINDS[kind]
    lake.sql(f"CREATE TABLE t ({COLUMNS}) {layout} TBLPROPERTIES ({properties})")


def theirs(lake, version=None, columns="id, k, v, p"):
    """What deltalake's query engine, which knows deletion vectors, answers."""
    table = DeltaTable(lake.path("t"), version=version)
    return pa.table(QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t").read_all())


def versions(lake, query):
    """What posixlake answers at every version but the first, which is empty, asked in one process."""
    latest = DeltaTable(lake.path("t")).version()
    files = {version: lake.folder.parent / f"answer{version}.parquet" for version in range(1, latest + 1)}
    copy = "COPY ({}) TO '{}' STORED AS PARQUET"
    lake.sql(*[copy.format(query.format(version), file) for version, file in files.items()])
    return {version: pq.read_table(file) for version, file in files.items()}


@pytest.fixture(scope="session")
def duck():
    return duckdb_delta()


def all_agree(lake, duck, kind, version, mine):
    assert rows(theirs(lake, version)) == rows(mine), f"deltalake, version {version}"
    # DuckDB answers NULL for partition columns of tables with column mapping.
    columns = ["id", "k", "v"] if kind in ("by name", "by id") else ["id", "k", "v", "p"]
    query = f"SELECT {', '.join(columns)} FROM delta_scan('{lake.path('t')}', version={version})"
    assert rows(duck.execute(query).to_arrow_table()) == rows(mine, columns), f"DuckDB, version {version}"


@pytest.mark.parametrize("kind", ["by name", "by id", "v2"])
def test_others_read_every_version(lake, duck, kind):
    create(lake, kind)
    lake.sql(*CHANGES)
    assert list(pathlib.Path(lake.path("t")).glob("**/*.bin")), "there are deletion vectors"
    latest = DeltaTable(lake.path("t")).version()
    assert latest == len(CHANGES), "one statement is one version"
    for version, mine in versions(lake, "SELECT id, k, v, p FROM t VERSION AS OF {}").items():
        all_agree(lake, duck, kind, version, mine)


def live_files(lake):
    """The adds of the log, by path, read without the help of any engine."""
    live = {}
    for commit in sorted(pathlib.Path(lake.path("t"), "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        keys = []
        for action in actions:
            if remove := action.get("remove"):
                assert remove["path"] in live, f"{commit.name} removes a file that is not there"
                assert live[remove["path"]].get("deletionVector") == remove.get("deletionVector"), commit.name
        for action in actions:
            if remove := action.get("remove"):
                del live[remove["path"]]
        for action in actions:
            if add := action.get("add"):
                assert add["path"] not in live, f"{commit.name} adds a file twice"
                live[add["path"]] = add
                keys.append(add["path"])
        assert len(keys) == len(set(keys)), commit.name
    return live


@pytest.mark.parametrize("count", [6, 9, len(CHANGES)])
def test_statistics_stay_true(lake, count):
    create(lake, "plain")
    lake.sql(*CHANGES[:count])
    with_vectors = 0
    total = 0
    for path, add in live_files(lake).items():
        statistics = json.loads(add["stats"])
        data = pq.read_table(os.path.join(lake.path("t"), path))
        assert statistics["numRecords"] == data.num_rows, "numRecords counts the rows of the file, deleted ones too"
        total += data.num_rows
        if vector := add.get("deletionVector"):
            with_vectors += 1
            total -= vector["cardinality"]
            assert statistics.get("tightBounds") is False, "bounds of a file with a vector are wide"
        for column in ("id", "k", "v"):
            values = [value for value in data[column].to_pylist() if value is not None]
            if values:
                assert statistics["minValues"][column] <= min(values) and statistics["maxValues"][column] >= max(values)
    assert total == int(lake.sql("SELECT count(*) AS n FROM t")[0]["n"])
    assert with_vectors > 0


def test_counts_and_extremes_forget_deleted_rows(lake):
    create(lake, "plain")
    lake.sql(
        f"INSERT INTO t {SERIES.format(1, 100)}",
        "DELETE FROM t WHERE id IN (1, 100, 7, 50)",
    )
    asked = "SELECT count(*) AS n, count(k) AS k, min(id) AS low, max(id) AS high, max(v) AS v FROM t"
    assert lake.sql(asked) == [{"n": "96", "k": "83", "low": "2", "high": "99", "v": "99.0"}]


def test_statistics_after_properties_are_turned_off(lake):
    create(lake, "feed")
    lake.sql(
        f"INSERT INTO t {SERIES.format(1, 20)}",
        "DELETE FROM t WHERE id = 3",
        "ALTER TABLE t SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
        "DELETE FROM t WHERE id = 4",
        "UPDATE t SET v = 0 WHERE id = 5",
    )
    assert lake.sql("SELECT count(*) AS n, sum(id) AS s FROM t") == [{"n": "18", "s": "203"}]
    assert rows(theirs(lake)) == rows(ours(lake, "SELECT id, k, v, p FROM t"))
    assert not any(add.get("deletionVector") for add in live_files(lake).values())


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_changes_of_rows_are_in_the_feed(lake, vectors):
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}) PARTITIONED BY (p) "
        f"TBLPROPERTIES ({FEED}, 'delta.enableDeletionVectors' = '{vectors}')",
        *CHANGES[:11],
    )
    # What the feed says, applied to nothing, is the table, after every version.
    feeds = versions(lake, "SELECT id, k, v, p, _change_type FROM table_changes('t', 0, {})")
    states = versions(lake, "SELECT id, k, v, p FROM t VERSION AS OF {}")
    for version in feeds:
        feed = feeds[version].to_pylist()
        state = []
        signs = {"insert": 1, "update_postimage": 1, "delete": -1, "update_preimage": -1}
        tally = {}
        for row in feed:
            key = (row["id"], row["k"], row["v"], row["p"])
            tally[key] = tally.get(key, 0) + signs[row["_change_type"]]
        for key, times in tally.items():
            assert times >= 0, (version, key)
            state += [dict(zip(("id", "k", "v", "p"), key))] * times
        assert sorted(map(repr, state)) == sorted(map(repr, states[version].to_pylist())), version


def test_deltalake_reads_the_feed(lake):
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}) PARTITIONED BY (p) TBLPROPERTIES ({FEED})",
        *CHANGES[:11],
    )
    columns = ["id", "k", "v", "p", "_change_type", "_commit_version"]
    found = pa.table(DeltaTable(lake.path("t")).load_cdf(starting_version=0).read_all())
    mine = ours(lake, f"SELECT {', '.join(columns)} FROM table_changes('t', 0)")
    assert rows(found, columns) == rows(mine, columns)


# deltalake compacts no tables with column mapping.
@pytest.mark.parametrize(
    ("kind", "change"),
    [(kind, change) for kind in ("feed", "by name") for change in ("append", "delete", "update")]
    + [("feed", "optimize"), ("v2", "optimize")],
)
def test_their_changes_are_read(lake, kind, change):
    create(lake, kind)
    lake.sql(f"INSERT INTO t {SERIES.format(1, 40)}", *CHANGES[1:4])
    before = ours(lake, "SELECT id, k, v, p FROM t").to_pylist()
    table = DeltaTable(lake.path("t"))
    match change:
        case "append":
            more = {"id": [77], "k": [""], "v": [0.5], "p": pa.array([1], pa.int32())}
            write_deltalake(lake.path("t"), pa.table(more), mode="append")
            wanted = before + [{"id": 77, "k": "", "v": 0.5, "p": 1}]
        case "delete":
            table.delete("id < 15 AND id > 3")
            wanted = [row for row in before if not 3 < row["id"] < 15]
        case "update":
            table.update(updates={"v": "7.0"}, predicate="id < 15")
            wanted = [row | {"v": 7.0} if row["id"] < 15 else row for row in before]
        case "optimize":
            table.optimize.compact()
            wanted = before
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == rows(pa.Table.from_pylist(wanted))
    assert rows(theirs(lake)) == rows(pa.Table.from_pylist(wanted))
    lake.sql("DELETE FROM t WHERE id = 2", "UPDATE t SET k = 'again' WHERE id = 16", "OPTIMIZE t")
    wanted = [row | {"k": "again"} if row["id"] == 16 else row for row in wanted if row["id"] != 2]
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == rows(pa.Table.from_pylist(wanted))
    assert rows(theirs(lake)) == rows(pa.Table.from_pylist(wanted))


def old_commits(lake, keep):
    """Takes away the commits before the newest checkpoint, but for `keep`, as a clean-up of the log does."""
    log = pathlib.Path(lake.path("t"), "_delta_log")
    newest = max(int(file.name[:20]) for file in log.glob("*.checkpoint*.parquet"))
    for file in log.glob("*.json"):
        if file.name[:20].isdigit() and int(file.name[:20]) < newest - keep and "checkpoint" not in file.name:
            file.unlink()
    return newest


@pytest.mark.parametrize(("policy", "layout"), [("classic", ""), ("v2", "PARTITIONED BY (p)")])
def test_checkpoints_keep_vectors(lake, duck, policy, layout):
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}) {layout} TBLPROPERTIES ({VECTORS}, 'delta.checkpointPolicy' = '{policy}', "
        "'delta.checkpointInterval' = '10')",
        f"INSERT INTO t {SERIES.format(1, 60)}",
        *[f"DELETE FROM t WHERE id = {number}" for number in range(1, 14)],
        *[f"UPDATE t SET v = -v WHERE id = {number}" for number in range(20, 32)],
        "INSERT INTO t VALUES (1, '', NULL, NULL)",
    )
    log = pathlib.Path(lake.path("t"), "_delta_log")
    assert list(log.glob("*.checkpoint*")), "there are checkpoints"
    assert (log / "_last_checkpoint").exists()
    if policy == "v2":
        checkpoint = max(log.glob("*.checkpoint*.parquet"))
        assert any(row["checkpointMetadata"] for row in pq.read_table(checkpoint).to_pylist()), "they are V2"
    newest = old_commits(lake, keep=0)
    wanted = [
        {
            "id": number,
            "k": None if number % 7 == 0 else "" if number % 5 == 0 else f"k{number}",
            "v": float(-number if 20 <= number < 32 else number),
            "p": None if number % 4 == 3 else number % 4,
        }
        for number in range(14, 61)
    ] + [{"id": 1, "k": "", "v": None, "p": None}]
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == rows(pa.Table.from_pylist(wanted))
    assert rows(theirs(lake)) == rows(pa.Table.from_pylist(wanted))
    found = duck.execute(f"SELECT id, k, v, p FROM delta_scan('{lake.path('t')}')").to_arrow_table()
    assert rows(found) == rows(pa.Table.from_pylist(wanted))
    mine = ours(lake, f"SELECT id, k, v, p FROM t VERSION AS OF {newest}")
    assert rows(theirs(lake, newest)) == rows(mine)
    # Versions whose commits are gone are refused, not made up.
    assert lake.run("SELECT * FROM t VERSION AS OF 3").returncode != 0
    lake.sql("DELETE FROM t WHERE id = 33", "CHECKPOINT t", "DELETE FROM t WHERE id = 34")
    wanted = [row for row in wanted if row["id"] not in (33, 34)]
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == rows(pa.Table.from_pylist(wanted))
    assert rows(theirs(lake)) == rows(pa.Table.from_pylist(wanted))


@pytest.mark.parametrize("policy", ["classic", "v2"])
def test_a_damaged_pointer_to_the_checkpoint_is_no_matter(lake, policy):
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}) TBLPROPERTIES ({VECTORS}, 'delta.checkpointPolicy' = '{policy}')",
        f"INSERT INTO t {SERIES.format(1, 30)}",
        "DELETE FROM t WHERE id = 3",
        "CHECKPOINT t",
        "DELETE FROM t WHERE id = 4",
    )
    pointer = pathlib.Path(lake.path("t"), "_delta_log", "_last_checkpoint")
    for content in ("", "{", '{"version":99999,"size":3}', None):
        pointer.unlink(missing_ok=True)
        if content is not None:
            pointer.write_text(content)
        assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "28"}], content
    old_commits(lake, keep=0)
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "28"}], "found by listing"


def test_their_checkpoint_of_our_vectors(lake):
    create(lake, "partitioned")
    lake.sql(f"INSERT INTO t {SERIES.format(1, 40)}", *CHANGES[1:6])
    wanted = rows(ours(lake, "SELECT id, k, v, p FROM t"))
    DeltaTable(lake.path("t")).create_checkpoint()
    old_commits(lake, keep=0)
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == wanted
    lake.sql("DELETE FROM t WHERE id = 16")
    assert [row for row in wanted if dict(row)["id"] != 16] == rows(ours(lake, "SELECT id, k, v, p FROM t"))
    assert rows(theirs(lake)) == rows(ours(lake, "SELECT id, k, v, p FROM t"))


def test_vacuum_keeps_vectors_that_are_needed(lake):
    create(lake, "partitioned")
    lake.sql(
        f"INSERT INTO t {SERIES.format(1, 40)}",
        *CHANGES[1:6],
        "ALTER TABLE t SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 seconds')",
    )
    wanted = rows(ours(lake, "SELECT id, k, v, p FROM t"))
    lake.sql("VACUUM t RETAIN 0 HOURS")
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == wanted
    assert rows(theirs(lake)) == wanted


def test_purged_vectors_are_vacuumed(lake):
    create(lake, "partitioned")
    lake.sql(f"INSERT INTO t {SERIES.format(1, 40)}", *CHANGES[1:6])
    wanted = rows(ours(lake, "SELECT id, k, v, p FROM t"))
    lake.sql(
        "ALTER TABLE t SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 seconds')",
        "REORG TABLE t APPLY (PURGE)", "VACUUM t RETAIN 0 HOURS")
    assert rows(ours(lake, "SELECT id, k, v, p FROM t")) == wanted
    assert not list(pathlib.Path(lake.path("t")).glob("**/*.bin")), "vectors that nothing needs are gone"
    assert rows(theirs(lake)) == wanted


def test_an_empty_partition_value_is_null(lake):
    # The protocol has no empty strings as partition values.
    lake.sql(
        "CREATE TABLE t (id BIGINT, p STRING) PARTITIONED BY (p)",
        "INSERT INTO t VALUES (1, '')",
        "INSERT INTO t VALUES (2, NULL), (4, 'a')",
        "INSERT OVERWRITE t PARTITION (p) VALUES (3, NULL)",
    )
    assert lake.sql("SELECT id, p IS NULL AS none FROM t ORDER BY id") == [
        {"id": "3", "none": "true"},
        {"id": "4", "none": "false"},
    ]


def test_an_empty_partition_value_is_refused_where_null_is(lake):
    lake.sql("CREATE TABLE t (id BIGINT, p STRING NOT NULL) PARTITIONED BY (p)")
    assert lake.run("INSERT INTO t VALUES (1, '')").returncode == 6


def test_rows_of_large_files_are_counted_from_the_start(lake, duck):
    # More rows than a batch, with conditions that skip batches: the places in the vectors are those of the file.
    many = 100_000
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}) TBLPROPERTIES ({VECTORS})",
        f"INSERT INTO t SELECT value, 'k' || (value % 100), value, 0 FROM generate_series(1, {many}) AS g(value)",
        "DELETE FROM t WHERE id % 1000 = 7",
        "DELETE FROM t WHERE id BETWEEN 50000 AND 50010",
        "UPDATE t SET v = -1 WHERE id IN (1, 60001, 100000)",
        "DELETE FROM t WHERE k = 'k8' AND id > 70000",
    )
    gone = {*range(7, many, 1000), *range(50000, 50011), *range(70008, many, 100)}
    kept = [number for number in range(1, many + 1) if number not in gone]
    facts = "SELECT count(*) AS rows, sum(id) AS ids, count(*) FILTER (WHERE v = -1) AS changed FROM {}"
    wanted = {"rows": len(kept), "ids": sum(kept), "changed": 3}
    assert ours(lake, facts.format("t")).to_pylist() == [wanted]
    path = lake.path("t")
    assert duck.execute(facts.format(f"delta_scan('{path}')")).to_arrow_table().to_pylist() == [wanted]
    found = QueryBuilder().register("t", DeltaTable(path)).execute(facts.format("t"))
    assert pa.table(found.read_all()).to_pylist() == [wanted]
