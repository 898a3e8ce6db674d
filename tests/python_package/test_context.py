"""A lake as a context of datafusion whose `sql` takes everything."""

import asyncio
import gc
import json
import signal
import threading
import time

import datafusion
import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest
from datafusion import SessionContext, SQLOptions, col, functions, lit

import posixlake
from posixlake import PosixLakeError


def ids(frame):
    return sorted(frame.to_pydict()["id"])


@pytest.fixture
def t(ctx):
    ctx.sql("CREATE TABLE t (id INT NOT NULL, name STRING)")
    ctx.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    return ctx


def test_it_is_a_context_of_datafusion(ctx):
    assert isinstance(ctx, SessionContext)
    assert isinstance(ctx.sql("SELECT 1"), datafusion.DataFrame)


def test_every_statement_runs_once_and_at_once(t):
    frame = t.sql("INSERT INTO t VALUES (3, 'c')")
    assert frame.to_pydict() == {"count": [1]}
    assert frame.collect() and frame.count() == 1
    frame._repr_html_()
    assert ids(t.sql("SELECT id FROM t")) == [1, 2, 3]
    merge = "MERGE INTO t USING (VALUES (1, 'A'), (9, 'z')) AS s (id, name) ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    assert t.sql(merge).to_pydict()["num_affected_rows"] == [2]
    t.sql("DELETE FROM t WHERE id = 9").show()
    t.sql("OPTIMIZE t")
    assert t.sql("DESCRIBE HISTORY t LIMIT 1").to_pydict()["operation"] == ["OPTIMIZE"]
    t.sql("EXPLAIN DELETE FROM t")
    assert ids(t.sql("SELECT id FROM t")) == [1, 2, 3]


def test_results_in_every_form(t):
    frame = t.sql("SELECT id, name FROM t ORDER BY id")
    expected = {"id": [1, 2], "name": ["a", "b"]}
    assert frame.to_pandas().to_dict("list") == expected
    assert frame.to_polars().to_dict(as_series=False) == expected
    assert frame.to_arrow_table().to_pydict() == expected
    assert pyarrow.table(frame).to_pydict() == expected
    assert polars.DataFrame(frame).to_dict(as_series=False) == expected
    assert duckdb.sql("SELECT sum(id) FROM frame").fetchall() == [(3,)]
    assert "alice" not in frame._repr_html_() and "<table" in frame._repr_html_()


def test_columns_of_one_name_are_told_apart(t):
    frame = t.sql("SELECT a.id, b.id FROM t a JOIN t b ON a.id = b.id ORDER BY 1")
    assert list(frame.to_pydict().values()) == [[1, 2], [1, 2]]


def test_time_travel(t):
    t.sql("UPDATE t SET name = 'x'")
    assert t.table("t@v1").sort("id").to_pydict()["name"] == ["a", "b"]
    assert t.sql("SELECT name FROM t VERSION AS OF 1 WHERE id = 1").to_pydict() == {"name": ["a"]}
    assert t.table("t$history").count() == 3
    with pytest.raises(PosixLakeError.NotFound):
        t.table("t@v99")
    assert t.table_exist("t") and not t.table_exist("u")


def test_the_api_of_frames(t, folder):
    frame = t.table("t").filter(col("id") > lit(1)).select(col("name"), (col("id") * lit(10)).alias("ten"))
    assert frame.to_pydict() == {"name": ["b"], "ten": [20]}
    joined = t.table("t").join(t.table("t@v1").select(col("id").alias("other")), left_on="id", right_on="other")
    assert joined.aggregate([], [functions.count(col("id")).alias("n")]).to_pydict() == {"n": [2]}
    frame.write_parquet(folder + "/out.parquet")
    assert t.sql(f"SELECT * FROM '{folder}/out.parquet'").to_pydict()["ten"] == [20]
    t.table("t").write_table("lake.\"default\".t")
    assert t.table("t").count() == 4


def test_a_frame_outlives_its_context(folder):
    def frame():
        ctx = posixlake.connect(folder + "/lake")
        ctx.sql("CREATE TABLE t AS SELECT 1 AS id")
        return ctx.table("t")

    kept = frame()
    gc.collect()
    assert kept.filter(col("id") == lit(1)).to_pydict() == {"id": [1]}


def test_filters_skip_files(t):
    t.sql("INSERT INTO t VALUES (100, 'c')")
    assert "files=1/2" in str(t.table("t").filter(col("id") > lit(50)).execution_plan())


@pytest.mark.parametrize(
    "make",
    [
        lambda table: table,
        lambda table: table.to_pandas(),
        lambda table: polars.from_arrow(table),
        lambda table: duckdb.from_arrow(table),
        lambda table: SessionContext().from_arrow(table),
        lambda table: pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches()),
        lambda table: polars.from_arrow(table).to_series(0).to_frame().with_columns(name=polars.Series(["x", "y"])),
    ],
    ids=["pyarrow", "pandas", "polars", "duckdb", "datafusion", "reader", "series"],
)
def test_variables_are_tables(t, make):
    df = make(pyarrow.table({"id": pyarrow.array([10, 11], pyarrow.int32()), "name": ["x", "y"]}))
    assert t.sql("INSERT INTO t SELECT * FROM df").to_pydict() == {"count": [2]}
    assert ids(t.sql("SELECT id FROM t")) == [1, 2, 10, 11]
    assert df is not None


