"""What the program tells of itself: counters, running statements, health, HTTP and logs."""

import csv
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

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
