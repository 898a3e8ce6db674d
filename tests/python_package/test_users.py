"""Users by the API of one table."""

import pytest

from posixlake import Credentials, DatabaseOps, Field, PosixLakeError, Schema


@pytest.fixture
def guarded(folder):
    schema = Schema(fields=[Field(name="id", data_type="Int32", nullable=False)])
    db = DatabaseOps.create_with_auth(folder + "/db", schema, True)
    db.insert_json('[{"id": 1}]')
    return db


def test_users_do_what_their_roles_allow(guarded, folder):
    guarded.create_user("rita", "secret", ["read"])
    guarded.create_user("walt", "secret", ["write"])
    reader = DatabaseOps.open_with_credentials(folder + "/db", "rita", "secret")
    assert reader.query_json("SELECT * FROM data") == '[{"id": 1}]'
    for statement in (lambda: reader.insert_json('[{"id": 2}]'), lambda: reader.delete_rows_where("id = 1")):
        with pytest.raises(PosixLakeError.PermissionDenied):
            statement()
    writer = DatabaseOps.open_with_credentials(folder + "/db", Credentials(username="walt", password="secret"))
    assert writer.insert_json('[{"id": 2}]') == 1
    guarded.delete_user("walt")
    with pytest.raises(PosixLakeError.AuthenticationError):
        DatabaseOps.open_with_credentials(folder + "/db", "walt", "secret")


def test_nobody_comes_in_without_a_password(guarded, folder):
    with pytest.raises(PosixLakeError.AuthenticationError):
        DatabaseOps.open(folder + "/db")
    with pytest.raises(PosixLakeError.AuthenticationError):
        DatabaseOps.open_with_credentials(folder + "/db", "system", "guess")
