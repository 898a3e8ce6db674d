"""Measures the queries of TPC-H beside DataFusion, deltalake and DuckDB, in one run on one machine; prints Markdown.

Usage: tpch.py PATH-OF-POSIXLAKE [--scale N] [--queries N …] [--repeat N] [--without-vectors] [--cpu] [--check]

posixlake writes the tables (CREATE TABLE AS SELECT), and all read the same files: DataFusion as plain Parquet, deltalake
through its QueryBuilder, DuckDB through delta_scan. Each engine is one process that has answered the query before; every
time is the best of several runs that take turns. The answers are compared: one that differs ends the run. A second run
follows the deletion of 5 % of the rows of lineitem and orders by deletion vectors; there DataFusion, which knows none,
reads all rows. --cpu takes the time of the processors that each engine's process used, on a machine that has other things
to do; --check ends with an error where a ratio is above its limit.
"""

import argparse
import csv
import io
import math
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time

import datafusion
import deltalake
import duckdb
import pyarrow
import duckdb_extension_delta

TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]

# Rows all over the files, so that no page is without one.
DELETED = {"lineitem": "(l_orderkey * 7 + l_linenumber * 3) % 20 = 3", "orders": "o_orderkey * 7 % 20 = 3"}

# The geometric mean of our times beside the peers', at most.
LIMITS = {False: {"DataFusion": 1.05, "deltalake": 1, "DuckDB": 1}, True: {"DataFusion": 1.15}}


class Posixlake:
    """The program as a process that reads statements from a pipe and says on stderr when it has answered one."""

    def __init__(self, binary, lake, folder):
        self.answers = open(folder / "answers.csv", "w+")
        self.process = subprocess.Popen(
            [binary, "--format", "csv", "--lake", str(lake)],
            stdin=subprocess.PIPE,
            stdout=self.answers,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, sql):
        self.answers.seek(0)
        self.answers.truncate()
        self.process.stdin.write(sql.strip() + ";\n")
        self.process.stdin.flush()
        said = ""
        while not re.match(r"(\d+ rows? in|done in) ", said):
            line = self.process.stderr.readline()
            if not line:
                sys.exit(f"posixlake failed: {said}\n{sql}")
            said = line if re.match(r"(\d+ rows? in|done in) ", line) else said + line
        return self.answers

    def rows(self, answers):
        answers.seek(0)
        return list(csv.reader(io.StringIO(answers.read())))[1:]

    def processor_time(self):
        # The clock that clock_getcpuclockid(3) names.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.answers.close()


class Peer:
    """An engine in this process."""

    def rows(self, answer):
        return list(zip(*(column.to_pylist() for column in pyarrow.table(answer).columns), strict=True))

    def processor_time(self):
        return time.process_time()

    def end(self):
        pass


class DataFusion(Peer):
    def __init__(self, lake):
        self.context = datafusion.SessionContext()
        for table in TABLES:
            self.context.register_parquet(table, f"{lake}/{table}/")

    def run(self, sql):
        frame = self.context.sql(sql)
        return pyarrow.Table.from_batches(frame.collect(), frame.schema())


class DeltaRs(Peer):
    def __init__(self, lake):
        self.builder = deltalake.QueryBuilder()
        for table in TABLES:
            self.builder = self.builder.register(table, deltalake.DeltaTable(f"{lake}/{table}"))

    def run(self, sql):
        return self.builder.execute(sql).read_all()


class DuckDb(Peer):
    def __init__(self, lake):
        # It takes most of a machine's memory otherwise, which the others' caches need as well.
        self.connection = duckdb.connect(config={"memory_limit": "8GB"})
        package = pathlib.Path(duckdb_extension_delta.__file__).parent
        extension = next(package.glob(f"extensions/v{duckdb.__version__}/delta.duckdb_extension"))
        self.connection.execute(f"LOAD '{extension}'")
        for table in TABLES:
            self.connection.execute(f"CREATE VIEW {table} AS SELECT * FROM delta_scan('{lake}/{table}')")

    def run(self, sql):
        return self.connection.execute(sql).to_arrow_table()


