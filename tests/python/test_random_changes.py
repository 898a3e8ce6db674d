"""Random statements, and a plain model of what they mean: the table is the model, after each and at every version."""

import collections
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder

KEYS = [None, "", "a", "b", "ü'"]
PARTITIONS = [None, 0, 1, 2]
STATEMENTS = 25
# How many runs each kind of table gets; every run is of statements of its own.
RUNS = int(os.environ.get("POSIXLAKE_RUNS", "1"))


def text(value):
    """A value as SQL."""
    match value:
        case None:
            return "NULL"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return repr(value)


def typed(row):
    names = zip(row, ("BIGINT", "STRING", "DOUBLE", "INT"), strict=True)
    return ", ".join(f"CAST({text(value)} AS {kind})" for value, kind in names)


def relation(rows, name):
    """Rows as a relation with the columns id, k, v and p."""
    if not rows:
        return f"(SELECT CAST(1 AS BIGINT) AS id, 'a' AS k, 1.0 AS v, CAST(0 AS INT) AS p WHERE false) AS {name}"
    return f"(VALUES {', '.join(f'({typed(row)})' for row in rows)}) AS {name} (id, k, v, p)"


class Choice:
    """Conditions and assignments, each as SQL and as a function of a row."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def row(self):
        pick = self.random
        number = None if pick.random() < 0.05 else pick.randint(1, 40)
        value = None if pick.random() < 0.1 else pick.choice([0.0, -1.5, 2.25, float(pick.randint(-50, 50))])
        return (number, pick.choice(KEYS), value, pick.choice(PARTITIONS))

    def new_rows(self, most=12):
        found = [self.row() for _ in range(self.random.randint(1, most))]
        # Whole rows come more than once.
        return found + self.random.choices(found, k=self.random.randint(0, 3))

    def condition(self, prefix="", depth=0):
        """SQL's three values: the function answers True, False or None."""
        pick = self.random
        kind = pick.randint(0, 9 if depth < 2 else 6)
        number, key, part = pick.randint(1, 40), pick.choice(KEYS[1:]), pick.choice(PARTITIONS[1:])

        def compare(place, test):
            return lambda row: None if row[place] is None else test(row[place])

        match kind:
            case 0:
                return f"{prefix}id < {number}", compare(0, lambda x: x < number)
            case 1:
                few = sorted(pick.sample(range(1, 41), 6))
                return f"{prefix}id IN ({', '.join(map(str, few))})", compare(0, lambda x: x in few)
            case 2:
                return f"{prefix}k = {text(key)}", compare(1, lambda x: x == key)
            case 3:
                place, name = pick.choice([(0, "id"), (1, "k"), (2, "v"), (3, "p")])
                return f"{prefix}{name} IS NULL", lambda row: row[place] is None
            case 4:
                return f"{prefix}v >= {float(number - 20)}", compare(2, lambda x: x >= number - 20)
            case 5:
                return f"{prefix}p = {part}", compare(3, lambda x: x == part)
            case 6:
                rest = pick.randint(0, 4)
                return f"{prefix}id % 5 = {rest}", compare(0, lambda x: x % 5 == rest)
            case 7:
                (one, first), (two, second) = (self.condition(prefix, depth + 1) for _ in range(2))

                def both(row):
                    answers = (first(row), second(row))
                    return False if False in answers else None if None in answers else True

                return f"({one} AND {two})", both
            case 8:
                (one, first), (two, second) = (self.condition(prefix, depth + 1) for _ in range(2))

                def either(row):
                    answers = (first(row), second(row))
                    return True if True in answers else None if None in answers else False

                return f"({one} OR {two})", either
            case _:
                one, first = self.condition(prefix, depth + 1)
                return f"NOT ({one})", lambda row: None if first(row) is None else not first(row)

    def assignment(self, prefix=""):
        pick = self.random
        number, key, part = pick.randint(1, 40), pick.choice(KEYS), pick.choice(PARTITIONS)
        match pick.randint(0, 5):
            case 0:
                more = lambda value: None if value is None else value + number
                return f"v = {prefix}v + {number}", lambda r: (r[0], r[1], more(r[2]), r[3])
            case 1:
                return f"k = {text(key)}", lambda r: (r[0], key, r[2], r[3])
            case 2:
                return f"p = {text(part)}", lambda r: (r[0], r[1], r[2], part)
            case 3:
                return f"id = {prefix}id + 1, v = {prefix}id", lambda r: (
                    None if r[0] is None else r[0] + 1,
                    r[1],
                    None if r[0] is None else float(r[0]),
                    r[3],
                )
            case 4:
                return f"k = {prefix}k || 'x'", lambda r: (r[0], None if r[1] is None else (r[1] + "x"), r[2], r[3])
            case _:
                return f"v = NULL, p = {number % 3}", lambda r: (r[0], r[1], None, number % 3)


