"""Measures tables of many files and commits beside deltalake's, in one run on one machine, and prints a table in Markdown.

Usage: large_log.py PATH-OF-POSIXLAKE [--commits N] [--files N] [--repeat N]

The log is written here, as text; deltalake adds a checkpoint shortly before its end. All data files but the one that the
selective query is about are names alone: whoever reads more than it has to, fails. Opening is timed as a whole process of
posixlake, from start to end, beside a call in a Python process that has imported deltalake already; what comes after is
timed in a process of posixlake that runs, from the statement's text to its row.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import tempfile
import time
import uuid

import deltalake
import pyarrow as pa
import pyarrow.parquet

ROWS = 100
# Commits behind the checkpoint.
BEHIND = 7


def timed(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


SCHEMA = {
    "type": "struct",
    "fields": [
        {"name": name, "type": kind, "nullable": True, "metadata": {}}
        for name, kind in [("id", "long"), ("day", "date"), ("value", "double"), ("name", "string")]
    ],
}


class Log:
    """A table whose file number n holds the ids from n * ROWS on; the file of the number `real` is there."""

    def __init__(self, folder, commits, files, real):
        self.folder, self.files, self.version = folder, 0, -1
        (folder / "_delta_log").mkdir(parents=True)
        self.sizes = {real: self.write(real)}
        protocol = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
        metadata = {
            "id": str(uuid.uuid4()),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps(SCHEMA),
            "partitionColumns": [],
            "configuration": {},
            "createdTime": 0,
        }
        self.commit([protocol, {"metaData": metadata}])
        for number in range(commits):
            self.add((number + 1) * files // commits - self.files)
            if number == commits - BEHIND:
                deltalake.DeltaTable(folder).create_checkpoint()

    def path(self, number):
        return f"part-{number:08}-{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}.snappy.parquet"

    def add(self, count):
        """One more commit, of so many files."""
        actions = []
        for _ in range(count):
            first = self.files * ROWS
            day = f"20{self.files % 90 + 10:02}-01-01"
            least = {"id": first, "day": day, "value": 0.25, "name": f"name-{first:012}"}
            most = {"id": first + ROWS - 1, "day": day, "value": 99.5, "name": f"name-{first + ROWS - 1:012}"}
            statistics = {
                "numRecords": ROWS,
                "minValues": least,
                "maxValues": most,
                "nullCount": dict.fromkeys(least, 0),
            }
            actions.append(
                {
                    "add": {
                        "path": self.path(self.files),
                        "partitionValues": {},
                        "size": self.sizes.get(self.files, 4096),
                        "modificationTime": 1_700_000_000_000,
                        "dataChange": True,
                        "stats": json.dumps(statistics),
                    }
                }
            )
            self.files += 1
        self.commit(actions)

    def commit(self, actions):
        self.version += 1
        lines = [{"commitInfo": {"timestamp": 1_700_000_000_000 + self.version, "operation": "WRITE"}}, *actions]
        path = self.folder / "_delta_log" / f"{self.version:020}.json"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def write(self, number):
        """Makes a file that is more than a name."""
        ids = list(range(number * ROWS, (number + 1) * ROWS))
        rows = pa.table({"id": ids, "name": [f"name-{id:012}" for id in ids]})
        path = self.folder / self.path(number)
        pyarrow.parquet.write_table(rows, path)
        return path.stat().st_size


class Running:
    """A posixlake that answers statements one by one."""

    def __init__(self, binary, lake):
        command = [binary, "--quiet", "--format", "csv", "--lake", str(lake)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, statement):
        self.process.stdin.write(f"{statement};\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def count_of(table):
    return table.count()


def select_of(table, id):
    rows = deltalake.QueryBuilder().register("large", table).execute(f"SELECT name FROM large WHERE id = {id}")
    return pa.table(rows.read_all())["name"][0].as_py()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = pathlib.Path(folder)
        real = arguments.files // 2
        log = Log(lake / "large", arguments.commits, arguments.files, real)
        measure(arguments, lake, log, real * ROWS + 7)


def measure(arguments, lake, log, id):
    print(f"{log.files:,} files in {log.version:,} commits, a checkpoint {log.version - BEHIND:,} commits in; best of")
    print(f"{arguments.repeat}; {os.cpu_count()} cores, {platform.system()} {platform.machine()}; deltalake {deltalake.__version__}.\n")
    print("| what | posixlake | deltalake | times faster |\n|---|---:|---:|---:|")
    count, select = "SELECT count(*) FROM large", f"SELECT name FROM large WHERE id = {id}"
    command = [arguments.binary, "--quiet", "--format", "csv", "--lake", str(lake), "-c"]

    def opened(statement):
        answer = subprocess.run([*command, statement], check=True, capture_output=True, text=True).stdout.split()
        return answer[1]

    path = lake / "large"
    rows, name = log.files * ROWS, f"name-{id:012}"
    report(
        "open and count",
        lambda: expect(opened(count), str(rows)),
        lambda: expect(count_of(deltalake.DeltaTable(path)), rows),
        arguments.repeat,
    )
    report(
        "open and select one row",
        lambda: expect(opened(select), name),
        lambda: expect(select_of(deltalake.DeltaTable(path), id), name),
        arguments.repeat,
    )
    table, running = deltalake.DeltaTable(path), Running(arguments.binary, lake)
    expect(running.ask(select), name)
    report("count, open", lambda: running.ask(count), lambda: count_of(table), arguments.repeat)
    report(
        "select one row, open",
        lambda: expect(running.ask(select), name),
        lambda: expect(select_of(table, id), name),
        arguments.repeat,
    )

    def again():
        table.update_incremental()
        return count_of(table)

    report(
        "count after one more commit",
        lambda: expect(running.ask(count), str(log.files * ROWS)),
        lambda: expect(again(), log.files * ROWS),
        arguments.repeat,
        lambda: log.add(10),
    )
    report(
        "select one row after one more commit",
        lambda: expect(running.ask(select), name),
        lambda: (table.update_incremental(), expect(select_of(table, id), name)),
        arguments.repeat,
        lambda: log.add(10),
    )

    running.close()


def expect(found, wanted):
    assert found == wanted, f"{found} instead of {wanted}"


def report(what, ours, theirs, repeat, before=lambda: None):
    mine, others = [], []
    for _ in range(repeat):
        before()
        mine.append(timed(ours))
        if theirs:
            others.append(timed(theirs))
    ratio = f"{min(others) * 1000:.1f} ms | {min(others) / min(mine):.2f}" if others else "|"
    print(f"| {what} | {min(mine) * 1000:.1f} ms | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
