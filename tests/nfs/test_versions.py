"""Versions, other writers, restarts, ordinary files."""

from mounted import OTHER, PORT


def test_versions_are_folders(lake):
    lake.sql("CREATE TABLE t (a INT)")
    lake.sql("INSERT INTO t VALUES (1)")
    lake.sql("INSERT INTO t VALUES (2)")
    assert lake.cat("t@v1/data.csv") == "a\n1\n"
    assert lake.cat("t@v2/data.csv") == "a\n1\n2\n"
    assert lake.run("cat t@v9/data.csv", check=False).code != 0
    assert "CREATE TABLE" in lake.cat("t/schema.sql")
    assert "CREATE TABLE" in lake.cat("schema.sql")


def test_data_files_are_the_tables_own(lake):
    lake.sql("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 1000)")
    name = lake.out("cd t; ls *.parquet").split()[0]
    assert lake.run(f"cmp t/{name} {lake.lake}/t/{name}", check=False).code == 0


def test_other_writers_are_seen_at_once(lake):
    lake.sql("CREATE TABLE t (a INT)")
    for number in range(5):
        lake.sql(f"INSERT INTO t VALUES ({number})")
        shown = lake.cat("t/data.csv")
        assert shown == "a\n" + "".join(f"{row}\n" for row in range(number + 1))
        assert int(lake.out("stat -c %s t/data.csv")) == len(shown)


def test_an_open_file_stays_at_its_version(lake):
    lake.sql("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 100000)")
    reader = lake.guest.start(f"cd {lake.at}; exec 3< t/data.csv; head -c 10 <&3 > /dev/null; sleep 3; cat <&3 | wc -c")
    size = int(lake.out("stat -c %s t/data.csv"))
    lake.sql("DELETE FROM t WHERE a < 50000")
    left = int(reader.wait(30).stdout)
    assert left <= size
    assert lake.out("wc -l < t/data.csv") == "50002\n"


def test_two_clients_append_at_once(lake):
    lake.sql("CREATE TABLE t (client INT, n INT)")
    other = f"{lake.at}-other"
    # A client is told by its address and the name it gives itself.
    options = f"vers=3,tcp,nolock,hard,port={PORT},mountport={PORT},mountproto=tcp,lookupcache=none,sync,nosharecache"
    lake.guest.run(f"mkdir -p {other}; unshare -u sh -c 'hostname other; mount.nfs {OTHER}:/ {other} -o {options}'")
    loops = [
        lake.guest.start(f"cd {where}; for n in $(seq 20); do echo {client},$n >> t/data.csv || echo failed; done")
        for client, where in enumerate([lake.at, other])
    ]
    for loop in loops:
        assert "failed" not in loop.wait(120).stdout
    lake.guest.run(f"umount {other}")
    assert lake.sql("SELECT client, count(DISTINCT n), count(*) FROM t GROUP BY client ORDER BY client") == [["0", "20", "20"], ["1", "20", "20"]]


def test_all_kinds_of_files_are_read_on_one_mount(lake):
    """A client learns from the first reply to a READ where the data begin in all others."""
    lake.sql("CREATE TABLE t (a INT)")
    lake.sql("INSERT INTO t VALUES (1)")
    lake.run("echo note > t/note.txt; echo 'SELECT a + 1 AS b FROM t' > .query")
    for files in (["t/data.csv", "t/note.txt"], ["t/note.txt", "t/data.csv"], [".query", "t/note.txt", "t@v1/data.csv", "t/schema.sql", ".status"]):
        lake.remount()
        lake.guest.drop_caches()
        read = {file: lake.cat(file) for file in files}
        assert read.get("t/data.csv", "a\n1\n") == read.get("t@v1/data.csv", "a\n1\n") == "a\n1\n"
        assert read["t/note.txt"] == "note\n"
        assert read.get(".query", "b\n2\n") == "b\n2\n"


def test_handles_outlive_the_server(lake):
    lake.sql("CREATE TABLE t (a INT)")
    lake.run("echo 1 >> t/data.csv; echo note > t/note.txt")
    lake.kill()
    lake.start()
    assert lake.cat("t/data.csv") == "a\n1\n"
    assert lake.cat("t/note.txt") == "note\n"
    lake.run("echo 2 >> t/data.csv")
    assert lake.cat("t/data.csv") == "a\n1\n2\n"


def test_an_accepted_edit_outlives_a_crash(lake):
    lake.sql("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 100)")
    lake.run("head -50 t/data.csv > /tmp/half; cat /tmp/half > t/data.csv")
    lake.kill()
    lake.start()
    assert lake.sql("SELECT count(*), max(a) FROM t") == [["49", "49"]]
    lake.run("rm t/data.csv")
    lake.kill()
    lake.start()
    assert lake.sql("SELECT count(*) FROM t") == [["0"]]


def test_the_server_ends_in_good_order(lake):
    lake.sql("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 100)")
    lake.run("head -50 t/data.csv > /tmp/half; cat /tmp/half > t/data.csv")
    assert lake.stop().code == 0
    assert lake.sql("SELECT count(*) FROM t") == [["49"]]
    lake.start()


def test_other_names_are_ordinary_files(lake):
    lake.sql("CREATE TABLE t (a INT)")
    lake.run("mkdir t/sub t/sub/deep; echo one > t/sub/deep/f; mv t/sub/deep/f t/g; cp t/g t/sub/h; ln -s g t/link")
    assert lake.cat("t/g") == "one\n"
    assert lake.out("readlink t/link") == "g\n"
    lake.run("dd if=/dev/urandom of=/tmp/r bs=1M count=5 2>/dev/null; cp /tmp/r t/r; cmp /tmp/r t/r; rm -r t/sub t/r t/link t/g")
    lake.run("for n in $(seq 500); do : > t/f$n; done", timeout=120)
    assert lake.out("ls t | grep -c ^f") == "500\n"
    lake.run("rm t/f*")
    assert "f" not in [name[0] for name in lake.out("ls t").split()]


def test_statements_of_edits(lake):
    lake.sql("CREATE TABLE t (a INT)")
    lake.run("echo 1 >> t/data.csv; sed -i s/1/2/ t/data.csv")
    statements = lake.cat(".sql")
    assert "INSERT INTO" in statements and "MERGE INTO" in statements and "version 2" in statements
