"""What the program tells of itself: counters, running statements, health, HTTP and logs."""

import csv
import http.server
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def metric(rows, name, labels=""):
    return next(float(row["value"]) for row in rows if row["name"] == name and labels in row["labels"])


def test_counters_say_what_was_done(lake):
    statements = [
        "CREATE TABLE t AS SELECT value AS id FROM generate_series(1, 100) AS g(value)",
        "INSERT INTO t SELECT value FROM generate_series(1001, 1100) AS g(value)",
        "SELECT id FROM t WHERE id > 1050",
    ]
    answer = lake.run(*statements, "SELECT * FROM system.metrics")
    lines = answer.stdout[answer.stdout.index("name,labels") :]
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert metric(rows, "posixlake_statements_total", 'statement="SELECT",outcome="finished"') == 1
    assert metric(rows, "posixlake_statements_total", 'statement="INSERT",outcome="finished"') == 1
    assert metric(rows, "posixlake_commits_total") == 2
    assert metric(rows, "posixlake_scan_files_total", "read") == 1
    assert metric(rows, "posixlake_scan_files_total", "skipped") == 1
    assert metric(rows, "posixlake_data_skipping_ratio") == 0.5
    assert metric(rows, "posixlake_rows_returned_total") == 52
    assert metric(rows, "posixlake_statement_duration_seconds_count") == 3
    assert metric(rows, "posixlake_statements_running") == 1
    assert metric(rows, "process_resident_memory_bytes") > 1e6


def test_a_statement_sees_itself_run(lake):
    [row] = lake.sql("SELECT id, door, state, statement, \"user\" FROM system.queries")
    assert row["id"] == "1" and row["door"] == "cli" and row["state"] == "running" and "system.queries" in row["statement"]
    answer = lake.run("KILL QUERY 77")
    assert answer.returncode != 0 and "no query 77 runs" in answer.stderr
    assert lake.sql("SELECT 'the PASSWORD' AS x, statement FROM system.queries")[0]["statement"] == "SELECT …"


def test_health_names_what_is_wrong(lake):
    lake.sql("CREATE TABLE good (id INT)", "CREATE SCHEMA s", "CREATE TABLE s.bad (id INT)")
    binary = os.environ["POSIXLAKE_BIN"]
    well = subprocess.run([binary, "health", str(lake.folder), "--format", "csv"], capture_output=True, text=True)
    assert well.returncode == 0 and well.stdout.count(",ok,") == 3, well
    log = pathlib.Path(lake.path("s"), "bad/_delta_log/00000000000000000000.json")
    log.write_text("{broken")
    ill = subprocess.run([binary, "health", str(lake.folder), "--format", "csv"], capture_output=True, text=True)
    assert ill.returncode == 1 and "table s.bad,failed" in ill.stdout and "table good,ok" in ill.stdout, ill
    rows = lake.sql("SELECT * FROM system.health WHERE status = 'failed'")
    assert [row["check"] for row in rows] == ["table s.bad"]


def test_health_of_a_lake_with_users(lake, tmp_path):
    lake.sql("CREATE TABLE good (id INT)", "CREATE USER ana PASSWORD 'ana-secret'")
    command = [os.environ["POSIXLAKE_BIN"], "health", str(lake.folder), "--format", "csv"]
    nobody = subprocess.run(command, capture_output=True, text=True)
    assert nobody.returncode == 8 and "good" not in nobody.stdout, nobody
    password = tmp_path / "password"
    password.write_text("ana-secret\n")
    admin = subprocess.run([*command, "--user", "ana", "--password-file", str(password)], capture_output=True, text=True)
    assert admin.returncode == 0 and "table good,ok" in admin.stdout, admin


