"""The server is stopped at every step of an edit that outlasts it, and started again: the edit is there once, or was refused."""

import textwrap
import time

import pytest
from mounted import OTHER, PORT

APPEND = "echo {n},new >> t/data.csv"
REWRITE = "grep -v '^{gone},' t/data.csv > /tmp/w.csv; echo {n},new >> /tmp/w.csv; cat /tmp/w.csv > t/data.csv"
RENAME = "sed -i 's/^{gone},.*/{n},new/' t/data.csv"
EDITS = {"append": APPEND, "rewrite": REWRITE, "rename": RENAME}


def ids(lake) -> list[int]:
    return sorted(int(row[0]) for row in lake.sql("SELECT id FROM t"))


@pytest.mark.parametrize("kind", EDITS)
def test_the_server_stops_at_every_step(lake, kind):
    lake.sql("CREATE TABLE t (id INT, name STRING)")
    lake.sql("INSERT INTO t SELECT value, 'old' FROM generate_series(1, 100)")
    lake.cat("t/data.csv")
    notes = lake.guest.folder / "passed"

    def restarted(**environment: str) -> None:
        lake.kill()
        lake.start(environment)
        lake.cat("t/data.csv")

    def command(number: int) -> str:
        return EDITS[kind].format(n=1000 + number, gone=number)

    # What the edit passes, and how often that was passed before it.
    notes.unlink(missing_ok=True)
    restarted(POSIXLAKE_FAILPOINTS=str(notes))
    before = notes.read_text().splitlines() if notes.exists() else []
    lake.run(command(1))
    # A file that was written anew with as many rows is taken for whole after a while of silence.
    lake.until(lambda: 1001 in ids(lake))
    during = notes.read_text().splitlines()[len(before) :]
    places = list(dict.fromkeys(during))
    assert {"mount.statement.begins", "mount.statement.done", "commit.acknowledged"} <= set(places)
    assert any(place.startswith("put.commit") for place in places)
    if kind != "append":
        # What the store passes before a commit is the same for all.
        places = [place for place in places if not place.startswith("put.data")]
    for number, place in enumerate(places, start=2):
        nth = before.count(place) + 1
        known = ids(lake)
        restarted(POSIXLAKE_FAILPOINT=f"{place}:{nth}=abort")
        edit = lake.guest.start(f"cd {lake.at} && {command(number)}")
        lake.until(lambda: not lake.server.running() or not edit.running())
        if kind == "rewrite":
            lake.until(lambda: not lake.server.running() or 1000 + number in ids(lake))
        stopped = not lake.server.running()
        restarted()
        result = edit.wait(60)
        expected = [it for it in known if kind == "append" or it != number] + [1000 + number]
        lake.until(lambda: 1000 + number in ids(lake) or result.code != 0)
        found = ids(lake)
        if result.code == 0:
            assert found == expected, (place, stopped, result)
        else:
            # Not acknowledged: done whole, or not at all and kept for its user.
            kept = lake.run("ls -A t").stdout
            assert found == expected or (found == known and ("rej" in kept or "pending" in kept or kind == "rename")), (place, result)
        print(f"{kind}: {place}: {'stopped' if stopped else 'went on'}, code {result.code}")


SCAN = """
import socket, struct
linger = struct.pack("ii", 1, 0)
for number in range(300):
    scan = socket.create_connection(("127.0.0.1", %d))
    scan.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if number %% 3 == 1:
        scan.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    if number %% 3 == 2:
        scan.sendall(struct.pack(">I", 0x80000000 | 100) + b"half a record")
    scan.close()
idle = [socket.create_connection(("127.0.0.1", %d)) for _ in range(300)]
"""


