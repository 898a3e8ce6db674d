"""Credentials by URL: which of them a request is signed with, and that nobody sees them."""

import pathlib
import re

import pytest
from deltalake import DeltaTable
from emulators import KEY, SECRET, S3rver, SeaweedFs
from faulty import Proxy
from stores import StoreLake, parametrized

server = parametrized([SeaweedFs])
HUSH = "hush-hush-nobody-may-see-this"


@pytest.fixture
def proxy(server):
    running = Proxy(server.port)
    yield running
    running.close()


def local(server, tmp_path):
    """A lake on the local disk, whose statements reach the store by secrets."""
    lake = StoreLake(server, "unused", tmp_path)
    lake.url = str(tmp_path / "lake")
    lake.settings = lambda: []
    return lake


def named(statement, name, scope):
    return statement.replace("CREATE SECRET (", f"CREATE SECRET {name} (SCOPE '{scope}', ")


def signers(proxy, part):
    """The keys that requests for paths with this part were signed with."""
    found = [request for request in proxy.requests if part in request.target]
    return {re.search(r"Credential=(\w+)/", request.headers.get("authorization", ""))[1] for request in found}


def test_two_credentials_on_one_bucket(server, proxy, tmp_path):
    lake = local(server, tmp_path)
    all_of_it = server.secret(proxy.port)
    other = server.secret(proxy.port, KEY_ID=f"{KEY}2", SECRET=f"{SECRET}2")
    rows = lake.sql(
        all_of_it,
        named(other, "other", "s3://bucket/other"),
        "CREATE TABLE delta.`s3://bucket/mine/t` AS SELECT 1 AS n",
        "CREATE TABLE delta.`s3://bucket/other/t` AS SELECT 2 AS n",
        "INSERT INTO delta.`s3://bucket/other/t` SELECT n + 10 FROM delta.`s3://bucket/mine/t`",
        "COPY (SELECT 5 AS n) TO 's3://bucket/other/x.parquet'",
        "CREATE TABLE joined AS SELECT a.n AS a, b.n AS b FROM delta.`s3://bucket/mine/t` a, delta.`s3://bucket/other/t` b",
        "DELETE FROM delta.`s3://bucket/other/t` WHERE n = 2",
        "SELECT 'rows: ' || count(*) FROM joined",
    )
    assert "rows: 2" in str(rows[-1])
    assert signers(proxy, "mine/") == {KEY}
    assert signers(proxy, "other/") | signers(proxy, "other%2F") == {f"{KEY}2"}


def test_a_secret_comes_and_goes(server, tmp_path):
    lake = local(server, tmp_path)
    scoped = named(server.secret(), "bucket", "s3://bucket/")
    listed = lake.sql(scoped, "SHOW SECRETS")
    assert listed[0]["name"] == "bucket" and listed[0]["scope"] == "s3://bucket/"
    assert SECRET not in str(listed) and "secret=***" in listed[0]["options"]
    for statements, message in [
        ([scoped, scoped], "secret 'bucket' exists already; CREATE OR REPLACE SECRET replaces it"),
        (["DROP SECRET bucket"], "no secret 'bucket'; SHOW SECRETS lists them"),
        (["CREATE SECRET a (TYPE s3, COLOUR 'red')"], "a secret of type s3 has no option COLOUR"),
        (["CREATE SECRET a (KEY_ID 'k')"], "TYPE takes s3, azure or gcs, and must be said"),
        (["CREATE SECRET a (TYPE s3, SCOPE 'gs://b')"], "is not for TYPE s3"),
        (["CREATE PERSISTENT SECRET a (TYPE s3)"], "there is no PERSISTENT"),
        (["CREATE SECRET a (TYPE s3, PROFILE 'nobody')", "SELECT * FROM 's3://b/x.csv'"], "no AWS profile 'nobody'"),
    ]:
        answer = lake.run(*statements)
        assert answer.returncode != 0 and message in answer.stderr, (statements, answer.stderr)
    lake.output(scoped, "CREATE SECRET IF NOT EXISTS bucket (TYPE azure)", "DROP SECRET bucket", scoped)
    lake.output(scoped, server.secret().replace("CREATE SECRET (", "CREATE OR REPLACE SECRET bucket ("))


def test_nobody_sees_what_is_secret(server, tmp_path):
    lake = local(server, tmp_path)
    secret = f"CREATE SECRET s (TYPE s3, ENDPOINT '127.0.0.1:1', USE_SSL false, KEY_ID 'k', SECRET '{HUSH}', MAX_RETRIES 0)"
    azure = f"CREATE SECRET z (TYPE azure, ACCOUNT_NAME 'a', ENDPOINT 'http://127.0.0.1:1', SAS_TOKEN 'sv=1&sig={HUSH}', MAX_RETRIES 0)"
    for statements in [
        [secret, "SHOW SECRETS"],
        [f"EXPLAIN {secret}"],
        [f"EXPLAIN ANALYZE {secret}"],
        [secret, "SELECT * FROM 's3://bucket/x.parquet'"],
        [azure, "SELECT * FROM 'az://c/x.parquet'"],
        [azure, "CREATE TABLE delta.`az://c/t` (a INT)"],
        [secret.replace(", KEY_ID", " KEY_ID")],
        [secret.replace("KEY_ID 'k',", "KEY_ID")],
        [secret + " and more"],
        [secret[:-1]],
        [secret.replace("SECRET '", "SECRET = '")],
        [f"PREPARE p AS {secret}"],
        [secret, secret],
    ]:
        answer = lake.run(*statements)
        assert HUSH not in answer.stdout + answer.stderr, statements
    for file in (tmp_path).rglob("*"):
        assert not file.is_file() or HUSH.encode() not in file.read_bytes(), file


