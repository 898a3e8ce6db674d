"""Users by the API of one table."""

import gc
import time

import datafusion
import pytest

import posixlake
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


@pytest.fixture
def lake_of_ana(tmp_path):
    lake = str(tmp_path / "lake")
    with posixlake.connect(lake) as admin:
        admin.sql("CREATE TABLE t AS SELECT 1 AS id UNION ALL SELECT 2")
        admin.sql("CREATE USER ana PASSWORD 'ana-secret'")
    with posixlake.connect(lake, user=("ana", "ana-secret")) as ana:
        ana.sql("CREATE USER rea PASSWORD 'rea-secret'")
        ana.sql("GRANT reader TO rea")
    return lake


def test_contexts_are_opened_by_users(lake_of_ana):
    for user in (None, ("rea", "guess"), ("nobody", "rea-secret")):
        with pytest.raises(PosixLakeError.AuthenticationError):
            posixlake.connect(lake_of_ana, user=user)
    with posixlake.connect(lake_of_ana, user=Credentials(username="rea", password="rea-secret")) as rea:
        assert rea.table("t").count() == 2
        with pytest.raises(PosixLakeError.PermissionDenied):
            rea.sql("DELETE FROM t")
    stock = datafusion.SessionContext()
    posixlake.register(stock, lake_of_ana, user=("rea", "rea-secret"))
    assert stock.sql('SELECT * FROM lake."default".t').count() == 2
    with pytest.raises(Exception, match="rea has no INSERT on TABLE t"):
        stock.sql('INSERT INTO lake."default".t VALUES (3)').collect()
    installed = posixlake.install(datafusion.SessionContext(), lake_of_ana, user=("ana", "ana-secret"))
    assert installed.sql("DELETE FROM t WHERE id = 2").to_pydict() == {"count": [1]}


def test_the_trail_has_what_other_contexts_were_denied(lake_of_ana):
    with posixlake.connect(lake_of_ana, user=("ana", "ana-secret")) as ana:
        ana.sql("CREATE USER nil PASSWORD 'nil-secret'")
        stock = datafusion.SessionContext()
        posixlake.register(stock, lake_of_ana, user=("nil", "nil-secret"))
        for table in ("t", '"t$history"'):
            with pytest.raises(Exception, match="user nil has no right to table t"):
                stock.sql(f'SELECT * FROM lake."default".{table}').collect()
        trail = ana.sql("SELECT outcome, statement FROM system.audit WHERE user = 'nil' ORDER BY time").to_pydict()
        assert trail == {"outcome": ["denied"] * 2, "statement": ["SELECT * FROM t", "SELECT * FROM t$history"]}


def test_the_trail_has_what_data_frames_read(lake_of_ana):
    """Frames are read by the context of ``datafusion``, long after the statement was planned."""
    with posixlake.connect(lake_of_ana, user=("rea", "rea-secret")) as rea:
        frame = rea.sql("SELECT id FROM t")
        assert frame.count() == 2
        assert frame.filter(datafusion.col("id") > 1).to_pydict() == {"id": [2]}
        with pytest.raises(PosixLakeError.PermissionDenied):
            rea.sql("SELECT * FROM system.audit")
    stock = datafusion.SessionContext()
    posixlake.register(stock, lake_of_ana, user=("rea", "rea-secret"))
    assert stock.sql('SELECT * FROM lake."default".t WHERE id > 1').to_pydict() == {"id": [2]}
    with pytest.raises(Exception, match="no DELETE on TABLE t"):
        stock.sql("SELECT * FROM posixlake_sql('DELETE FROM t')").collect()
    with pytest.raises(Exception, match="no INSERT on TABLE t"):
        stock.sql('INSERT INTO lake."default".t VALUES (3)').collect()
    del stock
    gc.collect()
    stock = datafusion.SessionContext()
    posixlake.register(stock, lake_of_ana, user=("ana", "ana-secret"))
    stock.sql('INSERT INTO lake."default".t VALUES (3), (4), (5)').collect()
    with posixlake.connect(lake_of_ana, user=("ana", "ana-secret")) as ana:
        trail = ana.sql("SELECT kind, outcome FROM system.audit WHERE user = 'rea' ORDER BY time, kind").to_pydict()
        # Once for each time that a frame was read.
        assert sorted(zip(trail["kind"], trail["outcome"], strict=True)) == [
            ("DELETE", "denied"),
            ("INSERT", "denied"),
            ("SELECT", "denied"),
            *[("SELECT", "ok")] * 3,
        ]
        inserted = "SELECT tables, rows, version FROM system.audit WHERE kind = 'INSERT' AND outcome = 'ok'"
        latest = ana.sql("SELECT current_version('t') AS version").to_pydict()["version"]
        # A session that goes on writes its rows from time to time.
        for _ in range(100):
            if ana.sql(inserted).count():
                break
            time.sleep(0.1)
        assert ana.sql(inserted).to_pydict() == {"tables": ["t"], "rows": [3], "version": latest}
        running = ana.sql("SELECT statement FROM system.queries").to_pydict()["statement"]
        assert running == ["SELECT statement FROM system.queries"]
