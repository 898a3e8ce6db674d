"""Measures the mount through a Linux kernel's NFS client, beside a plain file served by nfs-ganesha, and prints a table in Markdown.

Usage: mount.py PATH-OF-POSIXLAKE [--rows N] [--memory MIB]

Everything runs in one guest (User-Mode Linux, one processor; see tests/nfs/guest.py): client, server, and nfs-ganesha with its
file on a tmpfs (Debian's nfs-ganesha and nfs-ganesha-vfs; left out where they are missing). Times are the guest's, of the
command alone; each is the median of its repetitions. Processes start slowly in a guest: `true` says how slowly.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "nfs"))

from guest import PATH, Guest
from mounted import Mounted

GANESHA = """
NFS_CORE_PARAM { NFS_Port = 20490; MNT_Port = 20491; Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; }
EXPORT { Export_Id = 1; Path = /mnt/plain; Pseudo = /mnt/plain; Protocols = 3; Access_Type = RW; Squash = No_Root_Squash;
         SecType = sys; Transports = TCP; FSAL { Name = VFS; } }
"""
FORGET = "echo 3 > /proc/sys/vm/drop_caches"


class Bench:
    def __init__(self, program: str, rows: int, memory: int) -> None:
        self.rows = rows
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="posixlake-mount-"))
        self.guest = Guest(self.folder / "guest", memory)
        self.lines: list[tuple[str, str, str]] = []
        lake = self.guest.folder / "lakes" / "bench"
        for table, count in (("big", rows), ("small", 1_000_000)):
            columns = "value AS id, 'name-' || (value * 7919 % 1000000) AS name, (value % 1000) / 8.0 AS x"
            statement = f"CREATE TABLE {table} AS SELECT {columns} FROM generate_series(1, {count})"
            subprocess.run([program, "--quiet", "--lake", lake / "lake", "-c", statement], check=True, stdout=subprocess.DEVNULL)
        self.lake = Mounted(self.guest, lake, program, arguments="")
        self.program = program

    def once(self, command: str, before: str = "") -> float:
        """Seconds that a command takes at the mount's root."""
        timed = f"{before or ':'}; start=$EPOCHREALTIME; {{ {command}; }} || exit 1; end=$EPOCHREALTIME; echo $((${{end/./}} - ${{start/./}})) >&3"
        result = self.lake.run(f"{{ {timed}; }} 3>&1 >/dev/null", timeout=1800)
        return int(result.stdout.split()[-1]) / 1e6

    def median(self, command: str, times: int = 5, before: str = "") -> float:
        return statistics.median(self.once(command, before) for _ in range(times))

    def note(self, what: str, seconds: float, against: str = "") -> None:
        shown = f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        print(f"{what}: {shown} {against}", file=sys.stderr, flush=True)
        self.lines.append((what, shown, against))

    def resident(self) -> int:
        """The most memory that the server has had, in MiB."""
        assert self.lake.server
        return int(self.guest.run(f"grep VmHWM /proc/{self.lake.server.pid}/status").stdout.split()[1]) >> 10

    def run(self) -> None:
        self.note("`true`", self.median("/bin/true"))
        millions = f"{self.rows / 1e6:g} M rows"
        cold = self.once("cat big/data.csv")
        resident = self.resident()
        size = int(self.lake.out("stat -c %s big/data.csv"))
        out = "/mnt/copied.csv"
        settings = "SET datafusion.execution.target_partitions = 1"
        copy = self.once(f"{self.program} --quiet --lake {self.lake.lake} -c '{settings}; COPY (SELECT * FROM big) TO \"{out}\"'".replace('"', "'\\''"))
        self.note(f"first `cat`, {millions}", cold, f"COPY TO on one core {copy:.2f} s ({copy / cold:.2f}); at most {resident} MiB resident")
        warm = self.median("cat big/data.csv", 3, FORGET)
        plain = self.plain(out)
        against = f"nfs-ganesha {plain:.2f} s ({plain / warm:.2f})" if plain else ""
        self.note(f"`cat`, {size >> 20} MiB, warm", warm, f"{size / warm / 1e6:.0f} MB/s; {against}")
        self.guest.run(f"rm -f {out}")
        for table in ("small", "big"):
            rows = "1 M rows" if table == "small" else millions
            self.lake.cat(".status")
            self.lake.run(f"head -1 {table}/data.csv; tail -1 {table}/data.csv")
            for command in ("ls -l {}", "stat {}", "head -1 {}", "tail -1 {}"):
                self.note(f"`{command.format('data.csv')}`, {rows}", self.median(command.format(f"{table}/data.csv")))
            self.note(f"`echo >>`, {rows}", self.median(f"echo 99999999,appended,1.5 >> {table}/data.csv", 9))
            edit = f"sed -i 's/^50000,[^,]*/50000,changed'$RANDOM'/' {table}/data.csv"
            self.note(f"`sed -i` of one line, {rows}", self.median(edit, 3))
            self.lake.remount(self.lake.options.replace("sync", "write=wait"))
            self.note(f"`sed -i` of one line, {rows}, `write=wait`", self.median(edit, 3))
            self.lake.remount()
        few = "awk -F, 'NR == 1 || $1 % 1000 != 7' big/data.csv > /mnt/fewer.csv"
        self.lake.run(few, timeout=1800)
        self.note(f"one row in 1000 deleted by overwriting, {millions}", self.once("cp /mnt/fewer.csv big/data.csv"))
        counted = int(self.lake.sql("SELECT count(*) FROM big")[0][0])
        expected = int(self.guest.run("wc -l < /mnt/fewer.csv").stdout) - 1
        assert counted == expected, f"{counted} rows instead of {expected}"
        self.note("most memory that the server had, in all", 0, f"{self.resident()} MiB")

    def plain(self, file: str) -> float | None:
        """Seconds for the same bytes as a plain file from nfs-ganesha."""
        if not shutil.which("ganesha.nfsd", path=PATH):
            return None
        (self.guest.folder / "ganesha.conf").write_text(GANESHA)
        prepare = f"mkdir -p /run/ganesha /mnt/plain /mnt/ganesha; mount -t tmpfs tmpfs /var/lib/nfs; mount -t tmpfs -o size=90% tmpfs /mnt/plain; cp {file} /mnt/plain/data.csv; rpcbind"
        self.guest.run(prepare, timeout=600)
        server = self.guest.start(f"exec ganesha.nfsd -F -f {self.guest.folder}/ganesha.conf -L {self.guest.folder}/ganesha.log -p /run/ganesha.pid")
        options = "vers=3,tcp,nolock,hard,port=20490,mountport=20491,mountproto=tcp"
        for _ in range(60):
            if self.guest.run(f"mount.nfs 127.0.0.1:/mnt/plain /mnt/ganesha -o {options},{self.lake.options}", check=False).code == 0:
                break
        seconds = self.median("cat /mnt/ganesha/data.csv", 3, FORGET)
        self.guest.run("umount -f -l /mnt/ganesha")
        server.kill(9)
        self.guest.run("umount /mnt/plain")
        return seconds

    def end(self) -> None:
        self.lake.close()
        self.guest.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", type=int, default=6000)
    arguments = parser.parse_args()
    bench = Bench(str(pathlib.Path(arguments.program).resolve()), arguments.rows, arguments.memory)
    try:
        bench.run()
    finally:
        bench.end()
    print("| work | posixlake | beside |\n|---|---|---|")
    for line in bench.lines:
        print(f"| {' | '.join(line)} |")


main()
