"""Measures what users, rights and the audit trail cost a point query, in one run on one machine.

Usage: access.py PATH-OF-POSIXLAKE [--queries N] [--rounds N]

Two copies of a table lie in two lakes; one of them has users, so that every statement is checked and written down. A process
of posixlake on each answers the same point queries, in turns, from the statement's text to its row. What a round took is
compared with the other lake's round beside it; the median over the rounds is printed, beside that of two lakes that both
have no users, which says how far the figure can be trusted. Opening a lake, which takes a password's hash, is timed apart.
"""

import argparse
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

ROWS = 100_000
PASSWORD = "a benchmark's password"


class Process:
    """A process of posixlake that reads statements from a pipe."""

    def __init__(self, binary, lake, user):
        command = [binary, lake, "--format", "csv", "-q"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(lake.parent)}
        if user:
            environment |= {"POSIXLAKE_USER": user, "POSIXLAKE_PASSWORD": PASSWORD}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True, bufsize=1)

    def ask(self, sql):
        self.process.stdin.write(f"{sql};\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        return self.process.stdout.readline()

    def round(self, queries, first):
        start = time.perf_counter()
        for number in range(queries):
            key = (first + number * 7919) % ROWS
            answer = self.ask(f"SELECT id, value FROM t WHERE id = {key}")
            assert answer.startswith(f"{key},"), answer
        return time.perf_counter() - start

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run(binary, lake, sql, user=None):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(lake.parent)}
    if user:
        environment |= {"POSIXLAKE_USER": user, "POSIXLAKE_PASSWORD": PASSWORD}
    start = time.perf_counter()
    subprocess.run([binary, lake, "-q", "-c", sql], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    with tempfile.TemporaryDirectory() as work:
        lakes = {name: pathlib.Path(work) / name for name in ["plain", "again", "users"]}
        for lake in lakes.values():
            lake.mkdir()
            run(binary, lake, f"CREATE TABLE t AS SELECT value AS id, value * 0.5 AS value FROM range({ROWS})")
        run(binary, lakes["users"], f"CREATE USER ana PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
        run(binary, lakes["users"], f"CREATE USER bob PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'", "ana")
        run(binary, lakes["users"], "GRANT SELECT ON TABLE t TO bob", "ana")
        processes = {name: Process(binary, lake, "bob" if name == "users" else None) for name, lake in lakes.items()}
        for process in processes.values():
            process.round(arguments.queries, 0)
        times = {name: [] for name in lakes}
        for number in range(arguments.rounds):
            names = list(lakes)
            for name in names[number % 3 :] + names[: number % 3]:
                times[name].append(processes[name].round(arguments.queries, number))
        for process in processes.values():
            process.close()
        ratio = lambda name: statistics.median(a / b for a, b in zip(times[name], times["plain"])) - 1
        query = statistics.median(times["plain"]) / arguments.queries * 1000
        opening = {
            name: statistics.median(run(binary, lakes[name], "SELECT 1", user) for _ in range(9))
            for name, user in [("plain", None), ("users", "bob")]
        }
    print(f"{platform.machine()}, {arguments.rounds} rounds of {arguments.queries} point queries\n")
    print("| | |\n|---|---:|")
    print(f"| point query without users | {query:.3f} ms |")
    print(f"| with users, rights and audit trail | {ratio('users'):+.1%} |")
    print(f"| a second lake without users (noise) | {ratio('again'):+.1%} |")
    print(f"| opening a lake without users | {opening['plain'] * 1000:.0f} ms |")
    print(f"| opening one with users | {opening['users'] * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
