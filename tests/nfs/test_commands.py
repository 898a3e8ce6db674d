"""`posixlake mount`, `unmount` and `status`, as root and as others."""

import os
import shlex

import pytest


@pytest.fixture
def machine(large_guest, request):
    """A lake and a shell for the program; what it left behind is ended afterwards."""
    name = "".join(sign if sign.isalnum() else "-" for sign in request.node.name)[:60]
    machine = Machine(large_guest, large_guest.folder / "commands" / name)
    yield machine
    machine.guest.run(f"umount -f -l {machine.at}; pkill -9 -f -- {shlex.quote(str(machine.folder))}", check=False)


class Machine:
    def __init__(self, guest, folder) -> None:
        self.guest, self.folder = guest, folder
        folder.mkdir(parents=True)
        self.program = os.environ["POSIXLAKE_BIN"]
        self.lake, self.at = folder / "lake", f"/mnt/{folder.name}"
        self.posixlake(f"--quiet --lake {self.lake} -c \"CREATE TABLE t AS SELECT 1 AS a\"")

    def posixlake(self, arguments: str, check: bool = True, before: str = "", after: str = ""):
        environment = {"XDG_STATE_HOME": str(self.folder / "state"), "XDG_CACHE_HOME": str(self.folder / "cache"), "HOME": str(self.folder)}
        return self.guest.run(f"{before} {self.program} {arguments} {after}", environment=environment, check=check)

    def servers(self) -> int:
        return int(self.guest.run(f"pgrep -f -c -- 'serve nfs {self.lake}'", check=False).stdout)


def test_mount_and_unmount(machine):
    assert machine.posixlake("status").stdout == "no lake is mounted or served\n"
    mounted = machine.posixlake(f"mount {machine.lake} {machine.at} --listen 127.0.0.1:13049")
    assert f"{machine.lake} is mounted on {machine.at} (served at 127.0.0.1:13049, process " in mounted.stdout
    assert machine.guest.run(f"echo 2 >> {machine.at}/t/data.csv; cat {machine.at}/t/data.csv").stdout == "a\n1\n2\n"
    status = machine.posixlake("status").stdout
    assert f"{machine.lake} on {machine.at}, served at 127.0.0.1:13049 by process " in status
    assert "no edit is pending" in status
    machine.guest.run(f"printf 'a\\n1\\n' > {machine.at}/t/data.csv")
    assert "pending: \"t\" by 127.0.0.1" in machine.posixlake("status").stdout
    again = machine.posixlake(f"mount {machine.lake} {machine.at}", check=False)
    assert again.code != 0 and f"something is mounted on {machine.at} already: posixlake unmount {machine.at}" in again.stderr
    in_use = machine.posixlake(f"unmount {machine.at}", check=False, before=f"cd {machine.at} &&")
    assert in_use.code != 0 and "busy" in in_use.stderr and "fuser -vm" in in_use.stderr
    machine.posixlake(f"unmount {machine.at}")
    assert machine.servers() == 0
    assert machine.posixlake("status").stdout == "no lake is mounted or served\n"
    # The pending edit was applied when the server ended.
    assert machine.posixlake(f"--quiet --format csv --lake {machine.lake} -c 'SELECT * FROM t'").stdout == "a\n1\n"
    nothing = machine.posixlake(f"unmount {machine.at}", check=False)
    assert nothing.code != 0 and f"nothing is mounted on {machine.at}; posixlake status lists the mounts" in nothing.stderr


def test_mount_in_the_foreground(machine):
    program = machine.guest.start(
        f"exec {machine.program} mount {machine.lake} {machine.at} --foreground --state {machine.folder}/elsewhere --listen 127.0.0.1:13050",
        {"XDG_STATE_HOME": str(machine.folder / "state"), "XDG_CACHE_HOME": str(machine.folder / "cache")},
    )
    program.wait_for("is mounted on")
    assert machine.guest.run(f"cat {machine.at}/t/data.csv").stdout == "a\n1\n"
    assert "served at 127.0.0.1:13050" in machine.posixlake("status").stdout
    machine.guest.run(f"kill -INT {program.pid}")
    assert program.wait(60).code == 0
    assert machine.servers() == 0
    assert machine.guest.run(f"grep -c ' {machine.at} ' /proc/mounts", check=False).stdout == "0\n"


def test_what_is_in_the_way_is_said(machine):
    user = machine.posixlake(f"mount {machine.lake} /tmp/m", check=False, before="setpriv --reuid 1000 --clear-groups")
    assert user.code != 0 and "mounting needs root: run it with sudo" in user.stderr
    assert f"posixlake serve nfs {machine.lake}" in user.stderr
    none = f"unshare -m bash -c 'mount -t tmpfs tmpfs /usr/sbin; {machine.program} mount {machine.lake} {machine.at}'"
    missing = machine.guest.run(none, check=False)
    assert missing.code != 0 and "this machine has no NFS client" in missing.stderr and "apt install nfs-common" in missing.stderr
    taken = machine.guest.start("exec python3 -c \"import socket, time; s = socket.create_server(('127.0.0.1', 13051)); print('bound', flush=True); time.sleep(60)\"")
    taken.wait_for("bound")
    refused = machine.posixlake(f"mount {machine.lake} {machine.at} --listen 127.0.0.1:13051", check=False)
    taken.kill()
    assert refused.code != 0 and "the server did not start" in refused.stderr and "in use" in refused.stderr
    assert "server.log" in refused.stderr
    absent = machine.posixlake(f"mount {machine.folder}/nothing {machine.at} --client nonsense", check=False)
    assert absent.code != 0 and "nonsense" in absent.stderr
    assert machine.servers() == 0


def test_without_mounting(machine):
    program = machine.guest.start(f"exec {machine.program} serve nfs {machine.lake} --listen 127.0.0.1:13052", {"HOME": str(machine.folder)})
    program.wait_for("Windows")
    shown = program.stdout()
    line = next(line for line in shown.splitlines() if line.strip().startswith("Linux"))
    command = line.split(None, 1)[1].replace("/mnt/lake", machine.at)
    machine.guest.run(f"mkdir -p {machine.at}; {command}")
    assert machine.guest.run(f"cat {machine.at}/t/data.csv").stdout == "a\n1\n"
    machine.guest.run(f"umount {machine.at}")
    assert program.kill(15).code == 0
