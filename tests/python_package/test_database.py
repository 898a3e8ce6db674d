"""The API of one table: what each method does, seen by queries and by other engines."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import textwrap
import time

import deltalake
import pyarrow.parquet
import pytest

from posixlake import DatabaseOps, Field, HealthStatus, PosixLakeError, Row, Schema

PEOPLE = '[{"id": 1, "name": "Alice", "age": 30}, {"id": 2, "name": "Bob", "age": null}]'


def version(db):
    return db.get_current_version()


def test_rows_come_back_in_the_form_of_json_dumps(db):
    assert db.insert_json(PEOPLE) == 2
    assert db.query_json("SELECT * FROM data ORDER BY id") == json.dumps(json.loads(PEOPLE))
    assert db.query_json("SELECT * FROM data WHERE id = 9") == "[]"
    assert deltalake.DeltaTable(db.get_base_path()).to_pyarrow_table().num_rows == 2


def test_all_rows_of_an_insert_are_written(db, rows):
    many = [{"id": number, "name": f"n{number}"} for number in range(20_000)]
    assert db.insert_json(json.dumps(many)) == 20_000
    assert rows(db, "SELECT count(*) AS n, sum(id) AS s FROM data") == [{"n": 20_000, "s": 199_990_000}]
    assert version(db) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[]", "InvalidOperation"),
        ('{"id": 1}', "InvalidOperation"),
        ("[1]", "SerializationError"),
        ('[{"id": 1},]', "SerializationError"),
        ('[{"id": 1} {"id": 2}]', "SerializationError"),
        ('[{"id": 1', "SerializationError"),
        ("x", "SerializationError"),
        ('[{"id": tru}]', "SerializationError"),
        ('[{"id": 1, "name": "a", "agee": 3}]', "SchemaError"),
        ('[{"id": "x", "name": "a"}]', "ArrowError"),
        ('[{"id": 1, "name": null}]', "ArrowError"),
        ('[{"name": "a"}]', "ArrowError"),
        ('[{"id": 99999999999, "name": "a"}]', "ArrowError"),
    ],
)
def test_what_cannot_be_inserted_is_refused_and_changes_nothing(db, text, kind):
    with pytest.raises(getattr(PosixLakeError, kind)) as error:
        db.insert_json(text)
    assert error.value.message
    assert version(db) == 0


def test_strings_with_signs_of_json_stay_whole(db, rows):
    names = ['a,b', '[{"x": 1}]', 'quo"te', "back\\slash", "Jürgen\n", "}{", ""]
    db.insert_json(json.dumps([{"id": place, "name": name} for place, name in enumerate(names)]))
    assert [row["name"] for row in rows(db)] == names


def test_keys_with_escapes_are_the_columns_they_spell(db, rows):
    db.insert_json('[{"\\u0069d": 7, "name": "x"}]')
    assert rows(db)[0]["id"] == 7


def test_rows_have_plain_values(people):
    found = people.query("SELECT id, name, age FROM data ORDER BY id")
    assert found == [
        Row(values={"id": "1", "name": "Alice", "age": "30"}),
        Row(values={"id": "2", "name": "Bob", "age": "25"}),
    ]
    assert people.query("SELECT CAST(NULL AS INT) AS n")[0].values == {"n": "NULL"}


def test_merge_changes_what_it_names_in_one_commit(people, rows):
    people.insert_json('[{"id": 3, "name": "Carl", "age": 50}]')
    before = version(people)
    changes = [
        {"id": 1, "name": "Alice Updated", "_op": "UPDATE"},
        {"id": 2, "_op": "DELETE"},
        {"id": 3, "age": None, "_op": "UPDATE"},
        {"id": 4, "name": "David", "_op": "INSERT"},
        {"id": 9, "name": "nobody", "_op": "UPDATE"},
        {"id": 9, "_op": "DELETE"},
    ]
    done = json.loads(people.merge_json(json.dumps(changes[:4]), "id"))
    assert done == {"rows_inserted": 1, "rows_updated": 2, "rows_deleted": 1, "total_affected": 4}
    assert rows(people) == [
        {"id": 1, "name": "Alice Updated", "age": 30},
        {"id": 3, "name": "Carl", "age": None},
        {"id": 4, "name": "David", "age": None},
    ]
    assert version(people) == before + 1
    assert json.loads(people.merge_json(json.dumps(changes[4:5]), "id"))["total_affected"] == 0


def test_merge_by_another_column_touches_only_matched_rows(people, rows):
    people.insert_json('[{"id": 3, "name": "Zoe", "age": 30}]')
    people.merge_json('[{"name": "Zoe", "_op": "DELETE"}]', "name")
    assert [row["id"] for row in rows(people)] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ('[{"id": 1, "_op": "update"}]', "_op is 'update'"),
        ('[{"name": "x", "_op": "DELETE"}]', "no 'id'"),
        ('[{"id": 1, "name": "a", "_op": "UPDATE"}, {"id": 1, "name": "b", "_op": "UPDATE"}]', "id = 1"),
        ('{"id": 1}', "array"),
    ],
)
def test_a_merge_that_means_nothing_is_refused(people, changes, message):
    before = version(people)
    with pytest.raises(PosixLakeError, match=message):
        people.merge_json(changes, "id")
    assert version(people) == before


def test_keys_with_quotes_are_values(db, rows):
    db.insert_json(json.dumps([{"id": 1, "name": "k') or (1=1"}, {"id": 2, "name": "b"}]))
    db.merge_json(json.dumps([{"name": "k') or (1=1", "_op": "DELETE"}]), "name")
    assert [row["id"] for row in rows(db)] == [2]


def test_delete_by_condition(people, rows):
    assert people.delete_rows_where("name LIKE '%li%'") == 1
    assert people.delete_rows_where("1=1 -- all") == 1
    assert rows(people) == []


def test_time_travel(db, rows):
    db.insert_json('[{"id": 1, "name": "Alice"}]')
    first = version(db)
    then = time.time()
    time.sleep(1.1)
    db.insert_json('[{"id": 2, "name": "Bob"}]')
    assert [row["id"] for row in json.loads(db.query_json_at_version("SELECT * FROM data", first))] == [1]
    assert db.query_version("SELECT count(*) AS n FROM data", first)[0].values == {"n": "1"}
    assert json.loads(db.query_version_json("SELECT count(*) AS n FROM data", version=first)) == [{"n": 1}]
    assert json.loads(db.query_json_at_timestamp("SELECT id FROM data", then)) == [{"id": 1}]
    assert json.loads(db.query_timestamp_json("SELECT id FROM data", timestamp_ms=int(then * 1000))) == [{"id": 1}]
    assert len(json.loads(db.query_json_at_timestamp("SELECT * FROM data", int(time.time())))) == 2
    with pytest.raises(PosixLakeError.VersionError):
        db.query_json_at_timestamp("SELECT * FROM data", 1_000_000_000)
    with pytest.raises(PosixLakeError.NotFound):
        db.query_json_at_version("SELECT * FROM data", 99)
    history = db.get_version_history()
    assert [entry["version"] for entry in history] == [2, 1, 0]
    assert [entry["operation"] for entry in history] == ["WRITE", "WRITE", "CREATE TABLE"]
    assert abs(history[0]["timestamp"] / 1000 - time.time()) < 60


def test_maintenance_says_what_it_did(db, rows):
    for number in range(5):
        db.insert_json(json.dumps([{"id": number, "name": "n"}]))
    assert len(db.list_parquet_files()) == 5
    assert json.loads(db.optimize())["numFilesRemoved"] == 5
    assert len(db.list_parquet_files()) == 1
    assert len(db.vacuum_dry_run(0)) == 5
    assert json.loads(db.vacuum(retention_hours=168))["files_deleted"] == 0
    assert json.loads(db.vacuum(0))["files_deleted"] == 5
    assert json.loads(db.zorder(columns=["id", "name"]))
    with pytest.raises(PosixLakeError.InvalidOperation):
        db.zorder([])
    db.optimize_with_target_size(1 << 20)
    assert len(rows(db)) == 5


def test_skipping_is_what_the_scan_did(db):
    for start in (0, 100, 200):
        db.insert_json(json.dumps([{"id": start + place, "name": "n"} for place in range(10)]))
    db.query_json("SELECT * FROM data WHERE id >= 200")
    stats = db.get_data_skipping_stats()
    assert (stats.total_files, stats.files_read, stats.files_skipped) == (3, 1, 2)
    assert json.loads(stats)["files_skipped"] == 2


def test_metrics_and_health(people):
    people.query_json("SELECT 1")
    with pytest.raises(PosixLakeError):
        people.query_json("SELECT nothing")
    metrics = people.get_metrics()
    assert (metrics.total_queries, metrics.total_inserts, metrics.total_errors) == (1, 1, 1)
    assert json.loads(metrics)["total_queries"] == 1
    health = people.health_check()
    assert isinstance(health, HealthStatus) and health and health.status == "healthy"
    assert (health.total_rows, health.total_files) == (2, 1)


def test_primary_key(folder):
    fields = [Field(name="id", data_type="Int32", nullable=False), Field(name="email", data_type="String", nullable=False)]
    keyed = DatabaseOps.create(folder + "/keyed", Schema(fields=fields, primary_key="email"))
    assert keyed.primary_key() == "email" and keyed.get_schema().primary_key == "email"
    keyed.set_primary_key("id")
    assert DatabaseOps.open(folder + "/keyed").primary_key() == "id"
    assert DatabaseOps.create(folder + "/free", Schema(fields=fields)).primary_key() is None


def test_import_of_files(folder):
    path = folder + "/people.csv"
    with open(path, "w") as file:
        file.write("id,name,height,tall\n1,Ann,1.8,true\n2,,1.6,false\n")
    db = DatabaseOps.create_from_csv(folder + "/csv", path)
    assert [field.data_type for field in db.get_schema().fields] == ["Int64", "String", "Float64", "Boolean"]
    for part in range(3):
        table = pyarrow.table({"id": [part * 2, part * 2 + 1]})
        pyarrow.parquet.write_table(table, f"{folder}/part-{part}.parquet")
    db = DatabaseOps.create_from_parquet(folder + "/parquet", folder + "/part-*.parquet")
    assert json.loads(db.query_json("SELECT count(*) AS n, max(id) AS m FROM data")) == [{"n": 6, "m": 5}]


def test_opening_what_is_not_there(folder, db):
    with pytest.raises(PosixLakeError.NotFound):
        DatabaseOps.open(folder + "/nothing")
    with pytest.raises(PosixLakeError.AlreadyExists):
        DatabaseOps.create(folder + "/db", db.get_schema())
    with pytest.raises(ValueError, match="create"):
        DatabaseOps()


def test_variables_are_tables(people):
    bonus = pyarrow.table({"id": [1, 2], "bonus": [10, 20]})
    found = json.loads(people.query_json("SELECT d.name, b.bonus FROM data d JOIN bonus b ON d.id = b.id ORDER BY 1"))
    assert found == [{"name": "Alice", "bonus": 10}, {"name": "Bob", "bonus": 20}]
    assert bonus.num_rows == 2


def test_async(people):
    async def work():
        await people.insert_json_async('[{"id": 3, "name": "Carl"}]')
        return await asyncio.gather(*(people.query_json_async("SELECT count(*) AS n FROM data") for _ in range(4)))

    assert asyncio.run(work()) == ['[{"n": 3}]'] * 4


# Buffered rows


def count(path):
    return json.loads(DatabaseOps.open(path).query_json("SELECT count(*) AS n FROM data"))[0]["n"]


def test_buffered_rows_are_written_together(db):
    for number in range(100):
        assert db.insert_buffered_json(json.dumps([{"id": number, "name": "n"}])) == 1
    assert count(db.get_base_path()) == 0
    db.flush_write_buffer()
    assert count(db.get_base_path()) == 100
    assert version(db) == 1
    db.flush_write_buffer()
    assert version(db) == 1


def test_a_full_buffer_is_written(db):
    for number in range(1100):
        db.insert_buffered_json(json.dumps([{"id": number, "name": "n"}]))
    assert count(db.get_base_path()) == 1000
    db.close()
    assert count(db.get_base_path()) == 1100
    db.set_write_buffer(rows=2)
    db.insert_buffered_json('[{"id": 1, "name": "n"}, {"id": 1, "name": "n"}]')
    assert count(db.get_base_path()) == 1102


def test_a_buffer_is_written_after_a_time(db):
    db.set_write_buffer(seconds=0.2)
    db.insert_buffered_json('[{"id": 1, "name": "n"}]')
    for _ in range(100):
        if count(db.get_base_path()):
            break
        time.sleep(0.1)
    assert count(db.get_base_path()) == 1


def test_a_forgotten_database_writes_its_buffer(folder, db):
    path = db.get_base_path()
    other = DatabaseOps.open(path)
    other.insert_buffered_json('[{"id": 1, "name": "n"}]')
    del other
    gc.collect()
    assert count(path) == 1


def test_rows_of_a_failed_write_stay_in_the_buffer(db):
    db.insert_buffered_json('[{"id": 1, "name": null}]')
    with pytest.raises(PosixLakeError.SchemaError):
        db.flush_write_buffer()
    with pytest.raises(PosixLakeError.SchemaError):
        db.flush_write_buffer()
    db.query_json("ALTER TABLE data ALTER COLUMN name DROP NOT NULL")
    db.flush_write_buffer()
    assert count(db.get_base_path()) == 1


def test_buffered_rows_outlive_the_end_of_python(db):
    script = f"""
        from posixlake import DatabaseOps
        db = DatabaseOps.open({db.get_base_path()!r})
        db.insert_buffered_json('[{{"id": 1, "name": "n"}}]')
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
    assert count(db.get_base_path()) == 1


def test_threads_that_wait_do_not_end_forked_processes(db):
    script = f"""
        import os, signal
        from concurrent.futures import ThreadPoolExecutor
        from posixlake import DatabaseOps

        def ask(database):
            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(lambda _: database.query_json("SELECT count(*) AS n FROM data"), range(8)))
            assert answers == ['[{{"n": 0}}]'] * 8, answers

        database = DatabaseOps.open({db.get_base_path()!r})
        for _ in range(5):
            ask(database)
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                ask(DatabaseOps.open({db.get_base_path()!r}))
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        ask(database)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=300)


def test_a_forked_process_runs_statements_and_leaves_its_parents_rows(db):
    db.insert_buffered_json('[{"id": 1, "name": "n"}]')
    child = os.fork()
    if child == 0:
        other = DatabaseOps.open(db.get_base_path())
        other.insert_json('[{"id": 2, "name": "n"}]')
        os._exit(0 if count(db.get_base_path()) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    db.flush_write_buffer()
    assert count(db.get_base_path()) == 2
