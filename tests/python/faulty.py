"""An HTTP proxy between posixlake and a store that breaks requests by a seeded plan, and remembers them all.

A request meets at most one fault. Whether the store behind did the request is what tells the faults apart:

    not done: refuse500, slow503, many429, drop (the connection ends)
    done:     delay, lost (the connection ends), late412 (to a conditional write: as if another had been first), late500,
              cut (half of the answer)
    later:    hang (the answer comes when the client has given up)
"""

import asyncio
import dataclasses
import random
import threading

NOT_DONE = ("refuse500", "slow503", "many429", "drop")
DONE = ("delay", "lost", "late412", "late500", "cut", "hang")


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    fault: str | None = None


def error(status: str, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>by the proxy</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


class Proxy:
    """Serves on a free port. `rate` is the share of requests that meet a fault, `hang` how long the slowest takes."""

    def __init__(self, port, rate=0.0, seed=0, faults=NOT_DONE + DONE, hang=3.0, rewrite=None):
        self.upstream, self.rate, self.faults, self.hang, self.rewrite = port, rate, faults, hang, rewrite
        self.random = random.Random(seed)
        self.requests: list[Request] = []
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()
        ready.wait()

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()

    def close(self):
        def stop():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_later(0.05, self.loop.stop)

        self.loop.call_soon_threadsafe(stop)

    async def serve(self, reader, writer):
        try:
            while (request := await read_request(reader)) is not None:
                self.requests.append(request)
                if self.random.random() < self.rate:
                    request.fault = self.random.choice(self.faults)
                answer = await self.answer(request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if request.fault == "cut":
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def answer(self, request):
        match request.fault:
            case "refuse500":
                return error("500 Internal Server Error", "InternalError")
            case "slow503":
                return error("503 Slow Down", "SlowDown")
            case "many429":
                return error("429 Too Many Requests", "TooManyRequests")
            case "drop":
                return None
            case "delay":
                await asyncio.sleep(0.3)
            case "hang":
                await asyncio.sleep(self.hang)
        answer = await self.forward(request)
        match request.fault:
            case "lost":
                return None
            case "late412" if "if-none-match" in request.headers and answer.startswith(b"HTTP/1.1 20"):
                return error("412 Precondition Failed", "PreconditionFailed")
            case "late500":
                return error("500 Internal Server Error", "InternalError")
            case "cut":
                return answer[: (answer.index(b"\r\n\r\n") + 4 + len(answer)) // 2]
        return answer

    async def forward(self, request):
        sent = self.rewrite.ask(request) if self.rewrite else request
        if isinstance(sent, bytes):
            return sent
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            headers = {**sent.headers, "connection": "close", "content-length": str(len(sent.body))}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"{sent.method} {sent.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + sent.body)
            await writer.drain()
            answer = await read_answer(reader, sent.method)
        finally:
            writer.close()
        return self.rewrite.reply(request, answer) if self.rewrite else answer


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines)
    headers = {name.lower(): value for name, value in headers.items()}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


async def read_answer(reader, method):
    """The answer, with its length instead of chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.strip().split(b"\r\n")
    headers = {line.split(b":", 1)[0].lower(): line.split(b":", 1)[1].strip() for line in lines[1:]}
    if method == "HEAD" or b" 204 " in lines[0] or b" 304 " in lines[0]:
        body = b""
    elif b"transfer-encoding" in headers:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
    elif b"content-length" in headers:
        body = await reader.readexactly(int(headers[b"content-length"]))
    else:
        body = await reader.read()
    hidden = (b"transfer-encoding", b"connection", b"keep-alive")
    kept = [line for line in lines[1:] if line.split(b":", 1)[0].lower() not in hidden]
    if method != "HEAD" and b"content-length" not in headers:
        kept.append(b"Content-Length: %d" % len(body))
    first = lines[0].replace(b"HTTP/1.0", b"HTTP/1.1")
    return b"\r\n".join([first, *kept]) + b"\r\n\r\n" + body
