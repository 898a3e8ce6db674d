"""proxy.py PORT SERVER_PORT FLAG: passes records between a client and a server on loopback. Runs in the guest.

When the file FLAG holds the number of an NFS procedure, the next reply to a call of it is swallowed, and the connection closed: the call was done and the
client does not know.
"""

import os
import socket
import struct
import sys
import threading

port, server_port, flag = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def records(source: socket.socket):
    stream = source.makefile("rb")
    while len(mark := stream.read(4)) == 4:
        length = struct.unpack(">I", mark)[0] & 0x7FFFFFFF
        yield mark + stream.read(length)


def close(*sockets: socket.socket) -> None:
    for it in sockets:
        try:
            it.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def calls(client: socket.socket, server: socket.socket, swallowed: set[bytes]) -> None:
    for record in records(client):
        if os.path.exists(flag) and struct.unpack(">I", record[24:28])[0] == int(open(flag).read()):
            os.unlink(flag)
            swallowed.add(record[4:8])
        server.sendall(record)
    close(client, server)


def replies(client: socket.socket, server: socket.socket, swallowed: set[bytes]) -> None:
    for record in records(server):
        if record[4:8] in swallowed:
            print("swallowed a reply", flush=True)
            break
        client.sendall(record)
    close(client, server)


listener = socket.create_server(("127.0.0.1", port))
print("ready", flush=True)
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", server_port))
    swallowed: set[bytes] = set()
    for work in (calls, replies):
        threading.Thread(target=work, args=(client, server, swallowed), daemon=True).start()
