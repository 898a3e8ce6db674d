"""Tables with a primary key take no second row of a key; edits say who made them; a value in another spelling is no change."""

import json

import pytest


@pytest.fixture
def table(lake):
    lake.sql("CREATE TABLE t (id INT, name STRING, PRIMARY KEY (id))")
    lake.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return lake


def refused(table, command: str, *words: str) -> None:
    """A command that fails, with a reason that has these words, and leaves the table as it was."""
    before = table.version("t"), table.cat("t/data.csv")
    assert table.run(command, check=False).code != 0, command
    reason = table.cat("t/data.csv.errors").splitlines()[-1]
    assert all(word in reason for word in words), reason
    assert (table.version("t"), table.cat("t/data.csv")) == before


def test_a_key_is_brought_once(table):
    refused(table, "echo 2,again >> t/data.csv", "line 5", "id: 2")
    # In one write, as the shell's own printf writes each line by itself.
    refused(table, "printf '7,x\\n8,y\\n7,z\\n' > /tmp/n; cat /tmp/n >> t/data.csv", "lines 5 and 7", "id: 7")
    refused(table, "printf '9,x\\n03,y\\n' > /tmp/n; cat /tmp/n >> t/data.csv", "line 6", "id: 3")
    refused(table, "{ cat t/data.csv; echo 1,again; } > /tmp/n; cp /tmp/n t/n; mv t/n t/data.csv", "line", "1")
    refused(table, "{ cat t/data.csv; echo 01,again; } > /tmp/n; cp /tmp/n t/data.csv; sync -f t/data.csv", "line 5", "id: 1")
    refused(table, """echo '{"id": 3, "name": "again"}' >> t/data.jsonl""", "id: 3")
    table.run("echo 4,d >> t/data.csv; sed -i 's/^2,b/2,B/' t/data.csv")
    assert sorted(table.sql("SELECT * FROM t")) == [["1", "a"], ["2", "B"], ["3", "c"], ["4", "d"]]
    # A key may move to another row in one edit.
    table.run("sed -i -e 's/^1,a/11,a/' -e 's/^3,c/1,c/' t/data.csv")
    assert sorted(table.sql("SELECT * FROM t")) == [["1", "c"], ["11", "a"], ["2", "B"], ["4", "d"]]
    # So may one that is spelled otherwise: the row that had it goes.
    table.run("sed -i 's/^4,d/04,D/' t/data.csv")
    assert table.sql("SELECT name FROM t WHERE id = 4") == [["D"]]


def test_keys_of_several_columns(lake):
    lake.sql("CREATE TABLE t (a INT, b STRING, c INT, PRIMARY KEY (a, b))")
    lake.run("echo 1,x,1 >> t/data.csv; echo 1,y,1 >> t/data.csv")
    refused(lake, "printf '2,x,1\\n1,y,5\\n' > /tmp/n; cat /tmp/n >> t/data.csv", "line 5", "a, b: 1, y")
    lake.run("printf '2,y,1\\n' >> t/data.csv")
    assert lake.sql("SELECT count(*) FROM t") == [["3"]]


def test_history_names_the_author(table):
    table.run("echo 4,d >> t/data.csv; sed -i 's/^2,b/2,B/' t/data.csv")
    commits = table.sql("SELECT operation, \"userName\", \"userMetadata\" FROM t$history ORDER BY version DESC LIMIT 2")
    assert [commit[0] for commit in commits] == ["MERGE", "WRITE"]
    for _, user, remark in commits:
        assert user.startswith("0@") and remark.startswith("through the mount, from 0@") and "(127.0.0.1)" in remark
    deltalake = pytest.importorskip("deltalake")
    shown = deltalake.DeltaTable(str(table.lake / "t")).history(1)[0]
    assert shown["userName"].startswith("0@") and "127.0.0.1" in shown["userMetadata"]
    assert table.sql("SELECT count(\"userName\") FROM t$history WHERE version < 2") == [["0"]]


def test_other_spellings_are_no_change(lake):
    lake.sql("CREATE TABLE t (id INT, d DOUBLE, s STRING, z TIMESTAMP, m DECIMAL(10, 2))")
    lake.sql("INSERT INTO t VALUES (1, 1.0, '1.0', '2024-01-01T00:00:00Z', 1.5), (2, NULL, '', NULL, 2), (3, 2.5, NULL, '2024-06-01T12:00:00Z', -3)")
    shown = lake.cat("t/data.csv")
    before = lake.version("t")
    lake.write("/tmp/o.csv", 'id,d,s,z,m\n01,1,1.0,2024-01-01 00:00:00+00:00,1.50\n2,,"",,2\n+3,2.50,,2024-06-01T12:00:00.000Z,-3.0\n')
    lake.run("cp /tmp/o.csv t/data.csv")
    assert lake.version("t") == before
    assert lake.cat("t/data.csv") == shown
    # One value that is another: one row of the others' spellings changes.
    lake.run("sed s/2.50/2.75/ /tmp/o.csv > t/o; mv t/o t/data.csv")
    assert lake.version("t") == before + 1
    metrics = json.loads(sorted((lake.lake / "t" / "_delta_log").glob("*.json"))[-1].read_text().splitlines()[0])["commitInfo"]["operationMetrics"]
    assert (metrics["numTargetRowsUpdated"], metrics["numTargetRowsInserted"], metrics["numTargetRowsDeleted"]) == ("1", "0", "0")
    assert lake.sql("SELECT id, d FROM t ORDER BY id") == [["1", "1.0"], ["2", ""], ["3", "2.75"]]


def test_what_the_mount_is_at(lake):
    lake.sql("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 100)")
    # The edit is to be under way for as long as it is looked at.
    lake.stop()
    lake.arguments = lake.arguments.replace("--silence 1.5", "--silence 120")
    lake.start()
    lake.run("head -50 t/data.csv > /tmp/half; cat /tmp/half > t/data.csv")
    counts = dict(line.split(",") for line in lake.out("echo 'SELECT * FROM system.mount' > .query; cat .query").split()[1:])
    assert int(counts["pending_edits"]) == 1 and int(counts["indexes_built"]) >= 1
    edits = lake.out("echo 'SELECT \"table\", version, removed FROM system.edits' > .query; cat .query")
    assert edits == 'table,version,removed\n"""t""",0,false\n'
    assert json.loads(lake.cat(".status"))["edits"][0]["table"] == '"t"'
