"""What all tests of the Python package need."""

import json
import pathlib
import urllib.request

import moto.server
import pytest

import posixlake
from posixlake import DatabaseOps, Field, Schema

PEOPLE = [
    Field(name="id", data_type="Int32", nullable=False),
    Field(name="name", data_type="String", nullable=False),
    Field(name="age", data_type="Int32", nullable=True),
]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> str:
    return str(tmp_path)


@pytest.fixture(autouse=True)
def folders_of_the_user(folder, monkeypatch):
    """Servers keep what they stage in folders of the user."""
    monkeypatch.setenv("XDG_STATE_HOME", folder + "/state")
    monkeypatch.setenv("XDG_CACHE_HOME", folder + "/cache")


@pytest.fixture
def db(folder):
    with DatabaseOps.create(folder + "/db", Schema(fields=PEOPLE)) as db:
        yield db


@pytest.fixture
def people(db):
    db.insert_json('[{"id": 1, "name": "Alice", "age": 30}, {"id": 2, "name": "Bob", "age": 25}]')
    return db


@pytest.fixture
def ctx(folder):
    with posixlake.connect(folder + "/lake") as ctx:
        yield ctx


@pytest.fixture
def rows():
    """The rows of a query of a database."""
    return lambda db, sql="SELECT * FROM data ORDER BY id": json.loads(db.query_json(sql))


class S3:
    """An S3 server of this process."""

    def __init__(self, server) -> None:
        host, port = server.get_host_and_port()
        self.address = f"{host}:{port}"

    def make(self, bucket: str) -> None:
        request = urllib.request.Request(f"http://{self.address}/{bucket}", method="PUT", headers={"x-amz-acl": "private"})
        urllib.request.urlopen(request).close()


@pytest.fixture(scope="session")
def s3():
    server = moto.server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    s3 = S3(server)
    s3.make("bucket")
    yield s3
    server.stop()
