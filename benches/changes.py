"""Measures changes of rows beside deltalake's, in one run on one machine, and prints a table in Markdown.

Usage: changes.py PATH-OF-POSIXLAKE [--rows N …] [--inserts N] [--merge SOURCE TARGET] [--repeat N]

posixlake is timed as a whole process, from start to end, with what it writes synced to disk; deltalake runs in a Python
process that has imported it already, and does not sync. Both change copies of the same table. The single-row INSERTs are
the exception: they run in one process each, and its start counts.

--merge takes the rows of the source and of the target: half of the source's rows update, half are new. Each MERGE is a
process of its own, whose peak resident memory is shown; and once more each may hold a quarter of what posixlake held.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import deltalake
import numpy
import pyarrow as pa
import pyarrow.parquet as pq

KEYS = 100

# Seconds after which a process is taken for one that hangs.
PATIENCE = 600


def timed(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def batches_of(rows, part=1_000_000):
    random = numpy.random.default_rng(1)
    for start in range(0, rows, part):
        yield rows_of(numpy.arange(start, min(start + part, rows)), random)


def rows_of(keys, random):
    names = numpy.char.add("name-", random.integers(0, 1_000_000, len(keys)).astype(str))
    columns = [pa.array(keys), pa.array(random.integers(0, 1000, len(keys))), pa.array(random.random(len(keys)))]
    return pa.record_batch([*columns, pa.array(names)], names=["id", "bucket", "value", "name"])


def write_source(path, rows):
    batches = batches_of(rows)
    first = next(batches)

    def all_batches():
        yield first
        yield from batches

    reader = pa.RecordBatchReader.from_batches(first.schema, all_batches())
    deltalake.write_deltalake(path, reader, target_file_size=64 << 20)


# Runs a command from a small process: what a process is forked from counts into its peak.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL, timeout=int(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"code": code, "seconds": time.perf_counter() - start, "peak": peak}))
"""

# What deltalake does in a process of its own: the time without imports, the peak with them.
DELTALAKE_MERGE = """
import json, sys, time
import deltalake, pyarrow.parquet
path, source, limit = sys.argv[1:]
start = time.perf_counter()
limits = {"max_spill_size": int(limit), "max_temp_directory_size": 100 << 30} if int(limit) else {}
merge = deltalake.DeltaTable(path).merge(
    pyarrow.parquet.read_table(source), "t.id = s.id", source_alias="s", target_alias="t", **limits
)
merge.when_matched_update_all().when_not_matched_insert_all().execute()
seconds = time.perf_counter() - start
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"code": 0, "seconds": seconds, "peak": peak}))
"""


def measured(*command):
    """How a command that prints its measures went; None where it failed, or did not come to an end."""
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE + 10)
    except subprocess.TimeoutExpired:
        print(f"failed: no end after {PATIENCE} s", file=sys.stderr, flush=True)
        return None
    if answer.returncode or json.loads(answer.stdout)["code"]:
        print(f"failed: {answer.stderr.strip()[-400:]}", file=sys.stderr, flush=True)
        return None
    return json.loads(answer.stdout)


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
        write_source(source, rows)
        some = numpy.random.default_rng(2).choice(rows, KEYS // 2, replace=False).tolist()
        keys = some + list(range(rows, rows + KEYS - len(some)))
        merged = pa.table({"id": keys, "bucket": [1] * KEYS, "value": [0.5] * KEYS, "name": ["merged"] * KEYS})
        values = ", ".join(f"({key}, 1, 0.5, 'merged')" for key in keys)
        merge = (
            f"MERGE INTO ours USING (VALUES {values}) AS s (id, bucket, value, name) ON ours.id = s.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        row = rows // 2
        label = label_of(rows)
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

    def merges(self, count, rows):
        """A MERGE of many rows: its time, its peak, and both again with a quarter of the memory."""
        print("\n| what | posixlake | peak | deltalake | peak | times faster |\n|---|---:|---:|---:|---:|---:|")
        source, file = self.folder / f"source-{rows}", self.folder / "merged.parquet"
        write_source(source, rows)
        random = numpy.random.default_rng(3)
        updated = random.choice(rows, count // 2, replace=False)
        keys = random.permutation(numpy.concatenate([updated, numpy.arange(rows, rows + count - len(updated))]))
        pq.write_table(pa.Table.from_batches([rows_of(keys, random)]), file)
        for vectors in (True, False):
            what = f"MERGE of {label_of(count)} into {label_of(rows)}, deletion vectors {'on' if vectors else 'off'}"
            mine, others = self.merge_beside(source, file, vectors, 0, rows + count - len(updated))
            report_memory(what, mine, others)
            if mine:
                limit = mine["peak"] // 4
                mine, others = self.merge_beside(source, file, vectors, limit, rows + count - len(updated))
                report_memory(f"… within {limit >> 20} MiB", mine, others)
        shutil.rmtree(source)

    def merge_beside(self, source, file, vectors, limit, wanted):
        """The fastest of several runs of both; None where one cannot."""
        merge = (
            f"MERGE INTO ours USING (SELECT * FROM '{file}') AS s ON ours.id = s.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        limits = ["--memory-limit", str(limit)] if limit else []
        mine, others = [], []
        for _ in range(self.repeat):
            path = self.fresh("ours", source)
            if vectors:
                self.run("ALTER TABLE ours SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
            command = [self.binary, "--quiet", "--lake", str(self.lake), *limits, "-c", merge]
            mine.append(measured(sys.executable, "-c", MEASURE, str(PATIENCE), *command))
            assert not mine[-1] or count_of(path) == wanted
            path = self.fresh("theirs", source)
            others.append(measured(sys.executable, "-c", DELTALAKE_MERGE, str(path), str(file), str(limit)))
            assert not others[-1] or count_of(path) == wanted
        return [min(filter(None, runs), key=lambda run: run["seconds"], default=None) for runs in (mine, others)]

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


def count_of(path):
    builder = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(path))
    return pa.table(builder.execute("SELECT count(*) AS rows FROM t").read_all())["rows"][0].as_py()


def label_of(rows):
    return f"{rows // 1_000_000} M rows" if rows >= 1_000_000 else f"{rows} rows"


def report_memory(what, *both):
    cells = [f"{run['seconds']:.2f} s | {run['peak'] >> 20} MiB" if run else "fails | " for run in both]
    faster = f"{both[1]['seconds'] / both[0]['seconds']:.2f}" if all(both) else ""
    print(f"| {what} | " + " | ".join(cells) + f" | {faster} |", flush=True)


def report(what, ours, theirs):
    print(f"| {what} | {ours * 1000:.1f} ms | {theirs * 1000:.1f} ms | {theirs / ours:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--inserts", type=int, default=1000)
    parser.add_argument("--merge", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="posixlake-changes-") as folder:
        bench = Bench(arguments.binary, pathlib.Path(folder), arguments.repeat)
        bench.lake.mkdir()
        print(f"Best of {arguments.repeat}; {os.cpu_count()} cores, {platform.system()} {platform.machine()};")
        print(f"deltalake {deltalake.__version__}.\n")
        print("| what | posixlake | deltalake | times faster |\n|---|---:|---:|---:|")
        if arguments.inserts:
            bench.inserts(arguments.inserts)
        for rows in arguments.rows:
            bench.changes(rows)
        if arguments.merge:
            bench.merges(*arguments.merge)


if __name__ == "__main__":
    main()