class Model:
    """The table's rows, and the rows at every version."""

    def __init__(self, seed, partitioned):
        self.choice = Choice(seed)
        self.rows = []
        self.partitioned = partitioned

    def statement(self):
        """The next statement; the rows are what it leaves."""
        kinds = ["insert"] * 4 + ["update"] * 4 + ["delete"] * 3 + ["merge"] * 5 + ["replace", "optimize", "duplicates"]
        kinds += ["optimize", "overwrite", "subquery"] + ["partition"] * self.partitioned
        return getattr(self, self.choice.random.choice(kinds))()

    def insert(self):
        new = self.choice.new_rows()
        self.rows = self.rows + new
        return f"INSERT INTO t SELECT * FROM {relation(new, 's')}"

    def duplicates(self):
        sql, test = self.choice.condition()
        few = [row for row in self.rows if test(row)]
        if len(self.rows) + len(few) > 120:
            return self.delete()
        self.rows = self.rows + few
        return f"INSERT INTO t SELECT * FROM t WHERE {sql}"

    def update(self):
        (sql, test), (to, change) = self.choice.condition(), self.choice.assignment()
        self.rows = [change(row) if test(row) else row for row in self.rows]
        return f"UPDATE t SET {to} WHERE {sql}"

    def delete(self):
        sql, test = self.choice.condition()
        self.rows = [row for row in self.rows if not test(row)]
        return f"DELETE FROM t WHERE {sql}"

    def subquery(self):
        sql, test = self.choice.condition()
        ids = {row[0] for row in self.rows if test(row) and row[0] is not None}
        self.rows = [row for row in self.rows if row[0] is None or row[0] + 1 not in ids]
        return f"DELETE FROM t WHERE id + 1 IN (SELECT id FROM t AS o WHERE id IS NOT NULL AND {sql})"

    def replace(self):
        sql, test = self.choice.condition()
        new = [row for row in self.choice.new_rows() if test(row)]
        self.rows = [row for row in self.rows if not test(row)] + new
        return f"INSERT INTO t REPLACE WHERE {sql} SELECT * FROM {relation(new, 's')}"

    def optimize(self):
        return self.choice.random.choice(["OPTIMIZE t", "OPTIMIZE t ZORDER BY (id, k)"])

    def overwrite(self):
        if self.choice.random.random() < 0.5:
            sql, test = self.choice.condition()
            self.rows = [(row[0], row[1], row[2], 1) for row in self.rows if test(row)]
            return f"INSERT OVERWRITE t SELECT id, k, v, 1 FROM t WHERE {sql}"
        self.rows = self.choice.new_rows(30)
        return f"INSERT OVERWRITE t SELECT * FROM {relation(self.rows, 's')}"

    def partition(self):
        part = self.choice.random.choice(PARTITIONS[1:])
        new = [row[:3] + (part,) for row in self.choice.new_rows()]
        self.rows = [row for row in self.rows if row[3] != part] + new
        return f"INSERT OVERWRITE t PARTITION (p = {part}) SELECT id, k, v FROM {relation(new, 's')}"

    def merge(self):
        pick = self.choice.random
        # Each target row may meet one source row: the ids of the source are distinct, and may be NULL.
        source = list({row[0]: row for row in self.choice.new_rows(20)}.values())
        by_id = {row[0]: row for row in source if row[0] is not None}
        clauses = []
        for kind in ("MATCHED", "NOT MATCHED", "NOT MATCHED BY SOURCE"):
            for last in (False, True)[pick.randint(0, 1) :]:
                if pick.random() < 0.35:
                    continue
                prefix = "s." if kind == "NOT MATCHED" else "t."
                sql, test = ("", lambda row: True) if last else self.choice.condition(prefix)
                if kind == "NOT MATCHED":
                    action = pick.choice(["*", "(id, v) VALUES (s.id, s.v)"])
                    every = action == "*"
                    change = f"INSERT {action}", lambda s, every=every: s if every else (s[0], None, s[2], None)
                elif kind == "MATCHED" and pick.random() < 0.3:
                    change = pick.choice(
                        [
                            ("UPDATE SET *", lambda t, s: s),
                            ("UPDATE SET k = s.k, v = s.v", lambda t, s: (t[0], s[1], s[2], t[3])),
                        ]
                    )
                elif pick.random() < 0.4:
                    change = "DELETE", None
                else:
                    to, function = self.choice.assignment("t.")
                    change = f"UPDATE SET {to}", lambda t, s, function=function: function(t)
                clauses.append((kind, sql, test, *change))
        if not clauses:
            clauses.append(("MATCHED", "", lambda row: True, "DELETE", None))
        left, met = [], set()
        for row in self.rows:
            other = by_id.get(row[0])
            if other:
                met.add(row[0])
            kind = "MATCHED" if other else "NOT MATCHED BY SOURCE"
            for _, _, _, _, change in [clause for clause in clauses if clause[0] == kind and clause[2](row)][:1]:
                if change:
                    left.append(change(row, other))
                break
            else:
                left.append(row)
        for row in source:
            if row[0] is None or row[0] not in met:
                for clause in [clause for clause in clauses if clause[0] == "NOT MATCHED" and clause[2](row)][:1]:
                    left.append(clause[4](row))
        self.rows = left
        words = [f"WHEN {kind}{' AND ' + sql if sql else ''} THEN {action}" for kind, sql, _, action, _ in clauses]
        return f"MERGE INTO t USING {relation(source, 's')} ON t.id = s.id {' '.join(words)}"


