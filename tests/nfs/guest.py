"""A real NFS client: a Linux kernel as an ordinary process (User-Mode Linux), whose root is the host's, read-only.

The server under test runs in the guest too, on loopback, so that tests can kill it, start it again and mount it as often as they like without rights on
the host. `Guest.folder` is the same folder at the same path in the guest and on the host.

The kernel is Debian's `linux.uml`, or the one in the folder that POSIXLAKE_UML names (`.ci/uml` makes one).
"""

import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

HERE = pathlib.Path(__file__).parent

#: A folder with another kernel and its modules, which the guest must see: not below /tmp, /run or /mnt.
OWN = os.environ.get("POSIXLAKE_UML")
KERNEL, MODULES = (f"{OWN}/linux.uml", f"{OWN}/modules") if OWN else ("linux.uml", "/usr/lib/uml/modules")

#: What commands need, with the Debian package that has it.
PROGRAMS = {KERNEL: "user-mode-linux", "mount.nfs": "nfs-common", "insmod": "kmod", "ip": "iproute2"}

#: Path of programs that only root has on its own.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str | None:
    """Why there can be no guest here, or nothing."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"User-Mode Linux needs Linux on x86_64, not {platform.system()} on {platform.machine()}"
    lacking = sorted(package for program, package in PROGRAMS.items() if not shutil.which(program, path=PATH))
    if lacking:
        return f"needs Debian's packages: {' '.join(lacking)} (.ci/packages installs them)"
    return None


class CommandFailed(AssertionError):
    """A command in the guest that should have succeeded did not."""


@dataclass(frozen=True)
class Result:
    """What came of a command."""

    command: str
    stdout: str
    stderr: str
    code: int

    def check(self) -> "Result":
        if self.code != 0:
            raise CommandFailed(f"{self.command}\nexit code {self.code}\n{self.stdout}{self.stderr}")
        return self


class Process:
    """A command that runs in the guest."""

    def __init__(self, guest: "Guest", number: int, command: str) -> None:
        self.guest, self.number, self.command = guest, number, command
        self.pid = int(guest.answer(f"{number}.pid", 60, command))

    def stdout(self) -> str:
        return self.guest.text(f"{self.number}.out")

    def stderr(self) -> str:
        return self.guest.text(f"{self.number}.err")

    def running(self) -> bool:
        return not (self.guest.folder / f"{self.number}.code").exists()

    def wait(self, timeout: float = 120) -> Result:
        code = int(self.guest.answer(f"{self.number}.code", timeout, self.command))
        return Result(self.command, self.stdout(), self.stderr(), code)

    def wait_for(self, text: str, timeout: float = 30) -> None:
        """Until it has printed `text`."""
        end = time.monotonic() + timeout
        while text not in self.stdout():
            if not self.running() or time.monotonic() > end:
                raise CommandFailed(f"{self.command} did not print {text!r}:\n{self.stdout()}{self.stderr()}")
            time.sleep(0.01)

    def kill(self, with_signal: int = signal.SIGKILL, timeout: float = 30) -> Result:
        """Sends a signal to the command and all that it started, and waits for its end."""
        self.guest.run(f"kill -{int(with_signal)} -- -{self.pid}", check=False)
        return self.wait(timeout)


class Guest:
    """A guest from its boot to its end; `memory` in MiB, `arguments` more of its kernel's."""

    def __init__(self, folder: pathlib.Path, memory: int = 512, arguments: tuple[str, ...] = ()) -> None:
        reason = missing()
        if reason:
            raise RuntimeError(reason)
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        for script in ("guest.sh", "agent.py"):
            shutil.copy(HERE / script, self.folder)
        self.next = 0
        self.console = self.folder / "console"
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                [
                    KERNEL,
                    f"mem={memory}M",
                    "rootfstype=hostfs",
                    "rootflags=/",
                    "ro",
                    f"init={self.folder / 'guest.sh'}",
                    f"guest_folder={self.folder}",
                    f"guest_modules={MODULES}",
                    "seccomp=auto",  # System calls without ptrace, where the kernel knows how.
                    f"uml_dir={self.folder}",
                    "umid=guest",
                    "con=null",
                    "con0=null,fd:1",
                    "con1=null,fd:1",
                    "quiet",
                    "loglevel=3",
                    "panic=1",
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": PATH},
                start_new_session=True,
            )
        self.kernel = self.answer("ready", 120, "boot")

    def text(self, name: str) -> str:
        file = self.folder / name
        return file.read_text(errors="replace") if file.exists() else ""

    def answer(self, name: str, timeout: float, command: str) -> str:
        """The agent's answer, when it comes."""
        end = time.monotonic() + timeout
        file = self.folder / name
        while not file.exists():
            if self.process.poll() is not None:
                raise CommandFailed(f"the guest ended during: {command}\n{self.text('console')}")
            if time.monotonic() > end:
                raise CommandFailed(f"no end after {timeout} s: {command}\n{self.text('console')}")
            time.sleep(0.002)
        return file.read_text()

    def start(self, command: str, environment: dict[str, str] | None = None) -> Process:
        """Starts a shell command."""
        number = self.next
        self.next += 1
        part = self.folder / f"{number}.part"
        part.write_text(json.dumps({"command": command, "environment": environment or {}}))
        part.rename(self.folder / f"{number}.json")
        return Process(self, number, command)

    def run(self, command: str, timeout: float = 120, check: bool = True, environment: dict[str, str] | None = None) -> Result:
        """Runs a shell command; what it prints is best kept below some MiB."""
        result = self.start(command, environment).wait(timeout)
        return result.check() if check else result

    def give(self, file: pathlib.Path) -> pathlib.Path:
        """A copy of a file of the host's where the guest sees it, whatever it has mounted over the host's folders."""
        return pathlib.Path(shutil.copy(file, self.folder))

    def mount(self, where: str, port: int, options: str = "", path: str = "/", server: str = "127.0.0.1") -> None:
        """Mounts what a server has, by default one on the guest's loopback."""
        base = f"vers=3,tcp,nolock,hard,port={port},mountport={port},mountproto=tcp"
        self.run(f"mkdir -p {where}; mount.nfs {server}:{path} {where} -o {base}{',' if options else ''}{options}")

    def unmount(self, where: str, check: bool = True) -> None:
        self.run(f"umount {where}", check=check)

    def abandon(self, where: str) -> None:
        """Unmounts although the server does not answer."""
        self.run(f"umount -f -l {where}", check=False)

    def drop_caches(self) -> None:
        """Makes the client forget what it can: pages, names, attributes."""
        self.run("sync; echo 3 > /proc/sys/vm/drop_caches")

    def stop(self) -> None:
        if self.process.poll() is None:
            (self.folder / "stop").touch()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(60)
