"""Edits that a table cannot take: the tool sees an error, the table stays, the reason can be read, and the next good edit works."""

import pytest

BAD = {
    "type": ("echo abc,x >> t/data.csv", "abc"),
    "columns": ("echo 1,x,y >> t/data.csv", "3 fields"),
    "not null": ("echo ,x >> t/data.csv", "id"),
    "check": ("echo 1000,x >> t/data.csv", "small"),
    "quotes": ("printf '5,\"open\\n' >> t/data.csv; sleep 4; echo 6,x >> t/data.csv", "quote"),
}


@pytest.fixture
def table(lake):
    lake.sql("CREATE TABLE t (id INT NOT NULL, name STRING, CONSTRAINT small CHECK (id < 1000))")
    lake.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    return lake


@pytest.mark.parametrize("kind", ["type", "columns", "not null", "check"])
def test_bad_rows(table, kind):
    command, word = BAD[kind]
    before = table.version("t")
    for way in (command, command.replace("echo", "/bin/echo")):
        assert table.run(way, check=False).code != 0, way
        assert table.version("t") == before
        assert table.cat("t/data.csv") == "id,name\n1,a\n2,b\n"
        assert word in table.cat("t/data.csv.errors").splitlines()[-1]
    assert table.cat("t/data.csv.rej") != ""
    table.run("echo 3,c >> t/data.csv")
    assert table.cat("t/data.csv") == "id,name\n1,a\n2,b\n3,c\n"
    table.run("rm t/data.csv.errors t/data.csv.rej")
    assert "errors" not in table.out("ls t")


@pytest.mark.parametrize(
    "content, word",
    [
        ("id,nam\n1,a\n", "nam"),
        ("1,a\n2,b\n", "first line"),
        ("id,name\n1,a\nx,b\n", "line 3"),
        ("id,name\n1,a\n2,\"b\n", "quote"),
        ("id,name\n1,a\n2,\udcff\n", "UTF-8"),
    ],
)
def test_bad_files(table, content, word):
    (table.guest.folder / "input").write_bytes(content.encode("utf-8", "surrogateescape"))
    table.guest.run(f"cp {table.guest.folder / 'input'} /tmp/bad.csv")
    before = table.version("t")
    moved = table.run("cp /tmp/bad.csv t/bad && mv t/bad t/data.csv", check=False)
    assert moved.code != 0
    copied = table.run("cp /tmp/bad.csv t/data.csv && sync -f t/data.csv", check=False)
    assert copied.code != 0 or word == "quote"
    assert table.version("t") == before
    table.run("sleep 3")
    assert table.cat("t/data.csv") == "id,name\n1,a\n2,b\n"
    assert word in table.cat("t/data.csv.errors")
    table.run("sed -i s/,a/,A/ t/data.csv")
    assert sorted(table.sql("SELECT * FROM t")) == [["1", "A"], ["2", "b"]]


def test_files_that_cannot_be_written(table):
    for command in [
        "echo >> t/schema.sql",
        "echo >> t/data.json",
        "for f in t/*.parquet; do echo >> $f; done",
        "rm t/schema.sql",
        "echo >> t@v1/data.csv",
        "echo x > schema.sql",
    ]:
        assert table.run(command, check=False).code != 0, command
    assert table.version("t") == 1


def test_most_rows_of_a_large_table_do_not_go_by_accident(lake):
    lake.sql("CREATE TABLE t AS SELECT value AS id FROM generate_series(1, 300000)")
    lake.run(": > t/data.csv; sleep 3")
    assert lake.sql("SELECT count(*) FROM t") == [["300000"]]
    assert "rm" in lake.cat("t/data.csv.errors")
    lake.run("rm t/data.csv; sleep 2.5")
    assert lake.sql("SELECT count(*) FROM t") == [["0"]]
