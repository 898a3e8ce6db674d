"""Every kind of statement on every kind of store, by its real protocol: what it prints is what it prints on a local disk."""

import os
import re
import subprocess

import pytest
from emulators import ALL
from stores import StoreLake, parametrized

server = parametrized(ALL)

# {url} stands for a folder beside the lake. Every statement prints the same on every store.
SCRIPT = """
CREATE TABLE t (id INT, name VARCHAR, day DATE) PARTITIONED BY (day);
INSERT INTO t SELECT value, 'name ' || value, DATE '2026-01-01' + CAST(value % 3 AS INT) FROM generate_series(1, 300) AS g(value);
UPDATE t SET name = 'changed' WHERE id % 50 = 0;
DELETE FROM t WHERE id % 7 = 0;
MERGE INTO t USING (VALUES (1, 'merged'), (1000, 'new')) AS s(id, name) ON t.id = s.id
  WHEN MATCHED THEN UPDATE SET name = s.name
  WHEN NOT MATCHED THEN INSERT (id, name, day) VALUES (s.id, s.name, DATE '2026-01-09');
SELECT day, count(*), min(id), max(name) FROM t GROUP BY day ORDER BY day;
SELECT count(*) FROM t VERSION AS OF 1;
SELECT version, operation FROM t$history ORDER BY version;
SHOW PARTITIONS t;
CREATE TABLE v (id INT, x DOUBLE) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true');
INSERT INTO v SELECT value, value / 2.0 FROM generate_series(1, 20000) AS g(value);
DELETE FROM v WHERE id % 100 = 3;
SELECT count(*), sum(x) FROM v;
ALTER TABLE v ADD COLUMN note VARCHAR;
UPDATE v SET note = 'here' WHERE id BETWEEN 5 AND 9;
SELECT id, note FROM v WHERE note IS NOT NULL ORDER BY id;
CHECKPOINT v;
INSERT INTO v VALUES (-1, 0, 'behind the checkpoint');
REORG TABLE v APPLY (PURGE);
OPTIMIZE t ZORDER BY (id);
SELECT count(*), sum(id) FROM t;
RESTORE TABLE t TO VERSION AS OF 1;
SELECT count(*), sum(id) FROM t;
SET posixlake.vacuum_retention_check = false;
VACUUM t RETAIN 0 HOURS;
SELECT count(*), sum(id) FROM t;
FSCK REPAIR TABLE t DRY RUN;
CREATE SCHEMA archive;
CREATE TABLE archive.a AS SELECT id, name FROM t WHERE id < 10;
CREATE TABLE archive.shallow SHALLOW CLONE v;
CREATE TABLE archive.deep DEEP CLONE v;
SELECT count(*) FROM archive.a;
SELECT count(*) FROM archive.shallow;
SELECT count(*) FROM archive.deep;
SHOW TABLES;
SHOW SCHEMAS;
COPY (SELECT id, name FROM t WHERE id < 4) TO '{url}/out.csv';
COPY (SELECT id, name FROM t WHERE id < 6) TO '{url}/out/part.parquet';
SELECT * FROM read_csv('{url}/out.csv') ORDER BY id;
SELECT count(*) FROM read_parquet('{url}/out/*.parquet');
SELECT sum(id) FROM '{url}/out/part.parquet';
CREATE TABLE c (id INT, name VARCHAR);
COPY INTO c FROM '{url}/out/' FILEFORMAT = PARQUET;
SELECT count(*) FROM c;
CONVERT TO DELTA parquet.`{url}/out`;
SELECT count(*) FROM delta.`{url}/out`;
GENERATE symlink_format_manifest FOR TABLE t;
ALTER TABLE c RENAME TO d;
INSERT INTO d VALUES (77, 'in the renamed table');
SELECT count(*), max(id) FROM d;
SELECT version, operation FROM d$history ORDER BY version;
INSERT OVERWRITE d VALUES (1, 'alone');
TRUNCATE TABLE d;
DROP TABLE d;
DROP TABLE archive.a;
DROP TABLE archive.shallow;
DROP TABLE archive.deep;
DROP SCHEMA IF EXISTS archive;
SHOW TABLES;
"""


def run_script(command, environment, url):
    script = SCRIPT.replace("{url}", url)
    return subprocess.run(command, input=script, capture_output=True, text=True, env=environment, timeout=180)


def comparable(text, *urls):
    for url in urls:
        text = text.replace(url, "<url>")
    # Sizes of files hold the lengths of compressed names; the rest of the metrics must agree.
    text = re.sub(r'""(avg|max|min|totalSize)"":[0-9.]+', r'""\1"":n', text)
    # RESTORE and CLONE: the first column is the size of the table, the last two are those of the files removed and added.
    text = re.sub(r"(?<=d_files_size\n)[0-9]+,([0-9,]+),[0-9]+,[0-9]+\n", r"n,\1,n,n\n", text)
    return re.sub(r"part-[0-9]+-[0-9a-f-]+", "part", text)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    command = [os.environ.get("POSIXLAKE_BIN", "posixlake"), "--quiet", "--format", "csv", "--lake", f"{folder}/lake"]
    (folder / "files").mkdir()
    answer = run_script(command, os.environ, f"{folder}/files")
    assert answer.returncode == 0, answer.stderr
    return comparable(answer.stdout, f"file://{folder}", str(folder))


def test_statements_do_what_they_do_on_a_disk(server, expected, tmp_path):
    lake = StoreLake(server, "statements/lake", tmp_path)
    answer = run_script(lake.command(), lake.environment(), f"{server.url}/statements/files")
    assert answer.returncode == 0, answer.stdout[-500:] + answer.stderr
    assert comparable(answer.stdout, f"{server.url}/statements") == expected


def test_eight_writers_lose_nothing(server, tmp_path):
    writers, turns = 8, 2
    lake = StoreLake(server, "writers", tmp_path)
    lake.output("CREATE TABLE t (writer INT, turn INT)")
    running = [
        lake.start(*[f"INSERT INTO t VALUES ({writer}, {turn}), ({writer}, {turn + 100})" for turn in range(turns)])
        for writer in range(writers)
    ]
    errors = [writer.communicate(timeout=120)[1] for writer in running]
    assert [writer.returncode for writer in running] == [0] * writers, errors
    rows = lake.sql("SELECT count(*) AS all_rows, count(DISTINCT writer * 1000 + turn) AS different FROM t")
    assert rows == [{"all_rows": str(writers * turns * 2), "different": str(writers * turns * 2)}]
    assert lake.sql("SELECT max(version) AS v FROM t$history") == [{"v": str(writers * turns)}]


def test_writers_that_change_the_same_rows_are_told(server, tmp_path):
    lake = StoreLake(server, "counters", tmp_path)
    lake.output("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (0)")
    running = [lake.start(*["UPDATE t SET n = n + 1"] * 2) for _ in range(3)]
    for writer in running:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode in (0, 5), errors
    added = sum(1 for row in lake.sql("SELECT operation FROM t$history") if row["operation"] == "UPDATE")
    assert lake.sql("SELECT n FROM t") == [{"n": str(added)}]
    assert added >= 3
