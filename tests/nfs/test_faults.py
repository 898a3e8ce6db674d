"""What goes wrong between a client and a server."""

import pathlib
import resource
import signal
import socket
import struct
import time

import pytest

from guest import Guest
from mounts import Mount, example

HERE = pathlib.Path(__file__).parent

#: Numbers of procedures, and what makes the client call them.
CALLS = {
    "SETATTR": (2, "chmod 600 a; stat -c %a a", "600"),
    "WRITE": (7, "echo more >> a; cat a", "text\nmore"),
    "CREATE": (8, "touch b; ls", "a\nb\nd"),
    "MKDIR": (9, "mkdir e; ls", "a\nd\ne"),
    "SYMLINK": (10, "ln -s a l; readlink l", "a"),
    "REMOVE": (12, "rm a; ls", "d"),
    "RMDIR": (13, "rmdir d; ls", "a"),
    "RENAME": (14, "mv a b; ls", "b\nd"),
    "COMMIT": (21, "head -c 3000000 /dev/zero > c; wc -c < c", "3000000"),
    "READ": (6, "echo 3 > /proc/sys/vm/drop_caches; cat a", "text"),
}


@pytest.mark.parametrize("procedure", CALLS)
def test_a_reply_that_is_lost_with_its_connection(guest: Guest, procedure: str) -> None:
    """The call was done; the client repeats it on a new connection, and must not see it fail."""
    number, command, expected = CALLS[procedure]
    mount = Mount(guest)
    mount.run("echo text > a; mkdir d")
    port = mount.port + 20000
    flag = f"/tmp/swallow-{port}"
    proxy = guest.start(f"exec python3 {guest.give(HERE / 'proxy.py')} {port} {mount.port} {flag}")
    proxy.wait_for("ready")
    guest.mount("/mnt/proxy", port, "nosharecache")
    begun = time.monotonic()
    result = guest.run(f"cd /mnt/proxy && ls -l >/dev/null && echo {number} > {flag} && {{ {command}; }}", timeout=120)
    took = time.monotonic() - begun
    assert "swallowed a reply" in proxy.stdout()
    assert result.stdout.strip() == expected
    assert took < 20, f"{took} s"
    guest.unmount("/mnt/proxy")
    proxy.kill()
    mount.end()


def test_a_server_that_pauses(mount: Mount) -> None:
    """Nothing is lost, and nothing done twice."""
    pid = mount.server.pid
    program = """
import os
for number in range(300):
    with open("log", "a") as log:
        print(number, file=log)
    os.mkdir(f"d{number}")
"""
    writer = mount.guest.start(f"cd {mount.path}; exec python3 -c '{program}'")
    for _ in range(3):
        mount.guest.run(f"sleep 0.1; kill -STOP {pid}; sleep 1; kill -CONT {pid}")
    assert writer.wait(120).check().stdout == ""
    assert mount.run("sort -n log | uniq | wc -l; ls -d d* | wc -l").stdout.split() == ["300", "300"]


def test_a_server_that_is_killed_and_started_again(mount: Mount) -> None:
    """Its files are gone with it, as they were in memory: old handles are stale, a new mount is good."""
    mount.run("echo text > a")
    mount.crash()
    waiting = mount.guest.start(f"cat {mount.path}/a")
    mount.serve()
    result = waiting.wait()
    assert result.code != 0 and ("Stale" in result.stderr or "No such file" in result.stderr), result
    mount.guest.abandon(mount.path)
    mount.guest.mount(mount.path, mount.port)
    assert mount.run("ls; echo new > b; cat b").stdout == "new\n"


def test_a_server_that_runs_out_of_descriptors(guest: Guest) -> None:
    """It accepts again when connections end."""
    port = 39999
    server = guest.start(f"ulimit -n 64; exec {example('memory')} 127.0.0.1:{port}")
    server.wait_for("listening on")
    connect = f"socket.create_connection(('127.0.0.1', {port}), 2)"
    guest.run(f'python3 -c "import socket, time; held = [{connect} for _ in range(150)]; time.sleep(1)"')
    guest.mount("/mnt/few", port)
    guest.run("echo x > /mnt/few/a; cat /mnt/few/a")
    guest.unmount("/mnt/few")
    server.kill(signal.SIGTERM).check()


def test_ten_thousand_idle_connections(host_server) -> None:
    """They cost little memory, and calls are answered among them."""
    server, port = host_server
    wanted = 10_000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < wanted + 100:
        pytest.skip(f"no more than {hard} descriptors")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 100, hard))
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (wanted + 100, hard))
    null = struct.pack(">11I", 1 << 31 | 40, 7, 0, 2, 100003, 3, 0, 0, 0, 0, 0)
    held = []
    try:
        for number in range(wanted):
            held.append(socket.create_connection(("127.0.0.1", port), 10))
            if number % 100 == 0:
                held[-1].sendall(null)
                assert len(held[-1].recv(100)) == 28
        held[0].sendall(null)
        assert len(held[0].recv(100)) == 28
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        kilobytes = int(status.split("VmRSS:")[1].split()[0])
        assert kilobytes < 200_000, f"{kilobytes} kB"
        print(f"{kilobytes} kB with {wanted} connections")
    finally:
        for it in held:
            it.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
