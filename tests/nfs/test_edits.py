"""Every way in which tools change a file, on tables of every kind: one new version each, with what a person expects in it."""

import shutil
import textwrap

import pytest

KINDS = {
    "plain": "CREATE TABLE t (id INT, name STRING, age INT)",
    "key": "CREATE TABLE t (id INT, name STRING, age INT, PRIMARY KEY (id))",
    "vectors": "CREATE TABLE t (id INT, name STRING, age INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
    "strings": "CREATE TABLE t (id STRING, name STRING, age STRING)",
}
HEADER = "id,name,age\n"
ROWS = [f"{number},user{number},{20 + number % 50}" for number in range(1, 101)]


def text(rows) -> str:
    return HEADER + "".join(f"{row}\n" for row in rows)


def filled(lake, kind: str):
    lake.sql(KINDS[kind])
    values = ", ".join("('{}', '{}', '{}')".format(*row.split(",")) for row in ROWS)
    lake.sql(f"INSERT INTO t VALUES {values}")
    return lake


@pytest.fixture(params=KINDS)
def any_table(lake, request):
    return filled(lake, request.param)


@pytest.fixture(params=["plain", "vectors"])
def table(lake, request):
    return filled(lake, request.param)


def changed(lake, command: str, rows, versions: int = 1, order: bool = True) -> None:
    """Runs a command, after which the table must have these rows."""
    before = lake.version("t")
    lake.run(command)
    shown = lake.cat("t/data.csv")
    if order:
        assert shown == text(rows)
    else:
        assert sorted(shown.splitlines()) == sorted(text(rows).splitlines())
    found = [",".join(row) for row in lake.sql("SELECT * FROM t")]
    assert sorted(found) == sorted(rows)
    assert lake.version("t") == before + versions


def test_appends(any_table):
    table = any_table
    rows = list(ROWS)
    for number, command in enumerate(
        [
            "echo {row} >> t/data.csv",
            "cat t/data.csv > /dev/null; echo {row} >> t/data.csv",
            "echo {row} | tee -a t/data.csv > /dev/null",
            "printf '{row}\\n' | dd of=t/data.csv oflag=append conv=notrunc 2>/dev/null",
            "perl -e 'open(F, \">>\", \"t/data.csv\"); print F \"{row}\\n\"; close(F)'",
        ]
    ):
        rows.append(f"{101 + number},new,33")
        changed(table, command.format(row=rows[-1]), rows)
    changed(table, "{ echo 112,a,1; echo 113,b,2; } > /tmp/two; cat /tmp/two >> t/data.csv", rows + ["112,a,1", "113,b,2"])


def test_a_line_in_place(table):
    rows = ["5,USER5,25" if row.startswith("5,") else row for row in ROWS]
    changed(table, "sed -i 's/^5,user5,/5,USER5,/' t/data.csv", rows, order=False)
    rows = ["7,USER7,27" if row.startswith("7,") else row for row in rows]
    changed(table, "perl -pi -e 's/^7,user7,/7,USER7,/' t/data.csv", rows, order=False)
    rows = ["9,USER9,29" if row.startswith("9,") else row for row in rows]
    changed(table, "at=$(grep -b '^9,user9,' t/data.csv | cut -d: -f1); printf USER9 | dd of=t/data.csv bs=5 seek=$((at + 2)) oflag=seek_bytes conv=notrunc 2>/dev/null", rows, order=False)


def test_rewrites(table):
    fewer = [row for row in ROWS if not row.startswith("42,")]
    table.run("cp t/data.csv /tmp/all.csv; grep -v ^42, /tmp/all.csv > /tmp/fewer.csv")
    changed(table, "cat /tmp/fewer.csv > t/data.csv", fewer, order=False)
    changed(table, "cp /tmp/all.csv t/data.csv", ROWS, order=False)
    # The row that goes is the last one: more could be to come.
    changed(table, "cp --remove-destination /tmp/fewer.csv t/data.csv; sleep 3", fewer, order=False)
    changed(table, "cp /tmp/all.csv t/x; mv t/x t/data.csv", ROWS, order=False)
    changed(table, "cp /tmp/fewer.csv /tmp/moved.csv; mv /tmp/moved.csv t/data.csv", fewer, order=False)
    changed(table, "python3 -c \"t = open('/tmp/all.csv').read(); open('t/data.csv', 'w').write(t)\"", ROWS, order=False)
    changed(table, "cat /tmp/all.csv > t/data.csv", ROWS, versions=0, order=False)


def test_rows_go_come_and_change_at_once(any_table):
    table = any_table
    rows = ["1,first,99", *ROWS[2:], "200,last,1"]
    table.write("/tmp/new.csv", text(rows))
    changed(table, "cp /tmp/new.csv t/new; mv t/new t/data.csv", rows, order=False)