def plain(value):
    """A number as a float, and everything else as text."""
    if value in (None, "", "NULL"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def near(one, other):
    """Whether two values are the same but for the places to which engines round quotients."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-5)
    return one == other


def same(ours, theirs):
    def alike(some, others):
        return all(map(near, some, others))

    def all_alike(some, others):
        return all(len(a) == len(b) and alike(a, b) for a, b in zip(some, others, strict=True))

    # Rows with the same values of ORDER BY come in any order.
    return len(ours) == len(theirs) and (all_alike(ours, theirs) or all_alike(by_text(ours), by_text(theirs)))


def by_text(rows):
    return sorted(rows, key=lambda row: [format(value, ".4f") if isinstance(value, float) else str(value) for value in row])


def plain_rows(rows):
    return [[plain(value) for value in row] for row in rows]


class Bench:
    def __init__(self, binary, folder, arguments):
        self.binary, self.folder, self.arguments = binary, folder, arguments
        self.lake = folder / "lake"
        self.failed = []
        text = (pathlib.Path(__file__).parent / "tpch.sql").read_text()
        found = re.split(r"^-- (\d+)$", text, flags=re.MULTILINE)[1:]
        fraction = f"{0.0001 / arguments.scale:.10f}"
        self.queries = {
            int(number): sql.strip().rstrip(";").replace("{fraction}", fraction)
            for number, sql in zip(found[::2], found[1::2], strict=True)
            if not arguments.queries or int(number) in arguments.queries
        }

    def statement(self, sql):
        subprocess.run([self.binary, "--quiet", "--lake", str(self.lake), "-c", sql], check=True, stdout=subprocess.DEVNULL)

    def load(self):
        generator = pathlib.Path(sysconfig.get_path("scripts")) / "tpchgen-cli"
        source = self.folder / "source"
        for table in TABLES:
            scale = ["-s", str(self.arguments.scale), "-T", table, "-o", str(source), "-q"]
            subprocess.run([generator, "parquet", *scale], check=True)
            start = time.perf_counter()
            self.statement(f"CREATE TABLE {table} AS SELECT * FROM '{source}/{table}.parquet'")
            print(f"{table}: written in {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
            shutil.rmtree(source)

    def delete(self):
        for table, condition in DELETED.items():
            self.statement(f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
            self.statement(f"DELETE FROM {table} WHERE {condition}")

    def measure(self, vectors):
        """The lines of a table."""
        ours = Posixlake(self.binary, self.lake, self.folder)
        peers = {"DataFusion": DataFusion(self.lake), "deltalake": DeltaRs(self.lake), "DuckDB": DuckDb(self.lake)}
        engines = {"posixlake": ours} | peers
        all_times = {name: [] for name in engines}
        yield "| query | posixlake |" + "".join(f" {peer} | ratio |" for peer in peers)
        yield "|---|---:|" + "---:|---:|" * len(peers)
        for number, sql in self.queries.items():
            answers = {name: plain_rows(engine.rows(engine.run(sql))) for name, engine in engines.items()}
            self.compare(number, answers, vectors)
            times = {name: [] for name in engines}
            for _ in range(self.arguments.repeat):
                for name, engine in engines.items():
                    times[name].append(self.time_of(engine, sql))
            for name, taken in times.items():
                all_times[name].append(min(taken))
            yield line(str(number), {name: taken[-1] for name, taken in all_times.items()})
        means = {name: math.exp(sum(map(math.log, taken)) / len(taken)) for name, taken in all_times.items()}
        yield line("geometric mean", means)
        yield line("sum", {name: sum(taken) for name, taken in all_times.items()})
        for peer, limit in LIMITS[vectors].items():
            ratio = means["posixlake"] / means[peer]
            if ratio > limit:
                self.failed.append(f"{peer}, deletion vectors {vectors}: {ratio:.3f}, limit {limit}")
        for engine in engines.values():
            engine.end()

    def time_of(self, engine, sql):
        clock = engine.processor_time if self.arguments.cpu else time.perf_counter
        start = clock()
        engine.run(sql)
        return clock() - start

    def compare(self, number, answers, vectors):
        mine = answers["posixlake"]
        for name, theirs in answers.items():
            if not (vectors and name == "DataFusion") and not same(mine, theirs):
                kept = [f"{name}: {len(rows)} rows, such as {rows[:3]}" for name, rows in answers.items()]
                sys.exit(f"query {number}: posixlake and {name} differ\n" + "\n".join(kept))


def line(name, times):
    mine = times["posixlake"]
    cells = [f"{seconds * 1000:.0f} ms | {mine / seconds:.2f}" for peer, seconds in times.items() if peer != "posixlake"]
    return f"| {name} | {mine * 1000:.0f} ms | " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--queries", type=int, nargs="*")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--without-vectors", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="posixlake-tpch-") as folder:
        bench = Bench(str(arguments.binary.resolve()), pathlib.Path(folder), arguments)
        bench.load()
        measured = "time of processors" if arguments.cpu else "elapsed time"
        print(f"TPC-H, scale factor {arguments.scale}; {measured}, best of {arguments.repeat}; {os.cpu_count()} cores,")
        print(f"{platform.system()} {platform.machine()}; DataFusion {datafusion.__version__} (on the Parquet files),")
        print(f"deltalake {deltalake.__version__}, DuckDB {duckdb.__version__}.\n")
        for row in bench.measure(vectors=False):
            print(row, flush=True)
        if not arguments.without_vectors:
            bench.delete()
            print("\nWith 5 % of the rows of lineitem and orders deleted by deletion vectors (DataFusion reads all rows):\n")
            for row in bench.measure(vectors=True):
                print(row, flush=True)
    if arguments.check and bench.failed:
        sys.exit("above the limit: " + "; ".join(bench.failed))


if __name__ == "__main__":
    main()
