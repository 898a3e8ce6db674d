"""Measures OPTIMIZE beside deltalake's, in one run on one machine, and prints a table in Markdown.

Usage: optimize.py PATH-OF-POSIXLAKE [--files N …] [--rows N …] [--memory-limit SIZE] [--repeat N]

posixlake is timed as a whole process, from start to end, with what it writes synced to disk; deltalake runs in a Python
process that has imported it already, and does not sync. Both work on copies of the same table, whose files others made.
The time of cores is beside that of the clock: where others use the machine too, it is what to compare.
"""

import argparse
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import tempfile
import time

import deltalake
import numpy
import pyarrow as pa
import pyarrow.parquet as pq

SMALL = 1000


def cores():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(action):
    """Seconds by the clock, and of cores."""
    start, before = time.perf_counter(), cores()
    action()
    return time.perf_counter() - start, cores() - before


def rows_of(start, rows):
    random = numpy.random.default_rng(start)
    return pa.table(
        {
            "id": numpy.arange(start, start + rows),
            "x": random.integers(0, 1_000_000, rows),
            "y": random.integers(0, 1_000_000, rows),
            "value": random.random(rows),
            "name": pa.array(numpy.char.add("name-", random.integers(0, 1_000_000, rows).astype(str))),
        }
    )


class Bench:
    def __init__(self, binary, folder, repeat):
        self.binary, self.folder, self.repeat = binary, folder, repeat
        self.lake = folder / "lake"
        self.lake.mkdir()

    def run(self, *arguments):
        command = [self.binary, "--quiet", "--lake", str(self.lake), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def fresh(self, name, source):
        path = self.lake / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path, copy_function=os.link)
        return path

    def beside(self, what, source, ours, theirs, *flags):
        """The best of several runs, each on a fresh copy; they take turns."""
        mine, others = [], []
        for _ in range(self.repeat):
            self.fresh("ours", source)
            mine.append(timed(lambda: self.run(*flags, "-c", ours)))
            path = self.fresh("theirs", source)
            others.append(timed(lambda: theirs(deltalake.DeltaTable(path))))
            self.check(path)
        report(what, *(tuple(map(min, zip(*times))) for times in (mine, others)))

    def check(self, theirs):
        """Both tables have the same rows still."""

        def sums(path):
            dataset = deltalake.DeltaTable(path).to_pyarrow_table(columns=["id"])
            return dataset.num_rows, pa.compute.sum(dataset["id"]).as_py()

        assert sums(self.lake / "ours") == sums(theirs)

    def compact(self, files):
        source = self.folder / "files"
        source.mkdir()
        for file in range(files):
            pq.write_table(rows_of(file * SMALL, SMALL), source / f"part-{file:06}.parquet")
        deltalake.convert_to_deltalake(source)
        self.beside(
            f"OPTIMIZE of {files} files of {SMALL} rows",
            source,
            "OPTIMIZE ours",
            lambda table: table.optimize.compact(),
        )
        shutil.rmtree(source)

    def zorder(self, rows, limit):
        source = self.folder / "rows"
        parts = (rows_of(start, min(1_000_000, rows - start)) for start in range(0, rows, 1_000_000))
        for part in parts:
            deltalake.write_deltalake(source, part, mode="append")
        label = f"{rows // 1_000_000} M rows" if rows >= 1_000_000 else f"{rows} rows"
        statement, columns = "OPTIMIZE ours ZORDER BY (x, y)", ["x", "y"]
        self.beside(f"ZORDER BY of {label}", source, statement, lambda table: table.optimize.z_order(columns))
        self.beside(
            f"ZORDER BY of {label}, posixlake in {limit} of memory",
            source,
            statement,
            lambda table: table.optimize.z_order(columns),
            "--memory-limit",
            limit,
        )
        shutil.rmtree(source)


def report(what, ours, theirs):
    columns = [f"{mine:.1f} s | {other:.1f} s | {other / mine:.2f}" for mine, other in zip(ours, theirs)]
    print(f"| {what} | {' | '.join(columns)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--files", type=int, nargs="*", default=[1000])
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--memory-limit", default="512m")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.binary, pathlib.Path(folder), arguments.repeat)
        print(f"Best of {arguments.repeat}; {os.cpu_count()} cores, {platform.system()} {platform.machine()};")
        print(f"deltalake {deltalake.__version__}.\n")
        print("| what | posixlake | deltalake | times faster | cores: posixlake | deltalake | times less |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for files in arguments.files:
            bench.compact(files)
        for rows in arguments.rows:
            bench.zorder(rows, arguments.memory_limit)


if __name__ == "__main__":
    main()