def test_the_end_is_cut_off(table):
    table.write("/tmp/new.csv", text(ROWS[:10]))
    before = table.version("t")
    table.run("cat /tmp/new.csv > t/data.csv")
    assert table.cat("t/data.csv") == text(ROWS[:10])
    table.run("sleep 3")
    assert table.sql("SELECT count(*) FROM t") == [["10"]]
    assert table.version("t") == before + 1


@pytest.mark.skipif(not shutil.which("vim"), reason="vim is not installed")
def test_editors(table):
    rows = ["3,VIM,23" if row.startswith("3,") else row for row in ROWS]
    changed(table, "vim -es -u NONE -c '%s/^3,user3/3,VIM/' -c wq t/data.csv", rows, order=False)
    rows = ["4,COPY,24" if row.startswith("4,") else row for row in rows]
    changed(table, "vim -es -u NONE -c 'set backupcopy=yes' -c '%s/^4,user4/4,COPY/' -c wq t/data.csv", rows, order=False)
    rows = [row for row in rows if not row.startswith("6,")]
    changed(table, "vim -es -u NONE -c 'g/^6,/d' -c wq t/data.csv", rows, order=False)
    assert not [name for name in table.out("ls -A t").split() if name.startswith(".data") or name.endswith("~")]


NANO = """
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp("nano", ["nano", "--ignorercfiles", sys.argv[1]])
def settle(first):
    end = time.monotonic() + first
    while select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
        try:
            os.read(fd, 65536)
        except OSError:
            return
        end = time.monotonic() + 0.3
settle(10)
for keys in (b"\\x17" b"7,user7,\\r", b"\\x0b", b"7,NANO,27\\r", b"\\x13", b"\\x18"):
    os.write(fd, keys)
    settle(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not shutil.which("nano"), reason="nano is not installed")
def test_nano(table):
    table.write("/tmp/nano.py", NANO)
    rows = ["7,NANO,27" if row.startswith("7,") else row for row in ROWS]
    changed(table, "test $(python3 /tmp/nano.py t/data.csv) = 0", rows, order=False)


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
def test_rsync(table):
    rows = [row for row in ROWS if not row.startswith("9,")] + ["300,synced,3"]
    table.write("/tmp/from/data.csv", text(rows))
    changed(table, "rsync -t /tmp/from/data.csv t/", rows, order=False)
    rows = ["8,INPLACE,28" if row.startswith("8,") else row for row in rows]
    table.write("/tmp/from/data.csv", text(rows))
    changed(table, "rsync -t --inplace --no-whole-file /tmp/from/data.csv t/; sleep 3", rows, order=False)
    changed(table, "rsync -t t/data.csv /tmp/back.csv; rsync -c /tmp/back.csv t/data.csv", rows, versions=0, order=False)
    assert not [name for name in table.out("ls -A t").split() if name.startswith(".data")]


def test_what_data_frames_write(table):
    """The way of `to_csv`: the file is opened with "w", and written in pieces that end anywhere."""
    rows = ["50,frame,70" if row.startswith("50,") else row for row in ROWS]
    script = f"""
rows = {rows!r}
whole = "id,name,age\\n" + "".join(row + "\\n" for row in rows)
with open("t/data.csv", "w", encoding="utf-8", newline="", buffering=8192) as file:
    for start in range(0, len(whole), 777):
        file.write(whole[start:start + 777])
"""
    table.write("/tmp/frame.py", script)
    kind = table.sql("SELECT arrow_typeof(age) FROM t LIMIT 1")
    assert kind == [["Int32"]]
    changed(table, "python3 /tmp/frame.py", rows, order=False)


def test_what_data_frames_write_of_integers_with_a_null(table):
    """A column of integers that gets a NULL is floating point in pandas, and written so: only the row with the NULL changes."""
    rows = ["50,user50," if row.startswith("50,") else row for row in ROWS]
    table.write("/tmp/frame.csv", text(row if row.endswith(",") else row + ".0" for row in rows))
    changed(table, "cat /tmp/frame.csv > t/data.csv", rows, order=False)
    updated = "SELECT \"operationMetrics\"['numTargetRowsUpdated'] FROM t$history ORDER BY version DESC LIMIT 1"
    assert table.sql(updated) == [["1"]]
    table.write("/tmp/frame.csv", text(row + ".5" for row in rows))
    table.run("cat /tmp/frame.csv > t/data.csv; test $? != 0")
    assert "is not an INT" in table.cat("t/data.csv.errors")


def test_one_of_equal_lines(lake):
    lake.sql("CREATE TABLE t (a INT, b STRING)")
    lake.sql("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (1, 'x'), (1, 'x')")
    lake.run("printf 'a,b\\n1,x\\n2,y\\n1,x\\n' > /tmp/t.csv; cp /tmp/t.csv t/n; mv t/n t/data.csv")
    assert sorted(lake.sql("SELECT * FROM t")) == [["1", "x"], ["1", "x"], ["2", "y"]]


def test_texts_keep_every_sign(lake):
    lake.sql("CREATE TABLE t (id INT, s STRING)")
    lake.sql("INSERT INTO t VALUES (1, 'plain'), (2, NULL), (3, ''), (4, 'a,b'), (5, 'say \"hi\"'), (6, 'two\nlines'), (7, ' blanks '), (8, 'äöü€𝄞')")
    shown = lake.cat("t/data.csv")
    assert '3,""\n' in shown and "\n2,\n" in shown and '"say ""hi"""' in shown
    lake.run("sed -i 's/plain/changed/' t/data.csv")
    rows = lake.sql("SELECT id, s, s IS NULL FROM t ORDER BY id")
    assert rows == [
        ["1", "changed", "false"],
        ["2", "", "true"],
        ["3", "", "false"],
        ["4", "a,b", "false"],
        ["5", 'say "hi"', "false"],
        ["6", "two\nlines", "false"],
        ["7", " blanks ", "false"],
        ["8", "äöü€𝄞", "false"],
    ]