def test_variables_are_sources_of_merges_and_of_new_tables(t):
    changes = pandas.DataFrame({"id": numpy.array([2, 3], "int32"), "name": ["B", "C"]})
    t.sql("MERGE INTO t USING changes ON t.id = changes.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")
    assert t.sql("SELECT name FROM t ORDER BY id").to_pydict() == {"name": ["a", "B", "C"]}
    t.sql("CREATE TABLE u AS SELECT * FROM changes")
    t.sql("UPDATE t SET name = 'none' WHERE id IN (SELECT id FROM changes)")
    t.sql("DELETE FROM t USING changes WHERE t.id = changes.id")
    assert ids(t.sql("SELECT id FROM t")) == [1] and ids(t.table("u")) == [2, 3]


def test_a_table_of_the_lake_goes_before_a_variable(ctx):
    ctx.sql("CREATE TABLE twice AS SELECT 1 AS id")
    twice = pyarrow.table({"id": [2]})
    assert ids(ctx.sql("SELECT * FROM twice")) == [1]
    assert twice.num_rows == 1


def test_registered_tables_are_joined(t, folder):
    with open(folder + "/more.csv", "w") as file:
        file.write("id,extra\n1,x\n5,y\n")
    t.register_csv("more", folder + "/more.csv")
    t.from_pydict({"id": [2], "flag": [True]}, name="flags")
    found = t.sql("SELECT t.id, extra FROM t JOIN more ON t.id = more.id")
    assert found.to_pydict() == {"id": [1], "extra": ["x"]}
    assert t.sql("SELECT t.id FROM t JOIN flags USING (id)").to_pydict() == {"id": [2]}


def test_parameters(t):
    frame = t.sql("SELECT name FROM t WHERE id = $id AND '$id' <> name", param_values={"id": 2})
    assert frame.to_pydict() == {"name": ["b"]}
    assert t.sql("SELECT count(*) AS n FROM $rows", rows=t.table("t")).to_pydict() == {"n": [2]}
    assert t.sql("SELECT $a AS a", param_values={"a": "it's"}).to_pydict() == {"a": ["it's"]}


def test_options_refuse_changes(t):
    read_only = SQLOptions().with_allow_dml(False)
    for statement in ("DELETE FROM t", "OPTIMIZE t", "CALL vacuum('t')", "CREATE TABLE u (id INT)"):
        with pytest.raises(PosixLakeError.PermissionDenied):
            t.sql_with_options(statement, read_only)
    assert t.sql_with_options("SELECT id FROM t", read_only).count() == 2
    assert t.sql("DELETE FROM t WHERE id = 1", options=SQLOptions()).to_pydict() == {"count": [1]}


def test_large_results_stream(ctx):
    frame = ctx.sql("SELECT value AS id, value * 2 AS twice FROM generate_series(1, 3000000)")
    batches = list(frame.execute_stream())
    assert len(batches) > 10 and sum(batch.to_pyarrow().num_rows for batch in batches) == 3_000_000


def test_a_stream_that_is_left_is_ended(ctx):
    reader = pyarrow.RecordBatchReader.from_stream(ctx.sql("SELECT * FROM generate_series(1, 1000000000)"))
    assert reader.read_next_batch().num_rows
    del reader


def test_threads_share_a_context(t):
    errors = []

    def work(number):
        try:
            for turn in range(5):
                t.sql(f"INSERT INTO t VALUES ({number * 100 + turn + 10}, 'x')")
                assert t.sql("SELECT count(*) AS n FROM t").to_pydict()["n"][0] >= 3
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert t.table("t").count() == 42


def test_other_threads_run_while_a_statement_does(ctx):
    ticks = []
    running = threading.Event()

    def tick():
        while not running.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    ctx.sql("CREATE TABLE big AS SELECT value AS id FROM generate_series(1, 3000000)")
    running.set()
    thread.join()
    assert len(ticks) > 5


def test_ctrl_c_ends_a_statement(ctx):
    # What a shell starts in the background ignores interrupts, and so would this.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,))
    begun = time.monotonic()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ctx.sql(
                "CREATE TABLE far AS SELECT value % 7 AS k, count(*) AS n FROM generate_series(1, 1000000000000) GROUP BY 1"
            )
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 20
    assert not ctx.table_exist("far")


def test_async(t):
    async def work():
        frames = await asyncio.gather(*(t.sql_async("SELECT count(*) AS n FROM t") for _ in range(4)))
        return [frame.to_pydict()["n"] for frame in frames]

    assert asyncio.run(work()) == [[2]] * 4


def test_settings(folder):
    ctx = posixlake.connect(folder, settings={"datafusion.execution.target_partitions": "1"}, memory_limit=1 << 26)
    shown = ctx.sql("SHOW datafusion.execution.target_partitions").to_pydict()
    assert shown["value"] == ["1"]
    for wrong in ({"datafusion.execution.target_partition": "1"}, {"datafusion.execution.target_partitions": "many"}, {"a b": "1"}, {"": "1"}):
        with pytest.raises(posixlake.PosixLakeError) as error:
            posixlake.connect(folder, settings=wrong)
        assert next(iter(wrong)) in str(error.value)


def test_a_lake_without_a_place(folder):
    ctx = posixlake.connect()
    ctx.sql(f"CREATE TABLE delta.`{folder}/one` AS SELECT 1 AS id")
    assert json.dumps(ctx.sql(f"SELECT * FROM delta.`{folder}/one`").to_pydict()) == '{"id": [1]}'
