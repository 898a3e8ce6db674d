"""Measures posixlake beside what one would take instead, in one run on one machine, and prints a table in Markdown.

Usage: run.py PATH-OF-POSIXLAKE [--rows N] [--repeat N] [--check]

Every figure is the best of several runs that take turns. Times of posixlake are those of the whole process, from start
to end, but for the queries: there they are the time that each of many queries in one process adds, as the peers answer
theirs in a process that runs already. Nobody is timed while importing Python modules. --check ends with an error
where a ratio is above its limit; figures of a build that is not a release say nothing.
"""

import argparse
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time

import datafusion
import deltalake
import duckdb
import pyarrow
import pyarrow.csv

QUERIES = {
    "point query": "SELECT name, value FROM {table} WHERE id = 777777",
    "GROUP BY": "SELECT id % 100 AS bucket, count(*) AS rows, avg(value) AS mean FROM {table} GROUP BY bucket ORDER BY bucket",
}

# Queries of one kind that a process answers while it is timed.
ANSWERS = 20


def best(repeat, *contenders):
    """The shortest time of each contender; they take turns."""
    times = [[] for _ in contenders]
    for _ in range(repeat):
        for contender, taken in zip(contenders, times):
            taken.append(contender())
    return [min(taken) for taken in times]


def timed(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def write_rows(path, rows):
    random.seed(1)
    with open(path, "w") as file:
        file.write("id,name,value\n")
        for row in range(rows):
            file.write(f"{row},name-{random.randrange(1_000_000)},{random.random():.4f}\n")


class Bench:
    def __init__(self, binary, folder, repeat):
        self.binary = binary
        self.folder = folder
        self.repeat = repeat
        self.rows = []
        self.failed = []

    def posixlake(self, *statements):
        flags = [flag for statement in statements for flag in ("-c", statement)]
        command = [self.binary, "--quiet", "--lake", str(self.folder / "lake"), *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def report(self, what, ours, peer, theirs, limit=None):
        """One line of the table: a limit of the ratio, or (without a peer) of the time in seconds."""
        ratio = ours / theirs if theirs else None
        measured = ratio if theirs else ours
        wanted = "" if limit is None else f"≤ {limit:g}" if theirs else f"≤ {limit * 1000:g} ms"
        if limit is not None and measured > limit:
            self.failed.append(f"{what}, beside {peer}: {measured:.3f}, limit {limit}")
        shown = [what, milliseconds(ours), peer or "", milliseconds(theirs), f"{ratio:.2f}" if ratio else "", wanted]
        self.rows.append(shown)
        print("  ".join(filter(None, shown)), file=sys.stderr, flush=True)

    def start(self):
        ours, python = best(
            self.repeat * 4,
            lambda: timed(lambda: self.posixlake("SELECT 1")),
            lambda: timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)),
        )
        self.report("start: `posixlake -c 'SELECT 1'`", ours, None, None, limit=0.08)
        self.report("start", ours, "an empty Python program", python)

    def load(self, path):
        theirs_at = self.folder / "theirs"

        def theirs():
            shutil.rmtree(theirs_at, ignore_errors=True)
            return timed(lambda: deltalake.write_deltalake(str(theirs_at), pyarrow.csv.read_csv(path)))

        def duck():
            copy = f"COPY (SELECT * FROM read_csv('{path}')) TO '{self.folder}/duck.parquet' (FORMAT parquet)"
            return timed(lambda: duckdb.connect().execute(copy))

        def ours():
            shutil.rmtree(self.folder / "lake", ignore_errors=True)
            return timed(lambda: self.posixlake(f"CREATE TABLE t AS SELECT * FROM '{path}'"))

        ours, theirs, duck = best(self.repeat, ours, theirs, duck)
        self.report("import of a CSV file", ours, "pyarrow `read_csv` + `write_deltalake`", theirs, limit=1.5)
        self.report("import of a CSV file", ours, "DuckDB, into one Parquet file", duck)

    def query(self, name, sql):
        files = f"{self.folder}/lake/t/"
        context = datafusion.SessionContext()
        context.register_parquet("files", files)
        connection = duckdb.connect()
        ours_sql = sql.format(table="t")

        def repeated(answer):
            def run():
                answer()
                return timed(lambda: [answer() for _ in range(ANSWERS)]) / ANSWERS

            return run

        def ours():
            one = timed(lambda: self.posixlake(ours_sql))
            many = timed(lambda: self.posixlake(*[ours_sql] * (ANSWERS + 1)))
            return (many - one) / ANSWERS

        ours, fusion, duck = best(
            self.repeat,
            ours,
            repeated(lambda: context.sql(sql.format(table="files")).collect()),
            repeated(lambda: connection.execute(sql.format(table=f"'{files}*.parquet'")).fetchall()),
        )
        self.report(name, ours, "DataFusion on the same Parquet files", fusion, limit=1.3)
        self.report(name, ours, "DuckDB on the same Parquet files", duck)

    def table(self):
        yield "| what | posixlake | beside | takes | ratio | wanted |"
        yield "|---|---:|---|---:|---:|---|"
        for row in self.rows:
            yield "| " + " | ".join(row) + " |"


def milliseconds(seconds):
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="posixlake-bench-") as folder:
        bench = Bench(str(arguments.binary.resolve()), pathlib.Path(folder), arguments.repeat)
        path = pathlib.Path(folder) / "rows.csv"
        write_rows(path, arguments.rows)
        size = path.stat().st_size / 1_000_000
        bench.start()
        bench.load(path)
        for name, sql in QUERIES.items():
            bench.query(name, sql)
    version = subprocess.run([bench.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{arguments.rows:,} rows (id, name, value) in {size:.0f} MB of CSV; best of {arguments.repeat}; {os.cpu_count()} cores,")
    print(f"{platform.system()} {platform.machine()}; {version}, deltalake {deltalake.__version__},")
    print(f"pyarrow {pyarrow.__version__}, DataFusion {datafusion.__version__}, DuckDB {duckdb.__version__}.\n")
    print("\n".join(bench.table()))
    if arguments.check and bench.failed:
        sys.exit("above the limit: " + "; ".join(bench.failed))


if __name__ == "__main__":
    main()
