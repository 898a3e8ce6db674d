"""Backups by the API of one table."""

import json
import os
import shutil
import time

import pytest

import posixlake
from posixlake import DatabaseOps, PosixLakeError


def count(path):
    return json.loads(DatabaseOps.open(path).query_json("SELECT count(*) AS n FROM data"))[0]["n"]


def test_a_backup_comes_back(people, folder):
    backup = folder + "/backup"
    assert people.backup(backup) == backup
    report = posixlake.verify_backup(backup)
    assert report.schema_valid and report.files_verified >= 2 and report.total_size_bytes > 0
    metadata = posixlake.get_backup_metadata(backup)
    assert (metadata.total_rows, metadata.total_files) == (2, 1)
    assert json.loads(metadata)["total_rows"] == 2
    shutil.rmtree(people.get_base_path())
    posixlake.restore(backup, folder + "/again")
    assert count(folder + "/again") == 2
    with pytest.raises(PosixLakeError):
        posixlake.restore(backup, folder + "/again")


def test_a_database_goes_back_to_its_backup(people, folder):
    people.backup(folder + "/backup")
    people.delete_rows_where("id = 1")
    people.restore(folder + "/backup")
    assert count(people.get_base_path()) == 2


def test_incremental_backups_are_whole(people, folder):
    base, later = folder + "/base", folder + "/later"
    people.backup(base)
    people.insert_json('[{"id": 3, "name": "Carl"}]')
    assert people.backup_incremental(base, later) == later
    people.insert_json('[{"id": 4, "name": "Dora"}]')
    assert people.backup_incremental(later) == later
    for backup, rows in ((base, 2), (later, 4)):
        posixlake.restore(backup, f"{backup}-restored")
        assert count(f"{backup}-restored") == rows


def test_a_point_in_time(people, folder):
    then = int(time.time() * 1000)
    time.sleep(0.05)
    people.insert_json('[{"id": 3, "name": "Carl"}]')
    people.backup(folder + "/backup")
    taken = posixlake.get_backup_metadata(folder + "/backup").timestamp
    for moment, rows in ((then, 2), (taken, 3), (int(time.time() * 1000) + 1000, 3)):
        posixlake.restore_to_transaction(folder + "/backup", f"{folder}/at-{moment}", moment)
        assert count(f"{folder}/at-{moment}") == rows
    with pytest.raises(PosixLakeError):
        posixlake.restore_to_transaction(folder + "/backup", folder + "/before", 1000)


def test_a_damaged_backup_is_told(people, folder):
    people.backup(folder + "/backup")
    damaged = next(
        os.path.join(place, name)
        for place, _, names in os.walk(folder + "/backup")
        for name in names
        if name.endswith(".parquet")
    )
    with open(damaged, "r+b") as file:
        file.seek(4)
        file.write(b"\0\0\0\0")
    with pytest.raises(PosixLakeError):
        posixlake.verify_backup(folder + "/backup")
    with pytest.raises(PosixLakeError.NotFound):
        posixlake.get_backup_metadata(folder + "/nothing")
