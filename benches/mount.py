"""Measures the mount through a Linux kernel's NFS client, beside plain files served by nfs-ganesha, and prints a table in Markdown.

Usage: mount.py PATH-OF-POSIXLAKE [--memory MIB]

The client is a guest (User-Mode Linux, see tests/nfs/guest.py), the servers run on the machine itself, and a tap device is
between them: it needs root, and nfs-ganesha with nfs-ganesha-vfs and rpcbind. Each time is the guest's, and the median of its
repetitions. A guest is slow to start processes, so that commands which only look are measured twice: as commands, and as the
system calls of the command in a program that runs already.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "nfs"))

from guest import Guest

HOST, GUEST, TAP = "10.77.0.1", "10.77.0.2", "posixlake0"
PORT, GANESHA_PORT = 12049, 20490
AT, PLAIN = "/mnt/lake", "/mnt/plain"
SYNC, LAZY = "lookupcache=none,sync", "lookupcache=none"
FORGET = "sync; echo 3 > /proc/sys/vm/drop_caches"
SMALL, BIG, WIDE, HUGE = 1_000_000, 10_000_000, 30_000_000, 50_000_000
SED = "sed -i 's/^50000,[^,]*/50000,changed'$RANDOM'/' {}"

#: Runs in the guest: one look after another as the command would, from a program that has started.
LOOKS = """
import os, statistics, sys, time
def part(offset, whence):
    file = os.open("data.csv", os.O_RDONLY)
    os.lseek(file, offset, whence)
    os.read(file, 4096)
    os.close(file)
looks = {
    "ls -l": lambda: [os.lstat(name) for name in os.listdir(".")],
    "stat": lambda: os.lstat("data.csv"),
    "head -1": lambda: part(0, os.SEEK_SET),
    "tail -1": lambda: part(-4096, os.SEEK_END),
}
for name, look in looks.items():
    times = []
    for _ in range(9):
        start = time.perf_counter()
        look()
        times.append(time.perf_counter() - start)
        time.sleep(0.01)
    print(name, statistics.median(times), sep=",")
"""

GANESHA = """
NFS_CORE_PARAM {{ NFS_Port = {port}; MNT_Port = {mount}; Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; }}
EXPORT {{ Export_Id = 1; Path = {folder}; Pseudo = {folder}; Protocols = 3; Access_Type = RW; Squash = No_Root_Squash;
          SecType = sys; Transports = TCP; FSAL {{ Name = VFS; }} }}
