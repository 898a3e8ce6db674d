"""Writers through a proxy that breaks requests: nothing is lost, nothing is done twice, and what failed says so.

The model of the table is the list of what was acknowledged. A statement that failed must have done nothing, but for the one
error that says that nobody knows.
"""

import os
import threading

import pytest
from emulators import Azurite, SeaweedFs
from faulty import DONE, NOT_DONE, Proxy
from stores import StoreLake, parametrized

server = parametrized([SeaweedFs, Azurite])
fast = parametrized([SeaweedFs])
UNKNOWN = "does not tell whether it stands"
# Requests give up after a second, and are tried again for twenty.
QUICK = {"timeout": "1s", "connect_timeout": "1s", "retry_timeout": "20s"}


class Writer(threading.Thread):
    """Inserts, and deletes what it inserted, and remembers what it was told."""

    def __init__(self, lake, number, turns):
        super().__init__()
        self.lake, self.number, self.turns = lake, number, turns
        self.sure, self.unsure, self.errors = set(), set(), []

    def run(self):
        for turn in range(self.turns):
            self.attempt(
                f"INSERT INTO t VALUES ({self.number}, {turn}), ({self.number}, {turn + 1000})",
                {turn, turn + 1000},
                set(),
            )
            if turn % 3 == 2:
                self.attempt(f"DELETE FROM t WHERE writer = {self.number} AND turn = {turn}", set(), {turn})

    def attempt(self, statement, added, removed):
        answer = self.lake.run(statement)
        if answer.returncode == 0:
            self.sure = (self.sure | added) - removed
            return
        self.errors.append(answer.stderr)
        if UNKNOWN in answer.stderr:
            self.unsure |= added | removed


def rows(lake):
    return [(int(row["writer"]), int(row["turn"])) for row in lake.sql("SELECT writer, turn FROM t")]


def test_a_random_schedule_loses_and_doubles_nothing(server, tmp_path):
    seed = int(os.environ.get("POSIXLAKE_SCHEDULE", 1))
    clean = StoreLake(server, f"faults{seed}", tmp_path)
    clean.output("CREATE TABLE t (writer INT, turn INT)")
    proxy = Proxy(server.port, rate=0.12, seed=seed, hang=1.5)
    try:
        lake = StoreLake(server, f"faults{seed}", tmp_path, proxy.port, **QUICK)
        writers = [Writer(lake, number, 3) for number in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    finally:
        proxy.close()
    met = {request.fault for request in proxy.requests} - {None}
    assert len(met) >= 6, f"the schedule meets most of the faults: {met}"
    for error in (error for writer in writers for error in writer.errors):
        assert server.url in error or "lost against a concurrent" in error, f"an error names the store: {error}"
    found = rows(clean)
    assert len(found) == len(set(found)), "a commit stands twice"
    for writer in writers:
        mine = {turn for number, turn in found if number == writer.number}
        assert mine - writer.unsure == writer.sure - writer.unsure, writer.errors
    statements = sum(writer.turns + writer.turns // 3 for writer in writers)
    failed = sum(len(writer.errors) for writer in writers)
    assert failed <= statements // 4, f"most of it heals by itself: {[writer.errors for writer in writers]}"


@pytest.mark.parametrize("fault", NOT_DONE + DONE)
def test_each_fault_alone_heals(fast, fault, tmp_path):
    """Many requests of a handful of statements meet the same fault, and none of the statements fails."""
    server = fast
    clean = StoreLake(server, f"alone-{fault}", tmp_path)
    clean.output("CREATE TABLE t (writer INT, turn INT)")
    proxy = Proxy(server.port, rate=0.1 if fault == "hang" else 0.25, seed=3, faults=(fault,), hang=1.5)
    try:
        lake = StoreLake(server, f"alone-{fault}", tmp_path, proxy.port, **QUICK)
        lake.output("INSERT INTO t VALUES (1, 1), (1, 2)", "DELETE FROM t WHERE turn = 1", "SELECT * FROM t")
    finally:
        proxy.close()
    assert any(request.fault for request in proxy.requests)
    assert rows(clean) == [(1, 2)]
    assert clean.sql("SELECT max(version) AS v FROM t$history") == [{"v": "2"}], "each is one commit"


def test_a_store_that_is_down_says_so_and_comes_back(server, tmp_path):
    lake = StoreLake(server, "down", tmp_path, **QUICK)
    lake.output("CREATE TABLE t (writer INT, turn INT)")
    proxy = Proxy(server.port, rate=1.0, faults=("slow503",))
    try:
        broken = StoreLake(server, "down", tmp_path, proxy.port, **{**QUICK, "max_retries": "2"})
        answer = broken.run("INSERT INTO t VALUES (1, 1)")
        assert answer.returncode != 0
        assert f"{server.url}/down" in answer.stderr and "503" in answer.stderr, answer.stderr
        assert rows(lake) == []
        proxy.rate = 0.0
        broken.output("INSERT INTO t VALUES (1, 1)")
    finally:
        proxy.close()
    assert rows(lake) == [(1, 1)]
