"""The sequence of the original description, line by line."""


def test_tools_read_and_change_a_table(lake):
    lake.sql("CREATE TABLE data (id INT NOT NULL, name STRING NOT NULL, age INT)")
    lake.sql("INSERT INTO data VALUES (1, 'Alice', 30), (2, 'Bob', 25)")
    assert {"data.csv", "data.jsonl", "data.json", "schema.sql"} <= set(lake.out("ls data").split())
    assert {"data", "schema.sql", ".query", ".sql"} <= set(lake.out("ls -A").split())
    assert lake.cat("data/data.csv") == "id,name,age\n1,Alice,30\n2,Bob,25\n"
    assert lake.out("grep Alice data/data.csv") == "1,Alice,30\n"
    assert lake.out("awk -F',' '{print $2, $3}' data/data.csv") == "name age\nAlice 30\nBob 25\n"
    assert lake.out("wc -l data/data.csv") == "3 data/data.csv\n"
    assert lake.out("sort -t',' -k2 data/data.csv").splitlines() == ["1,Alice,30", "2,Bob,25", "id,name,age"]

    lake.run('echo "3,Charlie,28" >> data/data.csv')
    assert lake.cat("data/data.csv") == "id,name,age\n1,Alice,30\n2,Bob,25\n3,Charlie,28\n"
    assert lake.version("data") == 2

    lake.run("sed -i 's/Alice,30/Alice,31/' data/data.csv")
    assert lake.version("data") == 3
    assert sorted(lake.cat("data/data.csv").splitlines()) == sorted("id,name,age\n1,Alice,31\n2,Bob,25\n3,Charlie,28".splitlines())
    assert lake.cat("data/data.csv") == "id,name,age\n1,Alice,31\n2,Bob,25\n3,Charlie,28\n"

    lake.run('grep -v "2,Bob" data/data.csv > /tmp/temp_data.csv; cat /tmp/temp_data.csv > data/data.csv')
    assert lake.cat("data/data.csv") == "id,name,age\n1,Alice,31\n3,Charlie,28\n"
    assert lake.sql("SELECT * FROM data ORDER BY id") == [["1", "Alice", "31"], ["3", "Charlie", "28"]]
    assert lake.version("data") == 4

    lake.run("rm data/data.csv")
    assert lake.cat("data/data.csv") == "id,name,age\n"
    lake.run("sleep 2.5")
    assert lake.sql("SELECT count(*) FROM data") == [["0"]]
    assert lake.version("data") == 5
    assert lake.cat("data/data.csv") == "id,name,age\n"


def test_folders_are_tables(lake):
    lake.run("mkdir people; printf 'id,name\\n1,Ann\\n2,Ben\\n' > /tmp/p.csv; cp /tmp/p.csv people/data.csv")
    assert lake.cat("people/data.csv") == "id,name\n1,Ann\n2,Ben\n"
    assert lake.sql("SELECT sum(id) FROM people") == [["3"]]
    assert lake.run("rmdir people", check=False).code != 0
    lake.run("mv people persons")
    assert lake.sql("SELECT count(*) FROM persons") == [["2"]]
    assert "people" not in lake.out("ls").split()
    lake.run("rm persons/data.csv; rmdir persons")
    assert lake.out("ls") == "schema.sql\n"


def test_query_answers_what_was_written(lake):
    lake.sql("CREATE TABLE t (a INT)")
    lake.run("echo 'INSERT INTO t VALUES (1), (2)' > .query")
    assert lake.out("echo 'SELECT sum(a) AS s FROM t' > .query; cat .query") == "s\n3\n"
    bad = lake.run("echo 'SELECT nothing FROM t' > /tmp/bad.sql; cp /tmp/bad.sql .query", check=False)
    assert bad.code != 0
    assert "nothing" in lake.cat(".query")
    assert lake.out("echo 'SELECT 1 AS one' > .query; cat .query") == "one\n1\n"