"""


def shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def table(rows: int) -> str:
    return f"t{rows}"


@contextlib.contextmanager
def tap():
    subprocess.run(["ip", "tuntap", "add", "dev", TAP, "mode", "tap", "vnet_hdr"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", f"{HOST}/24", "dev", TAP], check=True)
        subprocess.run(["ip", "link", "set", TAP, "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "del", TAP], check=True)


@contextlib.contextmanager
def running(*command, **more):
    process = subprocess.Popen(command, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Lake:
    """The lake, and its server on this machine."""

    def __init__(self, program: str, folder: pathlib.Path) -> None:
        self.program, self.folder = program, folder
        for rows in (SMALL, BIG, WIDE, HUGE):
            columns = "value AS id, 'name-' || (value * 7919 % 1000000) AS name, (value % 1000) / 8.0 AS x"
            self.sql(f"CREATE TABLE {table(rows)} AS SELECT {columns} FROM generate_series(1, {rows})")

    def sql(self, *statements: str) -> str:
        command = [self.program, "--quiet", "--format", "csv", "--lake", self.folder / "lake", "-c", "; ".join(statements)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def serve(self):
        where = ["--listen", f"{HOST}:{PORT}", "--client", f"{GUEST}/32", "--state", self.folder / "state"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        return running(self.program, "serve", "nfs", self.folder / "lake", *where, stdout=subprocess.DEVNULL, env=environment)

    def copy(self, rows: int, file: pathlib.Path) -> float:
        """Seconds that `COPY TO` a CSV takes on one core, with the start of the process."""
        # One partition alone would not do: rows are decoded and written by several tasks.
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        start = time.perf_counter()
        self.sql("SET datafusion.execution.target_partitions = 1", f"COPY (SELECT * FROM {table(rows)}) TO '{file}'")
        seconds = time.perf_counter() - start
        os.sched_setaffinity(0, cores)
        return seconds


class Bench:
    def __init__(self, guest: Guest, lake: Lake, server: subprocess.Popen) -> None:
        self.guest, self.lake, self.server = guest, lake, server

    def mount(self, options: str) -> None:
        """Mounts the lake and the plain files."""
        self.guest.run(f"umount -l {AT} {PLAIN} 2>/dev/null", check=False)
        self.guest.mount(AT, PORT, options, server=HOST)
        options += f",mountport={GANESHA_PORT + 1}"
        self.guest.mount(PLAIN, GANESHA_PORT, options, path=str(self.lake.folder / "plain"), server=HOST)

    def once(self, command: str, where: str, before: str = ":") -> float:
        """Seconds that a command takes in a folder of the guest's."""
        timed = f"cd {where}; {before}; start=$EPOCHREALTIME; {{ {command}; }} || exit 1; end=$EPOCHREALTIME; echo $((${{end/./}} - ${{start/./}})) >&3"
        return int(self.guest.run(f"{{ {timed}; }} 3>&1 >/dev/null", timeout=1800).stdout.split()[-1]) / 1e6

    def median(self, command: str, where: str, times: int = 5, before: str = ":") -> float:
        return statistics.median(self.once(command, where, before) for _ in range(times))

    def python(self, script: str, where: str) -> str:
        file = self.guest.folder / "script.py"
        file.write_text(script)
        return self.guest.run(f"cd {where} && python3 {file}", timeout=600).stdout

    def resident(self) -> int:
        """The most memory that the server has had, in MiB."""
        lines = pathlib.Path(f"/proc/{self.server.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10

    def reading(self):
        cold = self.once("cat data.csv", f"{AT}/{table(BIG)}")
        resident = self.resident()
        file = self.lake.folder / "plain" / "data.csv"
        copy = self.lake.copy(BIG, file)
        beside = f"`COPY TO` on one core {shown(copy)} ({copy / cold:.2f} of its rate); at most {resident} MiB resident"
        yield f"first `cat`, {BIG:,} rows", cold, beside
        warm = self.median("cat data.csv", f"{AT}/{table(BIG)}", 5, FORGET)
        plain = self.median("cat data.csv", PLAIN, 5, FORGET)
        yield f"`cat`, {file.stat().st_size >> 20} MiB, warm", warm, f"nfs-ganesha {shown(plain)} ({plain / warm:.2f} of its rate)"

    def looking(self, rows: int):
        where = f"{AT}/{table(rows)}"
        self.guest.run(f"cd {where} && head -1 data.csv && tail -1 data.csv", timeout=600)
        calls = dict(line.split(",") for line in self.python(LOOKS, where).splitlines())
        for command, seconds in calls.items():
            whole = self.median(f"{command} data.csv", where)
            yield f"`{command}`, {rows:,} rows", float(seconds), f"with the process {shown(whole)}"

    def appending(self, rows: int):
        command = "echo 99999999,appended,1.5 >> data.csv"
        yield f"`echo >>`, {rows:,} rows", self.median(command, f"{AT}/{table(rows)}", 25), f"nfs-ganesha {shown(self.median(command, PLAIN, 25))}"

    def editing(self):
        where = f"{AT}/{table(SMALL)}"
        self.lake.copy(SMALL, self.lake.folder / "plain" / "small.csv")
        self.guest.run(f"cp {PLAIN}/small.csv /tmp")
        local = self.median(SED.format("small.csv"), "/tmp", 3)
        for options in (LAZY, SYNC):
            self.mount(options)
            plain = self.median(SED.format("small.csv"), PLAIN, 3)
            beside = f"nfs-ganesha {shown(plain)}, a file in the guest's memory {shown(local)}"
            yield f"`sed -i` of one line, {SMALL:,} rows, `{options}`", self.median(SED.format("data.csv"), where, 3), beside

    def deleting(self):
        """One row in 3000 is left out."""
        where, fewer = f"{AT}/{table(WIDE)}", self.guest.folder / "fewer.csv"
        self.guest.run(f"cd {where} && awk -F, '$1 % 3000 != 7' data.csv > {fewer}", timeout=1800)
        whole = self.once(f"cp {fewer} data.csv", where)
        left = int(self.lake.sql(f"SELECT count(*) FROM {table(WIDE)}").split()[-1])
        assert left == WIDE - WIDE // 3000, left
        yield f"{WIDE // 3000:,} of {WIDE:,} rows deleted by overwriting {fewer.stat().st_size >> 20} MiB", whole, f"at most {self.resident()} MiB resident"

    def run(self):
        self.mount(SYNC)
        yield "`true`", self.median("/bin/true", "/"), "what the guest takes to start a process"
        yield from self.reading()
        for rows in (SMALL, HUGE):
            yield from self.looking(rows)
        for rows in (SMALL, HUGE):
            yield from self.appending(rows)
        yield from self.editing()
        yield from self.deleting()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("--memory", type=int, default=2000, help="the guest's, in MiB")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="posixlake-mount-")))
        lake = Lake(str(pathlib.Path(arguments.program).resolve()), folder)
        (folder / "plain").mkdir()
        (folder / "ganesha.conf").write_text(GANESHA.format(port=GANESHA_PORT, mount=GANESHA_PORT + 1, folder=folder / "plain"))
        stack.enter_context(tap())
        subprocess.run(["rpcbind"], check=False)
        pathlib.Path("/run/ganesha").mkdir(exist_ok=True)
        ganesha = ["ganesha.nfsd", "-F", "-f", folder / "ganesha.conf", "-L", folder / "ganesha.log", "-p", folder / "ganesha.pid"]
        stack.enter_context(running(*ganesha))
        server = stack.enter_context(lake.serve())
        guest = Guest(folder / "guest", arguments.memory, (f"vec0:transport=tap,ifname={TAP},depth=128,gro=1",))
        stack.callback(guest.stop)
        guest.run(f"ip addr add {GUEST}/24 dev vec0; ip link set vec0 up")
        time.sleep(5)
        print("| work | posixlake | beside |\n|---|---:|---|")
        for what, seconds, beside in Bench(guest, lake, server).run():
            print(f"| {what} | {shown(seconds)} | {beside} |", flush=True)


main()