def test_the_server_outlives_its_clients(lake):
    """Scans of its port, and a client that vanishes in the middle of a file: another client sees the table as it was, and works."""
    lake.sql("CREATE TABLE t (a INT, s STRING)")
    lake.run("echo 1,one >> t/data.csv")
    lake.write("/tmp/scan.py", SCAN % (PORT, PORT))
    lake.guest.run("python3 /tmp/scan.py")
    other = f"{lake.at}-other"
    options = f"vers=3,tcp,nolock,soft,timeo=20,port={PORT},mountport={PORT},mountproto=tcp,lookupcache=none,nosharecache"
    lake.guest.run(f"mkdir -p {other}; unshare -u sh -c 'hostname other; mount.nfs {OTHER}:/ {other} -o {options}'")
    vanishing = textwrap.dedent(
        f"""
        import os, signal
        file = os.open("{other}/t/data.csv", os.O_WRONLY | os.O_TRUNC)
        os.write(file, b"a,s\\n1,one\\n" + b"2,\\"a field that does not end" * 40_000)
        os.fsync(file)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    lake.write("/tmp/vanishing.py", vanishing)
    lake.guest.run(f"python3 /tmp/vanishing.py; umount -f -l {other}", check=False)
    assert lake.cat("t/data.csv") == "a,s\n1,one\n"
    lake.until(lambda: "quote" in lake.run("cat t/data.csv.errors", check=False).stdout)
    lake.run("echo 3,three >> t/data.csv")
    assert lake.cat("t/data.csv") == "a,s\n1,one\n3,three\n"


@pytest.mark.parametrize("frugal_lake", ["--silence 60"], indirect=True)
def test_an_edit_larger_than_its_client_may_hold_back(frugal_lake):
    """The client writes back, in pieces and with COMMITs, while the file is still being written: one version, and none of it seen before."""
    lake = frugal_lake
    lake.sql("CREATE TABLE t (n INT, s STRING)")
    lake.sql("INSERT INTO t VALUES (0, 'before')")
    rows = 400_000
    lines = f'BEGIN {{ print "n,s"; for (n = 0; n < {rows}; n++) print n ",a row that takes some room and is " n }}'
    writer = lake.guest.start(f"cd {lake.at}; exec awk '{lines}' > t/data.csv")
    counts = set()
    end = time.monotonic() + 180
    while writer.running() and time.monotonic() < end:
        counts.add(int(lake.sql("SELECT count(*) FROM t")[0][0]))
        time.sleep(0.5)
    writer.wait(1).check()
    lake.until(lambda: lake.sql("SELECT count(*), sum(n) FROM t") == [[str(rows), str(rows * (rows - 1) // 2)]], 120)
    assert counts <= {1, rows}
    assert lake.version("t") == 2
    assert int(lake.out("stat -c %s t/data.csv")) > 16_000_000


IN_PARTS = """
import os, pathlib, time
text = b"n,s\\n" + b"".join(b"%d,a row\\n" % n for n in range(2000))
file = os.open("{at}/t/data.csv", os.O_WRONLY | os.O_TRUNC)
# Before the second part is a gap, which the third fills.
for number, (start, end) in enumerate([(0, 4096), (8192, len(text)), (4096, 8192)]):
    os.pwrite(file, text[start:end], start)
    os.fsync(file)
    pathlib.Path("{folder}/part%d" % number).touch()
    while number < 2 and not pathlib.Path("{folder}/on%d" % number).exists():
        time.sleep(0.02)
os.close(file)
"""


@pytest.mark.parametrize("frugal_lake", ["--silence 60"], indirect=True)
def test_the_server_stops_between_the_parts_of_a_text(frugal_lake):
    """What was acknowledged is there after each stop, and what lies between is not taken for text."""
    lake = frugal_lake
    lake.sql("CREATE TABLE t (n INT, s STRING)")
    lake.sql("INSERT INTO t VALUES (0, 'before')")
    lake.cat("t/data.csv")
    folder = lake.guest.folder
    lake.write("/tmp/parts.py", IN_PARTS.format(at=lake.at, folder=folder))
    writer = lake.guest.start("exec python3 /tmp/parts.py")
    lake.until((folder / "part0").exists)
    lake.kill()
    lake.start({"POSIXLAKE_FAILPOINT": "mount.write.spooled:1=abort"})
    (folder / "on0").touch()
    lake.until(lambda: not lake.server.running())
    lake.start()
    lake.until(lambda: (folder / "part1").exists() or not writer.running())
    (folder / "on1").touch()
    writer.wait(60).check()
    lake.until(lambda: lake.sql("SELECT count(*), sum(n) FROM t") == [["2000", str(2000 * 1999 // 2)]])
    assert lake.version("t") == 2


ONE_DURING_THE_OTHER = """
import os, threading, time
file = os.open("{at}/t/data.csv", os.O_WRONLY | os.O_TRUNC)
os.write(file, b"n,s\\n0,before\\n1,one\\n")
first = threading.Thread(target=os.fsync, args=(file,))
first.start()
time.sleep(1.5)
os.write(file, b"2,two\\n")
os.fsync(file)
first.join()
"""


def test_a_write_that_comes_while_the_text_is_committed(frugal_lake):
    """It waits for the commit, and is not lost with the text that it was meant for."""
    lake = frugal_lake
    lake.sql("CREATE TABLE t (n INT, s STRING)")
    lake.sql("INSERT INTO t VALUES (0, 'before')")
    lake.kill()
    lake.start({"POSIXLAKE_FAILPOINT": "put.commit.staged=sleep(4000)"})
    lake.write("/tmp/during.py", ONE_DURING_THE_OTHER.format(at=lake.at))
    lake.guest.run("python3 /tmp/during.py")
    lake.until(lambda: lake.sql("SELECT * FROM t ORDER BY n") == [["0", "before"], ["1", "one"], ["2", "two"]])
    assert lake.version("t") == 3


HELD_UP = """
import os, pathlib, time
go_on = pathlib.Path({go_on!r})
text = b"n,s\\n" + b"".join(b"%d,a row that takes some room\\n" % n for n in range({rows}))
cut = 4096 * 1000
while text[cut - 1] == 10:
    cut += 4096
file = os.open("{at}/t/data.csv", os.O_WRONLY | os.O_TRUNC)
os.write(file, text[:4096 * 500])
os.fsync(file)
os.write(file, text[4096 * 500 : cut])
if {synced}:
    os.fsync(file)
print("half", flush=True)
while not go_on.exists():
    time.sleep(0.05)
os.write(file, text[cut:])
os.close(file)
"""


@pytest.mark.parametrize("held_up_by", ["itself", "a server that ends", "a server that is killed"])
def test_a_writer_that_is_held_up_in_the_middle(frugal_lake, held_up_by):
    """Half a file is not taken for a whole one, and its writer goes on with it where the server was started again."""
    lake = frugal_lake
    lake.sql("CREATE TABLE t (n INT, s STRING)")
    lake.sql("INSERT INTO t VALUES (0, 'before')")
    lake.cat("t/data.csv")
    go_on, rows = lake.guest.folder / "go-on", 200_000
    go_on.unlink(missing_ok=True)
    lake.write("/tmp/held-up.py", HELD_UP.format(go_on=str(go_on), rows=rows, at=lake.at, synced=held_up_by == "itself"))
    writer = lake.guest.start("exec python3 /tmp/held-up.py")
    writer.wait_for("half", 60)
    if held_up_by == "a server that ends":
        lake.stop()
    elif held_up_by == "a server that is killed":
        lake.kill()
    if not lake.server:
        lake.start()
    # More than the silence after which a whole file is taken.
    time.sleep(6)
    assert lake.version("t") == 1
    go_on.touch()
    writer.wait().check()
    lake.until(lambda: lake.version("t") == 2)
    assert lake.sql("SELECT count(*), sum(n), count(DISTINCT s) FROM t") == [[str(rows), str(rows * (rows - 1) // 2), "1"]]
    assert "pending" not in lake.out("ls -A t") and "rej" not in lake.out("ls -A t")