class Server:
    """`serve nfs` with an address for monitoring."""

    def __init__(self, lake, tmp_path):
        lake.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        self.process = subprocess.Popen(
            [
                os.environ["POSIXLAKE_BIN"], "serve", "nfs", str(lake.folder),
                "--listen", "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{self.port}",
            ],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.process.stdout.readline()

    def get(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers


@pytest.fixture
def server(lake, tmp_path):
    server = Server(lake, tmp_path)
    yield server
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0


def test_monitoring_systems_are_answered(lake, server):
    status, text, headers = server.get("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            families.add(line.split()[2])
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            float(value)
            name = name.split("{")[0]
            assert name in families or name.rsplit("_", 1)[0] in families, line
    assert {"posixlake_statements_running", "posixlake_statement_duration_seconds"} <= families
    assert server.get("/healthz")[:2] == (200, "ok\n")
    assert server.get("/readyz")[:2] == (200, "ok\n")
    assert server.get("/healthz", "HEAD")[:2] == (200, "")
    assert server.get("/other")[0] == 404
    assert server.get("/metrics", "POST")[0] == 405
    with socket.create_connection(("127.0.0.1", server.port)) as rude:
        rude.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b"400" in rude.recv(1000)
    printed = subprocess.run([os.environ["POSIXLAKE_BIN"], "metrics"], capture_output=True, text=True, env=server.environment)
    assert printed.returncode == 0 and "# TYPE posixlake_scans_total counter" in printed.stdout, printed


def test_logs_are_objects(lake):
    command = [*lake.command("CREATE TABLE t AS SELECT 1 AS id", "SELECT * FROM t"), "--log-format", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "POSIXLAKE_LOG": "posixlake=info"})
    lines = [json.loads(line) for line in answer.stderr.splitlines()]
    ended = [line for line in lines if line["message"] == "statement ended"]
    assert [line["statement"] for line in ended] == ["CREATE TABLE", "SELECT"]
    scan = next(line for line in lines if line["message"] == "table scanned")
    assert scan["version"] == 0 and scan["rows"] == 1 and scan["table"].endswith("/t/")
    assert any(line["message"] == "committed" and line["version"] == 0 for line in lines)


class Collector:
    """Takes traces as OTLP over HTTP says (protobuf)."""

    def __init__(self):
        self.requests = requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, self.headers["Authorization"], ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self):
        """Each span with its attributes."""
        scopes = [scope for _, _, request in self.requests for resource in request.resource_spans for scope in resource.scope_spans]
        return [(span, plain(span.attributes)) for scope in scopes for span in scope.spans]


def plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.server.shutdown()


def test_traces_are_sent_to_a_collector(lake, collector):
    statements = ["CREATE TABLE t AS SELECT 1 AS id", "UPDATE t SET id = 2 WHERE id = 1", "SELECT * FROM t", "SELECT nothing FROM t"]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=me"}
    answer = subprocess.run(lake.command(*statements), capture_output=True, text=True, env=environment)
    assert answer.returncode != 0 and "nothing" in answer.stderr and "trace" not in answer.stderr, answer
    assert {(path, authorization) for path, authorization, _ in collector.requests} == {("/v1/traces", "me")}
    resource = plain(collector.requests[0][2].resource_spans[0].resource.attributes)
    assert resource["service.name"] == "posixlake" and resource["service.version"]
    spans = collector.spans()
    ended = {told["statement"]: (span, told) for span, told in spans if span.name == "statement"}
    assert {name: (told["rows"], told["outcome"]) for name, (_, told) in ended.items()} == {
        "CREATE TABLE": (1, "finished"), "UPDATE": (1, "finished"), "SELECT": (1, "finished"),
    }
    update, select = ended["UPDATE"][0], ended["SELECT"][0]
    commits = {told["version"]: (span, told) for span, told in spans if span.name == "commit"}
    assert commits.keys() == {0, 1} and commits[1][1]["operation"] == "UPDATE" and commits[1][1]["table"].endswith("/t/")
    assert commits[1][0].trace_id == update.trace_id and commits[1][0].parent_span_id == update.span_id
    scan, told = next((span, told) for span, told in spans if span.name == "scan" and span.trace_id == select.trace_id)
    assert told["version"] == 1 and told["rows"] == 1 and told["files_read"] == 1 and told["table"].endswith("/t/")
    assert select.start_time_unix_nano <= scan.start_time_unix_nano <= scan.end_time_unix_nano


def test_a_collector_that_is_away_is_not_waited_for(lake):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}", "POSIXLAKE_LOG": "warn"}
        answer = subprocess.run(lake.command("SELECT 1 AS one"), capture_output=True, text=True, env=environment, timeout=60)
    assert answer.returncode == 0 and "1" in answer.stdout and "HTTP export failed" in answer.stderr, answer
