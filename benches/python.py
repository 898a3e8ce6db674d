"""Measures the Python package beside what a program would use instead: deltalake, DataFusion on Parquet, and the 0.4 wheel.

    python benches/python.py [--rows 10000000] [--peer SITE_PACKAGES]

Run in an environment that has the package and its tests' requirements. --peer names a folder with the 0.4 wheel, which is measured in a process of its own."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

INSERTS = """
import json, os, sys, time
from posixlake import DatabaseOps, Field, Schema
fields = [Field(name="id", data_type="Int32", nullable=False), Field(name="name", data_type="String", nullable=False)]
count, buffered, folder = int(sys.argv[1]), sys.argv[2] == "buffered", sys.argv[3]
db = DatabaseOps.create(folder, Schema(fields=fields, primary_key=None))
rows = [json.dumps([{"id": number, "name": f"User_{number}"}]) for number in range(count)]
db.insert_json('[{"id": -1, "name": "first"}]')
begun = time.perf_counter()
for row in rows:
    db.insert_buffered_json(row) if buffered else db.insert_json(row)
db.flush_write_buffer()
print(time.perf_counter() - begun)
"""

#: Removed at the end: for seconds after many files went, ext4 is slow to make new ones, whoever is measured then.
SCRATCH = tempfile.TemporaryDirectory()


def measured(work, times=3):
    best = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def inserts(count, mode, peer):
    environment = dict(os.environ)
    if peer:
        environment["PYTHONPATH"] = peer
    command = [sys.executable, "-c", INSERTS, str(count), mode, tempfile.mkdtemp(dir=SCRATCH.name) + "/db"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(answer.stderr)
    return float(answer.stdout.split()[-1])


def appends(count):
    import deltalake
    import pyarrow

    schema = pyarrow.schema([("id", pyarrow.int32()), ("name", pyarrow.string())])
    folder = tempfile.mkdtemp(dir=SCRATCH.name)
    deltalake.write_deltalake(folder, schema.empty_table())

    def work():
        for number in range(count):
            rows = pyarrow.table({"id": pyarrow.array([number], pyarrow.int32()), "name": [f"User_{number}"]})
            deltalake.write_deltalake(folder, rows, mode="append")

    return measured(work, 1)


def show(what, ours, beside, theirs):
    theirs = "not measured" if theirs is None else f"{theirs * 1000:.1f} ms | {theirs / ours:.1f}"
    print(f"| {what} | {ours * 1000:.1f} ms | {beside} | {theirs} |", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--peer")
    options = arguments.parse_args()
    print("| what | posixlake | beside | theirs | ratio |\n|---|---|---|---|---|")
    for count in (100, 1000):
        ours = min(inserts(count, "single", None) for _ in range(2))
        show(f"insert_json × {count}", ours, "deltalake", appends(count))
        show(f"insert_json × {count}", ours, "the 0.4 wheel", inserts(count, "single", options.peer) if options.peer else None)
        ours = min(inserts(count, "buffered", None) for _ in range(3))
        show(f"insert_buffered_json × {count}", ours, "deltalake, one append each", appends(count))
        theirs = inserts(count, "buffered", options.peer) if options.peer else None
        show(f"insert_buffered_json × {count}", ours, "the 0.4 wheel", theirs)

    import datafusion
    import deltalake

    import posixlake

    with tempfile.TemporaryDirectory() as folder:
        lake = posixlake.connect(folder)
        lake.sql(
            "CREATE TABLE t AS SELECT value AS id, 'name ' || (value % 1000) AS name, value * 0.5 AS v "
            f"FROM generate_series(1, {options.rows})"
        )
        table = deltalake.DeltaTable(folder + "/t")
        files = sorted(str(path) for path in pathlib.Path(folder, "t").glob("*.parquet"))
        stock = datafusion.SessionContext()
        stock.register_parquet("t", folder + "/t")
        assert len(files) >= 1
        query = "SELECT * FROM t"
        name = f"{options.rows // 1_000_000} M rows"
        pandas = measured(lambda: lake.sql(query).to_pandas())
        show(f"to_pandas, {name}", pandas, "deltalake", measured(lambda: table.to_pandas()))
        show(f"to_pandas, {name}", pandas, "datafusion on Parquet", measured(lambda: stock.sql(query).to_pandas()))
        import polars

        frame = measured(lambda: lake.sql(query).to_polars())
        show(f"to_polars, {name}", frame, "deltalake", measured(lambda: polars.from_arrow(table.to_pyarrow_table())))
        show(f"to_polars, {name}", frame, "datafusion on Parquet", measured(lambda: stock.sql(query).to_polars()))

        def ones(ctx):
            for _ in range(200):
                ctx.sql("SELECT 1").collect()

        one = measured(lambda: ones(lake)) / 200
        show("SELECT 1", one, "datafusion", measured(lambda: ones(stock)) / 200)


if __name__ == "__main__":
    main()
