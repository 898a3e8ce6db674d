"""What counting costs a point query: the same queries with and without it, in turn."""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("binary")
parser.add_argument("--queries", type=int, default=2000)
parser.add_argument("--rounds", type=int, default=15)
arguments = parser.parse_args()

with tempfile.TemporaryDirectory(prefix="posixlake-metrics-") as folder:
    lake = os.path.join(folder, "lake")
    script = os.path.join(folder, "queries.sql")

    def run(*flags, mode="on"):
        begun = time.perf_counter()
        subprocess.run(
            [arguments.binary, "--quiet", "--format", "csv", "--lake", lake, *flags],
            check=True, stdout=subprocess.DEVNULL, env={**os.environ, "POSIXLAKE_METRICS": mode},
        )
        return time.perf_counter() - begun

    run("-c", "CREATE TABLE t AS SELECT value AS id, concat('row ', value) AS name FROM generate_series(1, 100000) AS g(value)")
    with open(script, "w") as file:
        for number in range(arguments.queries):
            file.write(f"SELECT name FROM t WHERE id = {number * 47 % 100000 + 1};\n")
    times = {"on": [], "off": []}
    for number in range(arguments.rounds):
        for mode in ("on", "off") if number % 2 else ("off", "on"):
            times[mode].append(run("-f", script, mode=mode))
    on, off = (min(times[mode]) / arguments.queries * 1e6 for mode in ("on", "off"))
    pairs = statistics.median(a / b for a, b in zip(times["on"], times["off"]))
    print("| counting | µs a point query (best) | ratio of pairs (median) |\n|---|---|---|")
    print(f"| off | {off:.1f} | 1 |\n| on | {on:.1f} | {pairs:.4f} |")