def test_one_column(lake):
    lake.sql("CREATE TABLE t (s STRING)")
    lake.run("echo one >> t/data.csv; echo two >> t/data.csv")
    lake.run("sed -i s/one/ONE/ t/data.csv")
    assert sorted(lake.sql("SELECT * FROM t")) == [["ONE"], ["two"]]
    lake.run("sed -i /two/d t/data.csv")
    assert lake.sql("SELECT * FROM t") == [["ONE"]]


def test_types_come_back_as_they_were(lake):
    lake.sql(
        "CREATE TABLE t (i TINYINT, j SMALLINT, k INT, l BIGINT, f FLOAT, d DOUBLE, b BOOLEAN, m DECIMAL(20, 4), s STRING, x BINARY, y DATE, z TIMESTAMP, n TIMESTAMP_NTZ)"
    )
    lake.sql(
        "INSERT INTO t VALUES (1, 2, 3, 4, 1.5, 0.1, true, 12.3400, 'text', X'00ff', '2026-11-22', '2026-11-22T10:00:00.123456Z', '2026-11-22 10:00:00'),"
        " (-128, -32768, -2147483648, -9223372036854775808, 1e30, 'NaN', false, -0.0001, '', NULL, '0001-01-01', '1970-01-01T00:00:00Z', NULL),"
        " (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )
    before = lake.sql("SELECT * FROM t ORDER BY k")
    first = lake.cat("t/data.csv")
    # Everything goes out, and comes in again through the reader.
    lake.run("cp t/data.csv /tmp/types.csv; rm t/data.csv; sleep 2.5; cp /tmp/types.csv t/n; mv t/n t/data.csv")
    assert lake.sql("SELECT * FROM t ORDER BY k") == before
    assert lake.cat("t/data.csv") == first
    lake.run("cp t/data.jsonl /tmp/types.jsonl; rm t/data.jsonl; sleep 2.5; cp /tmp/types.jsonl t/n; mv t/n t/data.jsonl")
    assert lake.sql("SELECT * FROM t ORDER BY k") == before


def test_json_lines(lake):
    lake.sql("CREATE TABLE t (id INT, name STRING)")
    lake.run("""echo '{"id": 1, "name": "Ann"}' >> t/data.jsonl""")
    lake.run("""echo '{"name": "Ben", "id": 2}' >> t/data.jsonl""")
    assert lake.cat("t/data.jsonl") == '{"id":1,"name":"Ann"}\n{"id":2,"name":"Ben"}\n'
    lake.run("sed -i 's/Ann/Anna/' t/data.jsonl")
    assert sorted(lake.sql("SELECT * FROM t")) == [["1", "Anna"], ["2", "Ben"]]
    assert lake.out("python3 -c \"import json; print(len(json.load(open('t/data.json'))))\"") == "2\n"


def test_more_than_one_write(lake):
    """8 MiB and more: several writes, in any order, with COMMITs in between."""
    lake.sql("CREATE TABLE t (id BIGINT, name STRING)")
    script = textwrap.dedent(
        """
        rows = [f"{number},a name that takes some room {number}\\n" for number in range(300_000)]
        open("/tmp/big.csv", "w").write("id,name\\n" + "".join(rows))
        open("/tmp/fewer.csv", "w").write("id,name\\n" + "".join(rows[:100_000] + rows[100_001:]))
        """
    )
    lake.write("/tmp/big.py", script)
    lake.guest.run("python3 /tmp/big.py")
    lake.run("cat /tmp/big.csv > t/data.csv", timeout=300)
    assert lake.sql("SELECT count(*), sum(id) FROM t") == [["300000", str(300_000 * 299_999 // 2)]]
    lake.guest.drop_caches()
    assert lake.run("cmp /tmp/big.csv t/data.csv", check=False).code == 0
    before = lake.version("t")
    lake.run("cp /tmp/fewer.csv t/data.csv", timeout=300)
    assert lake.sql("SELECT count(*) FROM t WHERE id = 100000") == [["0"]]
    assert lake.sql("SELECT count(*) FROM t") == [["299999"]]
    assert lake.version("t") == before + 1
