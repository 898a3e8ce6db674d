"""Measures what keeping data files on the local disk saves on a store that is far away, and prints a table in Markdown.

Usage: data_cache.py PATH-OF-POSIXLAKE [--rows N] [--files N] [--delay MILLISECONDS]

The store is SeaweedFS on this machine behind a proxy that answers each request after the delay. posixlake is timed as a
process, from start to end, and deltalake in a Python process that has imported it already. Each question is asked three
times and the median shown, but for the first time with an empty cache.
"""

import argparse
import asyncio
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "python"))

from emulators import SeaweedFs  # noqa: E402
from faulty import Proxy  # noqa: E402
from stores import StoreLake  # noqa: E402

QUESTIONS = {
    "one row": "SELECT value FROM t WHERE id = 4711",
    "two columns of all files": "SELECT bucket, sum(value) FROM t GROUP BY bucket ORDER BY bucket",
    "all columns": "SELECT count(DISTINCT name), max(value), max(bucket), max(id) FROM t",
}


# deltalake holds Python's lock while it waits for a store, and the proxy needs it: so it has a process of its own.
PEER = """
import json, statistics, sys, time
import deltalake
told = json.loads(sys.argv[1])
def ask():
    start = time.perf_counter()
    table = deltalake.DeltaTable(told["table"], storage_options=told["options"])
    deltalake.QueryBuilder().register("t", table).execute(told["question"]).read_all()
    return time.perf_counter() - start
print(statistics.median(ask() for _ in range(3)))
"""


class Far(Proxy):
    """A proxy whose answers take as long as a far store's."""

    delay = 0.03

    async def answer(self, request):
        await asyncio.sleep(self.delay)
        return await super().answer(request)


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median(action):
    return statistics.median(seconds(action) for _ in range(3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--delay", type=float, default=30)
    arguments = parser.parse_args()
    Far.delay = arguments.delay / 1000
    os.environ["POSIXLAKE_BIN"] = arguments.binary
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        server = SeaweedFs(scratch)
        try:
            measure(arguments, server, scratch)
        finally:
            server.stop()


def measure(arguments, server, scratch):
    near = StoreLake(server, "lake", scratch)
    part = arguments.rows // arguments.files
    near.output("CREATE TABLE t (id BIGINT, bucket BIGINT, value DOUBLE, name VARCHAR)")
    for file in range(arguments.files):
        near.output(
            "INSERT INTO t SELECT value, value % 100, random(), md5(CAST(value AS VARCHAR))"
            f" FROM generate_series({file * part}, {(file + 1) * part - 1}) AS g(value)"
        )
    proxy = Far(server.port)
    plain = StoreLake(server, "lake", scratch, proxy.port)
    options = {name.upper(): value for name, value in server.settings(proxy.port).items()}
    options |= {"AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}

    def peer(question):
        told = json.dumps({"table": f"{server.url}/lake/t", "options": options, "question": question})
        return float(subprocess.run([sys.executable, "-c", PEER, told], check=True, stdout=subprocess.PIPE).stdout)

    print(f"{arguments.rows} rows in {arguments.files} files, {arguments.delay:g} ms for each request")
    print()
    print("| question | without | empty cache | filled cache | times faster | requests | deltalake | of deltalake's |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for number, (name, question) in enumerate(QUESTIONS.items()):
        kept = StoreLake(
            server, "lake", scratch, proxy.port, data_cache="4g", data_cache_folder=str(scratch / f"kept{number}")
        )
        without = median(lambda: plain.output(question))
        empty = seconds(lambda: kept.output(question))
        filled = median(lambda: kept.output(question))
        proxy.requests.clear()
        kept.output(question)
        requests = len(proxy.requests)
        other = peer(question)
        print(
            f"| {name} | {without * 1000:.0f} ms | {empty * 1000:.0f} ms | {filled * 1000:.0f} ms"
            f" | {without / filled:.1f} | {requests} | {other * 1000:.0f} ms | {other / filled:.1f} |"
        )
    proxy.close()


if __name__ == "__main__":
    main()
