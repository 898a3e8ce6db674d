"""A MERGE larger than the memory it may hold spills to disk, answers right, and does not take more than was granted."""

import json
import os
import subprocess
import sys

import pytest

MIB = 1 << 20

# What the program holds besides its memory pool: code, files being written, batches on their way.
BESIDES = 768 * MIB

# A process of its own: what a process is forked from counts into its peak.
MEASURE = """
import json, resource, subprocess, sys
answer = subprocess.run(sys.argv[1:], capture_output=True, text=True, timeout=600)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"code": answer.returncode, "error": answer.stderr, "peak": peak}))
"""

# Every second row of the source is a row of the target; the others are new.
MERGE = """
MERGE INTO t USING (
    SELECT CASE WHEN value % 2 = 0 THEN value * {step} ELSE {target} + value END AS id, -value AS n,
           rpad(concat('merged ', value), {width}, '.') AS name
    FROM generate_series(1, {source}) AS g(value)
) AS s ON t.id = s.id
WHEN MATCHED THEN UPDATE SET n = s.n, name = s.name
WHEN NOT MATCHED THEN INSERT *
"""


def within(lake, memory, *flags, statement):
    """The exit code, the peak and the messages of a statement that may hold so much memory."""
    command = [*lake.command(statement), "--memory-limit", str(memory), *flags]
    # Each partition of a sort takes some memory in advance: as many as the test is made for, on every machine.
    few = os.environ | {"DATAFUSION_EXECUTION_TARGET_PARTITIONS": "2"}
    process = [sys.executable, "-c", MEASURE, *command]
    measured = subprocess.run(process, capture_output=True, text=True, check=True, env=few)
    return json.loads(measured.stdout)


def prepare(lake, target, source, width, vectors):
    """A table and a MERGE into it."""
    lake.sql(
        f"CREATE TABLE t (id BIGINT, n BIGINT, name STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')",
        f"INSERT INTO t SELECT value, value % 1000, concat('row ', value) FROM generate_series(1, {target}) AS g(value)",
    )
    return MERGE.format(step=target // source, target=target, source=source, width=width)


def merge_within(lake, target, source, width, memory, vectors):
    statement = prepare(lake, target, source, width, vectors)
    before = lake.sql("SELECT sum(n) AS n FROM t")[0]["n"]
    replaced = f"id IN (SELECT value * {target // source} FROM generate_series(2, {source}, 2) AS g(value))"
    gone = lake.sql(f"SELECT sum(n) AS n FROM t WHERE {replaced}")[0]["n"]
    done = within(lake, memory, statement=statement)
    assert done["code"] == 0, done["error"]
    assert done["peak"] < memory + BESIDES
    total = "SELECT count(*) AS rows, sum(n) AS n, count(DISTINCT id) AS ids FROM t"
    rows = str(target + source // 2)
    n = int(before) - int(gone) - source * (source + 1) // 2
    assert lake.sql(total) == [{"rows": rows, "n": str(n), "ids": rows}]
    merged = f"SELECT count(*) AS rows, sum(n) AS n FROM t WHERE name = rpad(concat('merged ', -n), {width}, '.')"
    assert lake.sql(merged) == [{"rows": str(source), "n": str(-source * (source + 1) // 2)}]


SMALL = {"target": 1_000_000, "source": 200_000, "width": 500}
WIDE = {"target": 50_000_000, "source": 10_000_000, "width": 300}


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_a_merge_without_memory_and_disk_changes_nothing(lake, vectors):
    statement = prepare(lake, **SMALL, vectors=vectors)
    rows = "SELECT count(*) AS rows, sum(n) AS n FROM t"
    before = lake.sql(rows)
    refused = within(lake, 64 * MIB, "--disk-limit", "1k", statement=statement)
    assert refused["code"] != 0, "without a disk, this memory is not enough"
    assert refused["peak"] < 64 * MIB + BESIDES
    assert lake.sql(rows) == before


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_a_merge_larger_than_its_memory_spills(lake, vectors):
    merge_within(lake, **SMALL, memory=96 * MIB, vectors=vectors)


@pytest.mark.skipif("POSIXLAKE_LONG_TESTS" not in os.environ, reason="takes minutes and 30 GB of disk: by hand, with POSIXLAKE_LONG_TESTS=1")
@pytest.mark.parametrize("vectors", ["true", "false"])
def test_ten_million_rows_merge_into_fifty_within_two_gibibytes(lake, vectors):
    merge_within(lake, **WIDE, memory=2048 * MIB, vectors=vectors)
