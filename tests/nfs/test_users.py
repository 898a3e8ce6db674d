"""Accounts of a client as users of the lake: files, `.query`, and what each may do."""

import shlex

import pytest
from mounted import PATIENCE, Mounted

#: Accounts, as who they come: an admin, a writer, a reader, one with rights to one table, one without any.
ACCOUNTS = {1001: "ana", 1002: "wil", 1003: "rea", 1004: "cle", 1005: "nob"}
USERS = (
    [f"CREATE USER {name} PASSWORD '{name}-secret'" for name in ACCOUNTS.values()]
    + ["GRANT writer TO wil", "GRANT reader TO rea", "GRANT SELECT, INSERT ON TABLE t TO cle"]
)


class Shared:
    """A mount that many accounts use."""

    def __init__(self, lake: Mounted) -> None:
        self.lake = lake

    def as_user(self, user: str, command: str):
        uid = next((uid for uid, name in ACCOUNTS.items() if name == user), 4999)
        words = f"cd {self.lake.at} && {command}"
        return self.lake.guest.run(f"exec setpriv --reuid {uid} --clear-groups bash -c {shlex.quote(words)}", check=False)

    def query(self, user: str, statement: str):
        return self.as_user(user, f"printf %s {shlex.quote(statement)} > .query && cat .query")

    def rows(self, table: str) -> list[list[str]]:
        return self.lake.sql(f"SELECT * FROM {table} ORDER BY 1")


@pytest.fixture
def shared(large_guest, program, monkeypatch, request):
    folder = large_guest.folder / "lakes" / request.node.name
    folder.mkdir(parents=True)
    (folder / "users").write_text("".join(f"{uid} {name}\n" for uid, name in ACCOUNTS.items()))
    (folder / "password").write_text("ana-secret\n")
    lake = Mounted(large_guest, folder, program)
    lake.sql("CREATE TABLE t AS SELECT 1 AS a, 'one' AS s")
    lake.sql("CREATE TABLE other AS SELECT 7 AS a")
    admin, *others = USERS
    lake.sql(admin)
    monkeypatch.setenv("POSIXLAKE_USER", "ana")
    monkeypatch.setenv("POSIXLAKE_PASSWORD", "ana-secret")
    for statement in others:
        lake.sql(statement)
    lake.guest.unmount(lake.at)
    lake.kill()
    lake.arguments = f"{PATIENCE} --as ana --password-file {folder / 'password'} --uid-map {folder / 'users'}"
    lake.start()
    lake.mount()
    yield Shared(lake)
    lake.close()


def test_files_of_many_users(shared):
    assert shared.as_user("rea", "cat t/data.csv").stdout == "a,s\n1,one\n"
    for user in ("nobody", "nob"):
        refused = shared.as_user(user, "cat t/data.csv")
        assert refused.code != 0 and "one" not in refused.stdout, refused
    assert shared.as_user("cle", "cat other/data.csv").code != 0
    for user in ("rea", "nob", "nobody"):
        # Who may change nothing is told by the tool itself.
        for edit in ("echo 2,two >> t/data.csv", "sed -i s/one/two/ t/data.csv", ": > t/data.csv", "rm t/data.csv", "mv t u", "rmdir other", "mkdir -p new && printf 'a\\n1\\n' > new/data.csv"):
            refused = shared.as_user(user, edit)
            assert refused.code != 0, (user, edit, refused)
    assert shared.rows("t") == [["1", "one"]]
    assert shared.as_user("cle", "echo 2,two >> t/data.csv").check()
    assert shared.as_user("cle", "sed -i s/one/changed/ t/data.csv").code != 0
    assert shared.as_user("wil", "sed -i s/one/uno/ t/data.csv").check()
    assert shared.rows("t") == [["1", "uno"], ["2", "two"]]
    trail = "SELECT user FROM system.audit WHERE kind IN ('INSERT', 'MERGE') AND outcome = 'ok' AND user IN ('cle', 'wil') ORDER BY time"
    shared.lake.until(lambda: shared.lake.sql(trail) == [["cle"], ["wil"]])


#: Statements, with the users that may run them; `{to}` is where files can be written, `{state}` where the mount keeps its own.
STATEMENTS = {
    "SELECT a FROM t": {"ana", "wil", "rea", "cle"},
    "SELECT count(*) FROM t@v0": {"ana", "wil", "rea", "cle"},
    "SELECT count(*) FROM t$history": {"ana", "wil", "rea", "cle"},
    "SELECT a FROM other": {"ana", "wil", "rea"},
    "SELECT a FROM t WHERE a IN (SELECT a FROM other)": {"ana", "wil", "rea"},
    "EXPLAIN SELECT a FROM other": {"ana", "wil", "rea"},
    "DESCRIBE HISTORY other": {"ana", "wil", "rea"},
    "INSERT INTO t VALUES (9, 'nine')": {"ana", "wil", "cle"},
    "INSERT INTO other SELECT a FROM t": {"ana", "wil"},
    "UPDATE t SET s = 'x' WHERE a = 9": {"ana", "wil"},
    "MERGE INTO t USING (SELECT 9 AS a) AS n ON t.a = n.a WHEN MATCHED THEN DELETE": {"ana", "wil"},
    "DELETE FROM t WHERE a = 9": {"ana", "wil"},
    "COPY t TO '{to}/t.parquet'": {"ana"},
    "SELECT * FROM read_csv('{to}/seen.csv')": {"ana"},
    # The mount reads a user's edits from a folder that the user's own statements may read, too, and not write.
    "SELECT * FROM read_csv('{state}/users/1003/sessions/seen.csv')": {"ana", "rea"},
    "COPY t TO '{state}/users/1003/sessions/t.parquet'": {"ana"},
    "ALTER TABLE t ADD COLUMN more INT": {"ana"},
    "CALL optimize(table => 't')": {"ana"},
    "VACUUM t DRY RUN": {"ana"},
    "BACKUP TABLE t TO '{to}/backup'": {"ana"},
    "CREATE USER eve PASSWORD 'pen'": {"ana"},
    "SELECT count(*) FROM system.audit": {"ana"},
    "DROP TABLE other": {"ana"},
    "GRANT admin TO rea": {"ana"},
}


def files(*folders) -> list[str]:
    """What the folders hold, but for the lake's own accounts and audit trail, and for checksums, which come behind the statements."""
    found = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return sorted(str(file) for file in found if "_posixlake" not in file.parts and file.suffix != ".crc")


def test_query_of_many_users(shared):
    """`.query` as each user: what is allowed runs, and what is not says so and changes nothing."""
    outside = shared.lake.folder / "outside"
    outside.mkdir()
    (outside / "seen.csv").write_text("a\n1\n")
    edits = shared.lake.state / "users" / "1003" / "sessions"
    (edits / "seen.csv").write_text("a\n1\n")
    for text, allowed in STATEMENTS.items():
        statement = text.format(to=outside, state=shared.lake.state)
        # Those who may not come first: what they would have done would show in what follows.
        for user in sorted(ACCOUNTS.values(), key=lambda user: user in allowed):
            before = files(shared.lake.lake, outside, edits)
            answer = shared.query(user, statement)
            refused = answer.code != 0 or "error" in answer.stdout
            assert refused == (user not in allowed), (user, statement, answer)
            if refused:
                assert files(shared.lake.lake, outside, edits) == before, (user, statement)
    refused = shared.query("nobody", "SELECT a FROM t")
    assert refused.code != 0 or "error" in refused.stdout
