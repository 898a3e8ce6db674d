"""A lake that is served in the guest and mounted there by the kernel's own NFS client."""

import csv
import io
import pathlib
import shlex
import subprocess
import time
from collections.abc import Callable

from guest import CommandFailed, Guest, Process, Result

#: What `posixlake mount` mounts with.
OPTIONS = "lookupcache=none,sync"
#: Tests wait less for silence than people would.
PATIENCE = "--silence 1.5 --grace 1"
PORT = 12049
#: An address of the same server for which the kernel is another client: it has one client an address.
OTHER = "127.0.0.2"


class Mounted:
    """`folder/lake` is the lake, `self.at` where it is mounted in the guest."""

    def __init__(self, guest: Guest, folder: pathlib.Path, program: str, options: str = OPTIONS, arguments: str = PATIENCE) -> None:
        self.guest, self.folder, self.program, self.options, self.arguments = guest, folder, program, options, arguments
        self.lake = folder / "lake"
        self.state = folder / "state"
        self.at = f"/mnt/{folder.name}"
        self.lake.mkdir(parents=True, exist_ok=True)
        self.server: Process | None = None
        self.start()
        self.mount()

    def start(self, more: dict[str, str] | None = None) -> None:
        """Starts the server, with more in its environment."""
        command = f"exec {self.program} serve nfs {self.lake} --state {self.state} --listen 127.0.0.1:{PORT} --listen {OTHER}:{PORT} {self.arguments}"
        environment = {"XDG_CACHE_HOME": str(self.folder / "cache"), "POSIXLAKE_LOG": "warn", "RUST_BACKTRACE": "1", **(more or {})}
        self.server = self.guest.start(command, environment)
        self.server.wait_for("Serving", 60)

    def kill(self) -> None:
        """kill -9 of the server."""
        assert self.server
        if self.server.running():
            self.server.kill(9)
        self.server = None

    def stop(self) -> Result:
        """Ends the server as a person would."""
        assert self.server
        server, self.server = self.server, None
        return server.kill(15)

    def mount(self, where: str = "", options: str | None = None) -> None:
        self.guest.mount(where or self.at, PORT, self.options if options is None else options)

    def remount(self, options: str | None = None) -> None:
        self.guest.unmount(self.at)
        self.mount(options=options)

    def close(self) -> None:
        self.guest.run(f"umount -f -l {self.at}", check=False)
        if self.server and self.server.running():
            self.server.kill(9)
        assert "internal error" not in self.log(), self.log()

    def log(self) -> str:
        return self.server.stderr() if self.server else ""

    def run(self, command: str, check: bool = True, timeout: float = 60) -> Result:
        """Runs a shell command at the mount's root."""
        return self.guest.run(f"cd {self.at} && {command}", timeout=timeout, check=check)

    def out(self, command: str) -> str:
        return self.run(command).stdout

    def cat(self, file: str) -> str:
        return self.out(f"cat {shlex.quote(file)}")

    def write(self, file: str, text: str) -> None:
        """Puts a file in the guest's /tmp."""
        (self.guest.folder / "input").write_text(text)
        self.guest.run(f"install -D {self.guest.folder / 'input'} {shlex.quote(file)}")

    def sql(self, statement: str) -> list[list[str]]:
        """Runs a statement beside the server, on the host (processes start slowly in the guest): its rows as texts, without the header."""
        command = [self.program, "--quiet", "--format", "csv", "--lake", self.lake, "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise CommandFailed(f"{statement}\n{done.stdout}{done.stderr}")
        return list(csv.reader(io.StringIO(done.stdout)))[1:]

    def until(self, holds: Callable[[], bool], timeout: float = 20) -> None:
        """Waits for what the server does by itself."""
        end = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < end, f"not after {timeout} s"
            time.sleep(0.1)

    def version(self, table: str) -> int:
        return int(self.sql(f"SELECT current_version('{table}')")[0][0])