def counted(rows):
    return collections.Counter(tuple(row) for row in rows)


def read(file):
    return counted(row.values() for row in pq.read_table(file, columns=["id", "k", "v", "p"]).to_pylist())


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("layout", ["", "PARTITIONED BY (p)"])
@pytest.mark.parametrize("vectors", ["true", "false"])
def test_the_table_is_the_model(lake, vectors, layout, run):
    model = Model(4 * run + 2 * (vectors == "true") + bool(layout), bool(layout))
    copy = "COPY ({}) TO '{}' STORED AS PARQUET"
    folder = lake.folder.parent
    file = str(folder / "after{}.parquet")
    script = [
        f"CREATE TABLE t (id BIGINT, k STRING, v DOUBLE, p INT) {layout} "
        f"TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')"
    ]
    states = []
    for number in range(STATEMENTS):
        script.append(model.statement())
        script.append(copy.format("SELECT * FROM t", file.format(number)))
        states.append(counted(model.rows))
    answer = lake.run(*script)
    for number, state in enumerate(states):
        statement = script[1 + 2 * number]
        try:
            found = read(file.format(number))
        except FileNotFoundError:
            pytest.fail(f"{statement}: {answer.stderr}")
        assert found == state, f"statement {number}: {statement}\nmore: {found - state}\nless: {state - found}"
    assert answer.returncode == 0, answer.stderr
    at_every_version(lake, model, states)


def at_every_version(lake, model, states):
    """The states come again in time travel and after RESTORE; statements that changed nothing made no version."""
    latest = DeltaTable(lake.path("t")).version()
    file = str(lake.folder.parent / "version{}.parquet")
    copy = "COPY ({}) TO '{}' STORED AS PARQUET"
    lake.sql(*[copy.format(f"SELECT * FROM t VERSION AS OF {n}", file.format(n)) for n in range(latest + 1)])
    found = [read(file.format(version)) for version in range(latest + 1)]

    def without_repeats(list_of_states):
        return [state for place, state in enumerate(list_of_states) if not place or state != list_of_states[place - 1]]

    assert without_repeats(found) == without_repeats([counted([]), *states])
    theirs = QueryBuilder().register("t", DeltaTable(lake.path("t"))).execute("SELECT id, k, v, p FROM t")
    assert counted(row.values() for row in pa.table(theirs.read_all()).to_pylist()) == states[-1]
    older = model.choice.random.sample(range(1, latest + 1), 3)
    script = []
    for version in older:
        script.append(f"RESTORE TABLE t TO VERSION AS OF {version}")
        script.append(copy.format("SELECT * FROM t", file.format(f"r{version}")))
        sql, test = model.choice.condition()
        script.append(f"DELETE FROM t WHERE {sql}")
        script.append(copy.format("SELECT * FROM t", file.format(f"d{version}")))
        found.append(counted(row for row in found[version].elements() if not test(row)))
    lake.sql(*script)
    for place, version in enumerate(older):
        assert read(file.format(f"r{version}")) == found[version], f"RESTORE to {version}"
        assert read(file.format(f"d{version}")) == found[latest + 1 + place], f"after RESTORE to {version}"
