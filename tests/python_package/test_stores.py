"""The same on S3."""

import json

import pytest
from datafusion import SessionContext

import posixlake
from posixlake import DatabaseOps, Field, PosixLakeError, S3Config, Schema


@pytest.fixture
def config(s3):
    return S3Config(endpoint=f"http://{s3.address}", access_key_id="minioadmin", secret_access_key="minioadmin")


def test_a_database_in_a_bucket(config):
    schema = Schema(fields=[Field(name="id", data_type="Int32", nullable=False), Field(name="reading", data_type="Float64")])
    db = DatabaseOps.create_with_s3("s3://bucket/readings", schema, config)
    assert db.insert_json('[{"id": 1, "reading": 1.5}, {"id": 2, "reading": 2.5}]') == 2
    db.merge_json('[{"id": 1, "reading": 99.9, "_op": "UPDATE"}]', "id")
    opened = DatabaseOps.open_with_s3("s3://bucket/readings", config)
    assert json.loads(opened.query_json("SELECT * FROM data ORDER BY id"))[0] == {"id": 1, "reading": 99.9}
    assert DatabaseOps.create_with_s3("s3://bucket/readings", schema, config).health_check()


def test_a_stock_context_reads_a_bucket(config):
    options = config._options()
    lake = posixlake.connect("s3://bucket/lake", options=options)
    lake.sql("CREATE TABLE t AS SELECT 1 AS id UNION ALL SELECT 2")
    ctx = SessionContext()
    posixlake.register(ctx, "s3://bucket/lake", options=options, default=True)
    assert ctx.sql("SELECT sum(id) AS s FROM t").to_pydict() == {"s": [3]}
    ctx.sql("INSERT INTO t VALUES (3)").collect()
    assert lake.table("t").count() == 3


def test_a_store_that_is_not_there(config):
    config.endpoint = "http://127.0.0.1:9"
    with pytest.raises(PosixLakeError.StorageError):
        DatabaseOps.open_with_s3("s3://bucket/readings", config)
