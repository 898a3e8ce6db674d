"""Data files of tables on a store, kept on the local disk: what was read once is not asked for again, and nothing else
changes. A proxy before the store tells what was asked for."""

import hashlib
import pathlib

import pytest
from emulators import SeaweedFs
from faulty import Proxy
from stores import StoreLake, parametrized

server = parametrized([SeaweedFs])
ROWS = 300_000


class Cached:
    """A lake on a store with a cache, and the proxy that it is reached through."""

    def __init__(self, server, folder, scratch: pathlib.Path, size="1g"):
        self.proxy = Proxy(server.port)
        self.folder = scratch / "kept"
        options = {"data_cache": size, "data_cache_folder": str(self.folder)}
        self.lake = StoreLake(server, folder, scratch, self.proxy.port, **options)
        self.plain = StoreLake(server, folder, scratch, self.proxy.port)

    def asked(self):
        """The data files that were asked for since the last call."""
        seen = [request.target for request in self.proxy.requests if request.method == "GET"]
        self.proxy.requests.clear()
        return [target for target in seen if ".parquet" in target and "_delta_log" not in target]

    def files(self):
        return [file for file in self.folder.rglob("*") if file.is_file()]

    def size(self):
        return sum(file.stat().st_size for file in self.files())


@pytest.fixture
def cached(server, tmp_path, request):
    made = Cached(server, f"kept-{request.node.name.split('[')[0]}", tmp_path)
    made.plain.output(
        "CREATE TABLE t AS SELECT value AS id, md5(CAST(value AS VARCHAR)) AS text"
        f" FROM generate_series(1, {ROWS}) AS g(value)"
    )
    made.asked()
    yield made
    made.proxy.close()


QUESTION = "SELECT count(DISTINCT text) AS n, min(id) AS least, max(id) AS most FROM t WHERE id % 7 = 0"
ANSWER = [{"n": str(ROWS // 7), "least": "7", "most": str(ROWS // 7 * 7)}]


def test_what_was_read_once_is_not_asked_for_again(cached):
    assert cached.plain.sql(QUESTION) == ANSWER
    assert cached.asked()
    assert not cached.folder.exists(), "without the setting nothing is kept"
    assert cached.lake.sql(QUESTION) == ANSWER
    assert cached.asked()
    # A process of its own: what was kept outlives the first.
    assert cached.lake.sql(QUESTION) == ANSWER
    assert cached.asked() == []
    assert cached.lake.sql("SELECT text FROM t WHERE id = 4711") == [{"text": hashlib.md5(b"4711").hexdigest()}]
    assert cached.asked() == []
    assert all(file.stat().st_mode & 0o077 == 0 for file in cached.files()), "nobody else may read the rows"


def test_changes_are_seen_and_only_new_files_asked_for(cached):
    cached.lake.sql(QUESTION)
    cached.plain.output("INSERT INTO t VALUES (0, 'new')", "DELETE FROM t WHERE id = 7")
    cached.asked()
    answer = cached.lake.sql("SELECT count(*) AS n, min(id) AS least, count(text) AS texts FROM t WHERE id < 14")
    assert answer == [{"n": "13", "least": "0", "texts": "13"}]
    assert cached.lake.sql("SELECT text FROM t WHERE id < 1") == [{"text": "new"}]
    cached.asked()
    cached.lake.output("DROP TABLE t", "CREATE TABLE t AS SELECT 5 AS id, 'other' AS text")
    assert cached.lake.sql("SELECT * FROM t") == [{"id": "5", "text": "other"}]


def test_what_is_damaged_or_gone_is_asked_for_anew(cached):
    cached.lake.sql(QUESTION)
    cached.asked()
    one, *others = cached.files()
    content = one.read_bytes()
    one.write_bytes(content[: len(content) // 2] + b"?" + content[len(content) // 2 + 1 :])
    others[0].unlink()
    assert cached.lake.sql(QUESTION) == ANSWER
    assert cached.asked()
    assert cached.lake.sql(QUESTION) == ANSWER
    assert cached.asked() == []


def test_a_limit_holds_and_a_cache_that_cannot_be_is_no_error(server, cached, tmp_path):
    small = Cached(server, cached.lake.url.rsplit("/", 1)[1], tmp_path / "small", size="3m")
    (tmp_path / "small").mkdir()
    for _ in range(2):
        assert small.lake.sql(QUESTION) == ANSWER
    assert 1 << 20 < small.size() <= 3 << 20
    small.proxy.close()
    blocked = StoreLake(
        server,
        cached.lake.url.rsplit("/", 1)[1],
        tmp_path,
        data_cache="1g",
        data_cache_folder="/proc/no-such-folder",
    )
    assert blocked.sql(QUESTION) == ANSWER


def test_metrics_say_what_came_from_the_disk(cached):
    cached.lake.sql(QUESTION)
    [*_, hit, miss, kept] = cached.lake.sql(
        QUESTION,
        "SELECT name, labels, value FROM system.metrics WHERE name LIKE 'posixlake_data_cache%' ORDER BY name DESC, labels",
    )
    values = [list(row.values())[-1] for row in (hit, miss, kept)]
    assert float(values[0]) > 0 and float(values[1]) == 0 and float(values[2]) > 0


def test_settings_that_make_no_sense_are_refused(cached, tmp_path):
    wrong = StoreLake(cached.lake.server, "kept", tmp_path, data_cache="lots")
    answer = wrong.run("SELECT 1")
    assert answer.returncode != 0
    assert "data_cache is 'lots': a number of bytes above 0 is needed" in answer.stderr
    off = StoreLake(cached.lake.server, cached.lake.url.rsplit("/", 1)[1], tmp_path, data_cache="off")
    assert off.sql(QUESTION) == ANSWER
