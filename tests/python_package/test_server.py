"""The mount in this process."""

import socket

import pytest

from posixlake import NfsServer, PosixLakeError


def test_a_server_serves_until_it_is_shut_down(people):
    with NfsServer(people, port=0) as server:
        port = server.get_port()
        assert server.is_ready()
        socket.create_connection(("127.0.0.1", port)).close()
        command = server.get_mount_command("/mnt/lake")
        assert command[:4] == ["sudo", "mount", "-t", "nfs"] and f"port={port}" in command[5] and command[-1] == "/mnt/lake"
        assert server.get_unmount_command("/mnt/lake") == ["sudo", "umount", "/mnt/lake"]
        with pytest.raises(PosixLakeError):
            NfsServer(people, port)
    assert not server.is_ready()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port))
    server.shutdown()
