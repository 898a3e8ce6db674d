"""Measures changes of rows beside deltalake's, in one run on one machine, and prints a table in Markdown.

Usage: changes.py PATH-OF-POSIXLAKE [--rows N …] [--inserts N] [--repeat N]

posixlake is timed as a whole process, from start to end, with what it writes synced to disk; deltalake runs in a Python
process that has imported it already, and does not sync. Both change copies of the same table. The single-row INSERTs are
the exception: they run in one process each, and its start counts.
"""

import argparse
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import time

import deltalake
import numpy
import pyarrow as pa

KEYS = 100


def timed(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def table_of(rows):
    random = numpy.random.default_rng(1)
    return pa.table(
        {
            "id": numpy.arange(rows),
            "bucket": random.integers(0, 1000, rows),
            "value": random.random(rows),
            "name": pa.array(numpy.char.add("name-", random.integers(0, 1_000_000, rows).astype(str))),
        }
    )


class Bench:
    def __init__(self, binary, folder, repeat):
        self.binary, self.folder, self.repeat = binary, folder, repeat
        self.lake = folder / "lake"

    def run(self, *statements):
        flags = [flag for statement in statements for flag in ("-c", statement)]
        command = [self.binary, "--quiet", "--lake", str(self.lake), *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def fresh(self, name, source):
        path = self.lake / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path, copy_function=os.link)
        return path

    def beside(self, what, source, vectors, ours, theirs):
        """The best of several runs, each on a fresh copy; they take turns."""
        mine, others = [], []
        for _ in range(self.repeat):
            self.fresh("ours", source)
            if vectors:
                self.run("ALTER TABLE ours SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
            mine.append(timed(lambda: self.run(ours)))
            path = self.fresh("theirs", source)
            others.append(timed(lambda: theirs(deltalake.DeltaTable(path))))
        report(f"{what}, deletion vectors {'on' if vectors else 'off'}", min(mine), min(others))

    def changes(self, rows):
        source = self.folder / f"source-{rows}"
        deltalake.write_deltalake(source, table_of(rows), target_file_size=64 << 20)
        some = numpy.random.default_rng(2).choice(rows, KEYS // 2, replace=False).tolist()
        keys = some + list(range(rows, rows + KEYS - len(some)))
        merged = pa.table({"id": keys, "bucket": [1] * KEYS, "value": [0.5] * KEYS, "name": ["merged"] * KEYS})
        values = ", ".join(f"({key}, 1, 0.5, 'merged')" for key in keys)
        merge = (
            f"MERGE INTO ours USING (VALUES {values}) AS s (id, bucket, value, name) ON ours.id = s.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        row = rows // 2
        label = f"{rows // 1_000_000} M rows" if rows >= 1_000_000 else f"{rows} rows"
        for vectors in (True, False):
            self.beside(
                f"UPDATE of 1 row in {label}",
                source,
                vectors,
                f"UPDATE ours SET value = 0 WHERE id = {row}",
                lambda table: table.update(updates={"value": "0"}, predicate=f"id = {row}"),
            )
            self.beside(
                f"DELETE of 1 row in {label}",
                source,
                vectors,
                f"DELETE FROM ours WHERE id = {row}",
                lambda table: table.delete(f"id = {row}"),
            )
            self.beside(
                f"MERGE of {KEYS} rows into {label}",
                source,
                vectors,
                merge,
                lambda table: table.merge(merged, "t.id = s.id", source_alias="s", target_alias="t")
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .execute(),
            )
        shutil.rmtree(source)

    def inserts(self, count):
        def statements(numbers):
            return [f"INSERT INTO single VALUES ({number}, 'row {number}')" for number in numbers]

        self.run("CREATE TABLE single (id BIGINT, name STRING)")
        parts = [range(start, start + count // 10) for start in range(0, count, count // 10)]
        mine = [timed(lambda: self.run(*statements(part))) for part in parts]
        path = self.lake / "single-theirs"
        theirs = []
        for part in parts:
            begun = time.perf_counter()
            for number in part:
                row = pa.table({"id": [number], "name": [f"row {number}"]})
                deltalake.write_deltalake(path, row, mode="append")
            theirs.append(time.perf_counter() - begun)
        report(f"{count} single-row INSERTs", sum(mine), sum(theirs))
        report("… the last tenth beside our first", mine[-1], mine[0])
        report("… the last tenth of deltalake's beside its first", theirs[-1], theirs[0])


def report(what, ours, theirs):
    print(f"| {what} | {ours * 1000:.1f} ms | {theirs * 1000:.1f} ms | {theirs / ours:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--inserts", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.binary, pathlib.Path(folder), arguments.repeat)
        bench.lake.mkdir()
        print(f"Best of {arguments.repeat}; {os.cpu_count()} cores, {platform.system()} {platform.machine()};")
        print(f"deltalake {deltalake.__version__}.\n")
        print("| what | posixlake | deltalake | times faster |\n|---|---:|---:|---:|")
        if arguments.inserts:
            bench.inserts(arguments.inserts)
        for rows in arguments.rows:
            bench.changes(rows)


if __name__ == "__main__":
    main()
