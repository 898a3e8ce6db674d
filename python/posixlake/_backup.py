"""Backups without an open database."""

from __future__ import annotations

import datetime
import os
from typing import Any

from . import _text
from ._database import _credentials, _location, _rows, _table_at
from ._errors import of_kind
from ._internal import Engine
from ._records import BackupMetadata, BackupVerificationReport, single



def restore(backup_path: str | os.PathLike[str], restore_path: str | os.PathLike[str]) -> None:
    """Makes a database of a backup.

    Raises:
        PosixLakeError.AlreadyExists: there is one.
    """
    _restore(_location(backup_path), _location(restore_path), "")


def restore_to_transaction(
    backup_path: str | os.PathLike[str], restore_path: str | os.PathLike[str], transaction_id: int
) -> None:
    """Makes a database of a backup, as it was at a time in milliseconds since 1970.

    Raises:
        PosixLakeError.VersionError: it was made later.
    """
    backup = _location(backup_path)
    if transaction_id >= _taken(_manifest(backup)):
        _restore(backup, _location(restore_path), "")
        return
    point = datetime.datetime.fromtimestamp(transaction_id / 1000, datetime.timezone.utc)
    _restore(backup, _location(restore_path), f" TO TIMESTAMP AS OF {_text.literal(point.isoformat())}")


def _restore(backup: str, to: str, point: str) -> None:
    name = _manifest(backup)[1]["name"]
    Engine().execute(f"RESTORE TABLE {_text.name(name)} AS {_table_at(to)} FROM {_text.literal(backup)}{point}")


def _manifest(backup: str) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The last run of a backup, the table that it found, and the files of all runs."""
    at = _text.literal(f"{backup.rstrip('/')}/manifests/*.jsonl")
    lines = _rows(Engine().execute(f"SELECT * FROM read_json({at})"))
    heads = [line["backup"] for line in lines if line.get("backup")]
    if not heads:
        raise of_kind("NotFound", f"there is no backup at '{backup}'")
    tables = [line["table"] for line in lines if line.get("table")]
    head = max(heads, key=lambda head: int(head["number"]))
    table = max(tables, key=lambda table: int(table["version"]))
    return head, table, [line["file"] for line in lines if line.get("file")]


def _taken(manifest: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]) -> int:
    return int(manifest[0]["taken"]) // 1000


def verify_backup(backup_path: str | os.PathLike[str]) -> BackupVerificationReport:
    """Reads a whole backup and holds it against its checksums.

    Raises:
        PosixLakeError: something is missing or damaged.
    """
    backup = _location(backup_path)
    Engine().execute(f"VERIFY BACKUP {_text.literal(backup)}")
    files = _manifest(backup)[2]
    return BackupVerificationReport(
        files_verified=len(files), total_size_bytes=sum(int(file["size"]) for file in files), schema_valid=True
    )


def get_backup_metadata(backup_path: str | os.PathLike[str]) -> BackupMetadata:
    """What a backup holds: its table's rows and data files, and when it was taken, in milliseconds since 1970."""
    backup = _location(backup_path)
    manifest = _manifest(backup)
    folder = f"{backup.rstrip('/')}/{manifest[1]['folder']}"
    at = _table_at(folder)
    engine = Engine()
    found = f'SELECT "numFiles" AS files, "sizeInBytes" AS bytes FROM {at[:-1]}$detail`'
    detail = single(_rows(engine.execute(found)))
    rows = single(_rows(engine.execute(f"SELECT count(*) AS rows FROM {at}")))["rows"]
    return BackupMetadata(
        timestamp=_taken(manifest), total_rows=rows, total_files=detail["files"], total_size_bytes=detail["bytes"]
    )


def restore_with_credentials(
    backup_path: str | os.PathLike[str], restore_path: str | os.PathLike[str], *who: Any, **named: Any
) -> None:
    """As ``restore``, by a user."""
    _credentials(*who, **named)
    restore(backup_path, restore_path)


def restore_to_transaction_with_credentials(
    backup_path: str | os.PathLike[str],
    restore_path: str | os.PathLike[str],
    transaction_id: int,
    *who: Any,
    **named: Any,
) -> None:
    """As ``restore_to_transaction``, by a user."""
    _credentials(*who, **named)
    restore_to_transaction(backup_path, restore_path, transaction_id)


def verify_backup_with_credentials(
    backup_path: str | os.PathLike[str], *who: Any, **named: Any
) -> BackupVerificationReport:
    """As ``verify_backup``, by a user."""
    _credentials(*who, **named)
    return verify_backup(backup_path)


def get_backup_metadata_with_credentials(
    backup_path: str | os.PathLike[str], *who: Any, **named: Any
) -> BackupMetadata:
    """As ``get_backup_metadata``, by a user."""
    _credentials(*who, **named)
    return get_backup_metadata(backup_path)