def test_a_profile_and_the_environment(server, proxy, tmp_path):
    lake = StoreLake(server, "profiles", tmp_path, proxy.port)
    lake.settings = lambda: ["--option", "aws_max_retries=1"]
    folder = pathlib.Path(tmp_path / ".aws")
    folder.mkdir()
    (folder / "credentials").write_text(
        f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n\n"
        f"[second]\naws_access_key_id = {KEY}2\naws_secret_access_key = {SECRET}2\n"
    )
    (folder / "config").write_text(f"[default]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:{proxy.port}\n")
    lake.output("CREATE TABLE t AS SELECT 1 AS n")
    assert signers(proxy, "profiles") == {KEY}
    assert all("/eu-north-1/" in request.headers["authorization"] for request in proxy.requests)
    proxy.requests.clear()
    by_name = server.secret(proxy.port, PROFILE="second", PROVIDER="credential_chain")
    by_name = re.sub(r"(KEY_ID|, SECRET) '[^']*',? ?", ", ", by_name).replace(", ,", ",")
    lake.run(by_name, "SELECT * FROM 's3://bucket/other/nothing.csv'")
    assert f"{KEY}2" in signers(proxy, "other")
    proxy.requests.clear()
    environment = lake.environment()
    lake.environment = lambda: {
        **environment,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        "REGION": "of-no-matter",
    }
    lake.output("SELECT * FROM t")
    assert signers(proxy, "profiles") == {KEY}
    assert all("/us-east-1/" in request.headers["authorization"] for request in proxy.requests)


def test_an_error_names_store_key_and_cause(server, tmp_path):
    lake = local(server, tmp_path)
    wrong = server.secret(SECRET="not-the-right-one")
    answer = lake.run(wrong, "CREATE TABLE delta.`s3://bucket/folder/t` (a INT)")
    assert answer.returncode != 0
    assert "s3://bucket/folder/t/_delta_log" in answer.stderr and "SignatureDoesNotMatch" in answer.stderr
    nowhere = server.secret(port=1, MAX_RETRIES="0")
    answer = lake.run(nowhere, "SELECT * FROM delta.`s3://bucket/folder/t`")
    assert "s3://bucket/folder/t" in answer.stderr and "onnect" in answer.stderr, answer.stderr


def test_many_tables_are_listed_folder_by_folder(server, proxy, tmp_path):
    lake = StoreLake(server, "many", tmp_path, proxy.port)
    lake.output(*[f"CREATE TABLE t{number} AS SELECT 1 AS n" for number in range(12)])
    proxy.requests.clear()
    assert len(lake.sql("SHOW TABLES")) == 12
    lists = [request.target for request in proxy.requests if "list-type=2" in request.target]
    assert not [target for target in lists if "_delta_log" not in target and "delimiter" not in target], lists
    read = [request.target for request in proxy.requests if request.method == "GET"]
    data = [target for target in read if ".parquet" in target or ".json" in target]
    assert not data, "names are listed without opening a table"
    assert len(proxy.requests) <= 3 * 12, lists


def test_a_server_without_conditional_writes_is_refused(tmp_path):
    server = S3rver(tmp_path / "server")
    try:
        lake = StoreLake(server, "lake", tmp_path)
        answer = lake.run("CREATE TABLE t (a INT)")
        assert answer.returncode == 7, answer.stderr
        assert "s3://bucket/lake/t/" in answer.stderr and "has no conditional writes" in answer.stderr
        assert lake.run("SELECT * FROM t").returncode == 4, "nothing was made"
        rows = lake.sql(
            "COPY (SELECT 3 AS n) TO 's3://bucket/files/x.parquet'", "SELECT 'n: ' || n FROM 's3://bucket/files/x.parquet'"
        )
        assert "n: 3" in str(rows[-1]), "files can be written and read"
    finally:
        server.stop()


def test_other_engines_read_what_stands_on_a_store(server, tmp_path):
    lake = StoreLake(server, "engines", tmp_path)
    lake.output(
        "CREATE TABLE t AS SELECT value AS n FROM generate_series(1, 1000) AS g(value)",
        "DELETE FROM t WHERE n % 10 = 0",
        "CHECKPOINT t",
        "ALTER TABLE t RENAME TO u",
        "INSERT INTO u VALUES (5000)",
    )
    options = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }
    theirs = DeltaTable(f"{lake.url}/u", storage_options=options).to_pyarrow_table()
    assert sorted(theirs["n"].to_pylist()) == [number for number in range(1, 1001) if number % 10] + [5000]
