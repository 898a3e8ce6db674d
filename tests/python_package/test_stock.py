"""A lake in a context of datafusion that posixlake did not make."""

import threading

import pyarrow
import pytest
from datafusion import SessionConfig, SessionContext, col, lit, udf

import posixlake


def run(ctx, sql):
    return ctx.sql(sql).to_pydict()


@pytest.fixture
def stock(folder):
    ctx = SessionContext(SessionConfig().with_target_partitions(8))
    posixlake.register(ctx, folder + "/lake", default=True)
    ctx.sql("CREATE TABLE t AS SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, 'b'").collect()
    return ctx


def test_tables_are_made_read_and_dropped(stock, folder):
    assert sorted(run(stock, "SELECT id FROM t")["id"]) == [1, 2]
    other = posixlake.connect(folder + "/lake")
    assert other.sql("DESCRIBE HISTORY t").to_pydict()["operation"] == ["CREATE TABLE AS SELECT"]
    assert run(stock, "INSERT INTO t VALUES (3, 'c')") == {"count": [1]}
    assert run(stock, "SELECT count(*) AS n FROM t") == {"n": [3]}
    assert run(stock, 'SELECT count(*) AS n FROM "t@v0"') == {"n": [2]}
    assert run(stock, "SELECT count(*) AS n FROM t@v0") == {"n": [2]}
    assert len(run(stock, 'SELECT version FROM "t$history"')["version"]) == 2
    with pytest.raises(Exception, match="own catalog"):
        stock.sql("CREATE VIEW v AS SELECT id + 1 AS next FROM t").collect()
    stock.sql("CREATE VIEW datafusion.public.v AS SELECT id + 1 AS next FROM t").collect()
    assert max(run(stock, "SELECT next FROM datafusion.public.v")["next"]) == 4
    stock.sql("DROP TABLE t").collect()
    assert not other.table_exist("t")


def test_names_in_full(folder):
    ctx = SessionContext()
    posixlake.register(ctx, folder, name="house")
    ctx.sql('CREATE TABLE house."default".t AS SELECT 5 AS id').collect()
    assert run(ctx, 'SELECT id FROM house."default".t') == {"id": [5]}
    assert ctx.catalog("house").schema("default").table("t").schema.names == ["id"]


def test_an_insert_of_eight_partitions_loses_no_row(stock):
    parts = [[pyarrow.record_batch({"id": list(range(n * 1000, n * 1000 + 1000))})] for n in range(8)]
    frame = stock.create_dataframe(parts)
    stock.sql("CREATE TABLE numbers AS SELECT CAST(0 AS BIGINT) AS id LIMIT 0").collect()
    frame.write_table("numbers")
    assert run(stock, "SELECT count(*) AS n, sum(id) AS s FROM numbers") == {"n": [8000], "s": [sum(range(8000))]}
    assert len(run(stock, 'SELECT version FROM "numbers$history"')["version"]) == 2
    stock.sql("INSERT INTO numbers SELECT id % 10 FROM numbers GROUP BY id % 10").collect()
    assert run(stock, "SELECT count(*) AS n FROM numbers") == {"n": [8010]}


def test_filters_are_pushed_down(stock):
    stock.sql("INSERT INTO t VALUES (100, 'z')").collect()
    plan = "\n".join(run(stock, "EXPLAIN SELECT name FROM t WHERE id > 50")["plan"])
    assert "files=1/3" in plan
    assert run(stock, "SELECT name FROM t WHERE id > 50 AND name LIKE 'z%'") == {"name": ["z"]}


def test_functions_of_the_host_are_conditions_too(stock):
    even = udf(lambda values: pyarrow.array([value.as_py() % 2 == 0 for value in values]), [pyarrow.int64()], pyarrow.bool_(), "stable")
    stock.register_udf(udf(lambda v: pyarrow.array([x.as_py() % 2 == 0 for x in v]), [pyarrow.int64()], pyarrow.bool_(), "immutable", "even"))
    assert run(stock, "SELECT id FROM t WHERE even(id)") == {"id": [2]}
    assert stock.table("t").filter(even(col("id"))).to_pydict()["id"] == [2]


def test_joins_with_tables_of_the_host(stock):
    other = SessionContext()
    posixlake.register(other, stock_folder(stock))
    other.from_pydict({"id": [2, 3], "more": ["x", "y"]}, name="host")
    joined = 'SELECT t.id, more FROM lake."default".t JOIN host ON t.id = host.id'
    assert run(other, joined) == {"id": [2], "more": ["x"]}
    frame = other.table('lake."default".t').filter(col("id") == lit(1))
    assert frame.to_pydict()["name"] == ["a"]


def stock_folder(stock):
    location = run(stock, 'SELECT location FROM "t$detail"')["location"][0]
    return location.removeprefix("file://").rstrip("/").rsplit("/", 1)[0]


def test_any_statement_as_a_function(stock):
    assert run(stock, "SELECT * FROM posixlake_sql('UPDATE t SET name = ''x'' WHERE id = 1')") == {"count": [1]}
    assert run(stock, "SELECT path FROM posixlake_sql('OPTIMIZE t')")["path"]
    assert run(stock, "SELECT operation FROM posixlake_sql('DESCRIBE HISTORY t') LIMIT 1") == {"operation": ["OPTIMIZE"]}
    assert run(stock, "SELECT name FROM posixlake_sql('SELECT * FROM t VERSION AS OF 0') WHERE id = 1") == {"name": ["a"]}
    plan = stock.sql("EXPLAIN SELECT * FROM posixlake_sql('DELETE FROM t')")
    plan.collect()
    assert run(stock, "SELECT count(*) AS n FROM t") == {"n": [2]}
    with pytest.raises(Exception, match="nothing"):
        stock.sql("SELECT * FROM posixlake_sql('SELECT nothing FROM t')")


def test_readers_of_files_are_functions(stock, folder):
    with open(folder + "/x.csv", "w") as file:
        file.write("a,b\n1,2\n")
    assert run(stock, f"SELECT a FROM read_csv('{folder}/x.csv')") == {"a": [1]}


def test_what_the_host_cannot_do_says_so(stock):
    for statement in ("UPDATE t SET name = 'q'", "DELETE FROM t"):
        with pytest.raises(Exception):
            stock.sql(statement).collect()
    assert run(stock, "SELECT count(*) AS n FROM t") == {"n": [2]}
    with pytest.raises(Exception, match="version"):
        stock.sql("SELECT * FROM \"t@v99\"").collect()
    with pytest.raises(Exception):
        stock.sql("INSERT INTO t@v0 VALUES (1, 'a')").collect()


def test_an_installed_context_takes_everything(folder):
    ctx = SessionContext()
    assert posixlake.install(ctx, folder + "/lake") is ctx
    ctx.sql("CREATE TABLE t (id INT)")
    ctx.sql("INSERT INTO t VALUES (1), (2)")
    ctx.sql("DELETE FROM t WHERE id = 1")
    assert ctx.sql("SELECT * FROM t").to_pydict() == {"id": [2]}
    assert ctx.table("t@v1").count() == 2


def test_threads_hammer_one_context(stock):
    errors = []

    def work(number):
        try:
            for turn in range(5):
                stock.sql(f"INSERT INTO t VALUES ({number * 10 + turn}, 'x')").collect()
                stock.sql("SELECT count(*) FROM t WHERE id >= 0").collect()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert run(stock, "SELECT count(*) AS n FROM t") == {"n": [42]}
