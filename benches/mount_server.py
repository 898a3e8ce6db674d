"""Measures what a mount's server takes for the requests behind everyday commands, without a kernel's client, and prints a
table in Markdown.

Usage: mount_server.py PATH-OF-POSIXLAKE [--rows N …] [--overwrite N]

The client is libnfs (Debian's libnfs13), which sends what a kernel's client sends for the command: `sed -i` reads all, makes a
file beside, writes it in blocks of 1 MiB, commits it, and renames it over the old. benches/mount.py measures the same through a
kernel, in a guest that is slow. Times are medians. Changes are synced to disk when they are answered.
"""

import argparse
import ctypes
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

PORT = 13049
BLOCK = 1 << 20


class Url(ctypes.Structure):
    _fields_ = [("server", ctypes.c_char_p), ("path", ctypes.c_char_p), ("file", ctypes.c_char_p)]


class Stat(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size")]
    _fields_ += [("more", ctypes.c_uint64 * 16)]


class Client:
    def __init__(self):
        self.library = ctypes.CDLL("libnfs.so.13")
        self.library.nfs_init_context.restype = ctypes.c_void_p
        self.library.nfs_get_error.restype = ctypes.c_char_p
        self.library.nfs_parse_url_dir.restype = ctypes.POINTER(Url)
        self.context = ctypes.c_void_p(self.library.nfs_init_context())
        url = f"nfs://127.0.0.1/?version=3&nfsport={PORT}&mountport={PORT}".encode()
        url = self.library.nfs_parse_url_dir(self.context, url).contents
        self.call("nfs_mount", url.server, url.path)

    def call(self, name, *arguments):
        result = getattr(self.library, name)(self.context, *arguments)
        if result < 0:
            sys.exit(f"{name}: {self.library.nfs_get_error(self.context).decode()}")
        return result

    def open(self, path, flags):
        file = ctypes.c_void_p()
        self.call("nfs_open", path.encode(), flags, ctypes.byref(file))
        return file

    def create(self, path):
        file = ctypes.c_void_p()
        self.call("nfs_creat", path.encode(), 0o644, ctypes.byref(file))
        return file

    def size(self, path):
        stat = Stat()
        self.call("nfs_stat64", path.encode(), ctypes.byref(stat))
        return stat.size

    def read(self, file, offset, length):
        buffer = ctypes.create_string_buffer(length)
        count = self.call("nfs_pread", file, ctypes.c_uint64(offset), ctypes.c_uint64(length), buffer)
        return buffer.raw[:count]

    def read_all(self, path):
        file, size = self.open(path, os.O_RDONLY), self.size(path)
        parts = [self.read(file, offset, BLOCK) for offset in range(0, size, BLOCK)]
        self.call("nfs_close", file)
        return b"".join(parts)

    def write_all(self, file, data):
        for offset in range(0, len(data), BLOCK):
            part = data[offset : offset + BLOCK]
            self.call("nfs_write", file, ctypes.c_uint64(len(part)), part)
        self.call("nfs_fsync", file)
        self.call("nfs_close", file)

    def list(self, path):
        folder = ctypes.c_void_p()
        self.call("nfs_opendir", path.encode(), ctypes.byref(folder))
        self.library.nfs_closedir(self.context, folder)

    def append(self, path, line):
        file = self.open(path, os.O_WRONLY | os.O_APPEND | os.O_SYNC)
        self.call("nfs_write", file, ctypes.c_uint64(len(line)), line)
        self.call("nfs_close", file)

    def part(self, path, last):
        size = self.size(path)
        file = self.open(path, os.O_RDONLY)
        self.read(file, max(0, size - 4096) if last else 0, min(size, 4096))
        self.call("nfs_close", file)

    def edit(self, path, folder):
        """As sed -i of one line."""
        data = self.read_all(path)
        place = data.index(b"\n50000,") + 1
        end = data.index(b"\n", place)
        changed = b"50000,changed%d,0.5" % random.randrange(1 << 30)
        beside = f"{folder}/sedAbCdEf"
        self.write_all(self.create(beside), data[:place] + changed + data[end:])
        self.call("nfs_rename", beside.encode(), path.encode())


class Server:
    def __init__(self, binary, lake, scratch):
        command = [binary, "serve", "nfs", str(lake), "--state", str(scratch / "state"), "--listen", f"127.0.0.1:{PORT}"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        while "Serving" not in self.process.stdout.readline():
            pass

    def resident(self):
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10

    def stop(self):
        self.process.terminate()
        self.process.wait()


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median(action, times=9):
    return statistics.median(seconds(action) for _ in range(times))


def shown(taken):
    return f"{taken:.2f} s" if taken >= 1 else f"{taken * 1000:.1f} ms"


def statement(binary, lake, sql):
    command = [binary, "--quiet", "--format", "csv", "--lake", str(lake), "-c", sql]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def make(binary, lake, table, rows):
    columns = "value AS id, 'name-' || (value * 7919 % 1000000) AS name, (value % 1000) / 8.0 AS x"
    statement(binary, lake, f"CREATE TABLE {table} AS SELECT {columns} FROM generate_series(1, {rows})")


def measure(client, table, rows):
    file = f"/{table}/data.csv"
    yield f"`cat`, the first time, {rows:,} rows", seconds(lambda: client.read_all(file))
    for command, action in {
        "`ls -l`": lambda: client.list(f"/{table}"),
        "`stat`": lambda: client.size(file),
        "`head -1`": lambda: client.part(file, last=False),
        "`tail -1`": lambda: client.part(file, last=True),
        "`echo >>`": lambda: client.append(file, b"99999999,appended,1.5\n"),
    }.items():
        yield f"{command}, {rows:,} rows", median(action)
    if rows <= 10_000_000:
        yield f"`sed -i` of one line, {rows:,} rows", median(lambda: client.edit(file, f"/{table}"), 3)


def overwrite(client, table, rows):
    """One row in rows / 10000 is left out, as by grep -v and cp."""
    file = f"/{table}/data.csv"
    header, *lines = client.read_all(file).splitlines(keepends=True)
    step = max(1, rows // 10_000)
    data = header + b"".join(line for number, line in enumerate(lines) if number % step)
    del lines

    def copy():
        client.write_all(client.open(file, os.O_WRONLY | os.O_TRUNC), data)

    return f"{len(range(0, rows, step)):,} of {rows:,} rows deleted by overwriting {len(data) >> 20} MiB", seconds(copy)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 50_000_000])
    parser.add_argument("--overwrite", type=int, default=30_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        lake = scratch / "lake"
        tables = {f"t{rows}": rows for rows in arguments.rows}
        for table, rows in tables.items():
            make(arguments.binary, lake, table, rows)
        if arguments.overwrite:
            make(arguments.binary, lake, "wide", arguments.overwrite)
        server = Server(arguments.binary, lake, scratch)
        try:
            client = Client()
            print("| requests of | time |\n|---|---:|")
            for table, rows in tables.items():
                for what, taken in measure(client, table, rows):
                    print(f"| {what} | {shown(taken)} |", flush=True)
            if arguments.overwrite:
                what, taken = overwrite(client, "wide", arguments.overwrite)
                print(f"| {what} | {shown(taken)} |")
                left = statement(arguments.binary, lake, "SELECT count(*) FROM wide").split()[-1]
                print(f"\n{left} rows are left; the server had at most {server.resident()} MiB.")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
