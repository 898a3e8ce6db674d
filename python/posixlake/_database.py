"""``DatabaseOps``: one table in one folder, by methods. Each is one SQL statement."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import secrets
import shutil
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, overload

from . import _changes, _text, _types, _variables
from ._errors import PosixLakeError, of_kind
from ._internal import Engine, JsonRows, Rows
from ._records import (
    AzureConfig,
    Credentials,
    DatabaseMetrics,
    DataSkippingStats,
    Field,
    HealthStatus,
    Row,
    S3Config,
    Schema,
    single,
)

#: What the one table of a database is called.
TABLE = "data"
_TYPES = "posixlake.columnTypes"
_KEY = "posixlake.primaryKey"
#: Seconds after which buffered rows are written.
FLUSH_SECONDS = 5.0
#: Rows at which buffered rows are written.
FLUSH_ROWS = 1000
_LATENCIES = 1000


def _location(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text if "://" in text else os.path.abspath(text)


def _table_at(location: str) -> str:
    return f"delta.{_text.name(location)}"


def _rows(rows: Rows) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rows.json())
    return found


class DatabaseOps:
    """A table in a folder of its own, which statements call ``data``.

    >>> import tempfile
    >>> schema = Schema(fields=[Field(name="id", data_type="Int32", nullable=False), Field(name="name", data_type="String")])
    >>> db = DatabaseOps.create(tempfile.mkdtemp() + "/people", schema)
    >>> db.insert_json('[{"id": 1, "name": "Alice"}, {"id": 2}]')
    2
    >>> db.query_json("SELECT * FROM data ORDER BY id")
    '[{"id": 1, "name": "Alice"}, {"id": 2, "name": null}]'
    """

    def __init__(self, *_: object, **__: object) -> None:
        raise ValueError("a database is made by DatabaseOps.create(path, schema), and opened by DatabaseOps.open(path)")

    # Opening

    @classmethod
    def _at(
        cls, location: str, options: Mapping[str, str] | None = None, user: tuple[str, str] | None = None
    ) -> DatabaseOps:
        database = cls.__new__(cls)
        database._begin(location, dict(options or {}), user)
        return database

    def _begin(self, location: str, options: dict[str, str], user: tuple[str, str] | None) -> None:
        self._path = location
        self._engine = Engine(location, options, user=user)
        # A table that a user has no right to looks as one that is not there.
        if user is None and not self._engine.has_table(TABLE):
            raise of_kind("NotFound", f"there is no database at '{location}': DatabaseOps.create makes one")
        self._buffer = JsonRows(self._engine, TABLE)
        self._flush_rows = FLUSH_ROWS
        self._flush_seconds = FLUSH_SECONDS
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._latencies: list[float] = []
        _OPEN.add(self)

    @classmethod
    def create(cls, path: str | os.PathLike[str], schema: Schema) -> DatabaseOps:
        """Makes a database, whose table has these columns.

        Raises:
            PosixLakeError.AlreadyExists: a table is there.
            PosixLakeError.SchemaError: a type is not one.
        """
        return cls._create(_location(path), schema)

    @classmethod
    def _create(cls, location: str, schema: Schema, options: Mapping[str, str] | None = None) -> DatabaseOps:
        columns = [
            f"{_text.name(field.name)} {_types.to_sql(field.data_type)}{'' if field.nullable else ' NOT NULL'}"
            for field in schema.fields
        ]
        if schema.primary_key is not None:
            columns.append(f"PRIMARY KEY ({_text.name(schema.primary_key)})")
        kept = {field.name: field.data_type for field in schema.fields if _types.is_kept(field.data_type)}
        sql = f"CREATE TABLE {_table_at(location)} ({', '.join(columns)})"
        if kept:
            sql += f" TBLPROPERTIES ('{_TYPES}' = {_text.literal(json.dumps(kept))})"
        Engine(None, dict(options or {})).execute(sql)
        return cls._at(location, options)

    @classmethod
    def create_with_auth(
        cls, path: str | os.PathLike[str], schema: Schema, auth_enabled: bool = True
    ) -> DatabaseOps:
        """Makes a database that knows users, where ``auth_enabled``. This handle is the admin ``system``, who makes others."""
        database = cls.create(path, schema)
        if not auth_enabled:
            return database
        password = secrets.token_urlsafe(24)
        database.create_user("system", password)
        return cls._at(_location(path), None, ("system", password))

    @classmethod
    def create_from_csv(cls, db_path: str | os.PathLike[str], csv_path: str | os.PathLike[str]) -> DatabaseOps:
        """Makes a database of a CSV file, whose columns' types are found out.

        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "people.csv").write_text("id,name\\n1,Alice\\n")
        >>> DatabaseOps.create_from_csv(folder / "db", folder / "people.csv").query_json("SELECT * FROM data")
        '[{"id": 1, "name": "Alice"}]'
        """
        return cls._create_from(_location(db_path), "read_csv", csv_path)

    @classmethod
    def create_from_parquet(
        cls, db_path: str | os.PathLike[str], parquet_path: str | os.PathLike[str]
    ) -> DatabaseOps:
        """Makes a database of Parquet files; ``*`` and ``?`` in the path stand for many."""
        return cls._create_from(_location(db_path), "read_parquet", parquet_path)

    @classmethod
    def _create_from(cls, location: str, reader: str, files: str | os.PathLike[str]) -> DatabaseOps:
        source = f"{reader}({_text.literal(_location(files))})"
        Engine().execute(f"CREATE TABLE {_table_at(location)} AS SELECT * FROM {source}")
        return cls._at(location)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> DatabaseOps:
        """Opens a database.

        Raises:
            PosixLakeError.NotFound: there is none.
        """
        return cls._at(_location(path))

    @overload
    @classmethod
    def open_with_credentials(cls, path: str | os.PathLike[str], username: str, password: str) -> DatabaseOps: ...

    @overload
    @classmethod
    def open_with_credentials(cls, path: str | os.PathLike[str], credentials: Credentials) -> DatabaseOps: ...

    @classmethod
    def open_with_credentials(cls, path: str | os.PathLike[str], *who: Any, **named: Any) -> DatabaseOps:
        """Opens a database as a user: by ``Credentials``, or by name and password.

        Raises:
            PosixLakeError.AuthenticationError: name or password is wrong, or the database has no users.
        """
        user = _credentials(*who, **named)
        return cls._at(_location(path), None, (user.username, user.password))

    @classmethod
    def create_with_s3(cls, s3_path: str, schema: Schema, s3_config: S3Config) -> DatabaseOps:
        """Makes a database in a bucket, or opens the one that is there."""
        return cls._create_or_open(s3_path, schema, s3_config._options())

    @classmethod
    def open_with_s3(cls, s3_path: str, s3_config: S3Config) -> DatabaseOps:
        """Opens a database in a bucket."""
        return cls._at(s3_path, s3_config._options())

    @classmethod
    def create_with_azure(cls, azure_path: str, schema: Schema, azure_config: AzureConfig) -> DatabaseOps:
        """Makes a database in a container, or opens the one that is there."""
        return cls._create_or_open(azure_path, schema, azure_config._options())

    @classmethod
    def open_with_azure(cls, azure_path: str, azure_config: AzureConfig) -> DatabaseOps:
        """Opens a database in a container."""
        return cls._at(azure_path, azure_config._options())

    @classmethod
    def _create_or_open(cls, location: str, schema: Schema, options: Mapping[str, str]) -> DatabaseOps:
        try:
            return cls._create(location, schema, options)
        except PosixLakeError.AlreadyExists:
            database = cls._at(location, options)
            if [field.name for field in database.get_schema().fields] != [field.name for field in schema.fields]:
                raise
            return database

    # Running statements

    @contextmanager
    def _counted(self, *names: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        except BaseException:
            with self._lock:
                self._counts["errors"] += 1
            raise
        with self._lock:
            for name in names:
                self._counts[name] += 1
            if "queries" in names:
                self._latencies.append((time.perf_counter() - begun) * 1000)
                del self._latencies[:-_LATENCIES]

    def _run(self, sql: str, tables: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        return _rows(self._engine.execute(sql, tables))

    def _query(self, sql: str, tables: Mapping[str, object] | None = None, at: int | None = None) -> Rows:
        if tables is None:
            tables = _variables.tables_of(sql, self._engine, _variables.caller())
        names = None if at is None else {TABLE: f"{TABLE}@v{at}"}
        with self._counted("queries"):
            return self._engine.execute(sql, tables, names)

    def query(self, sql: str) -> list[Row]:
        """The rows of a statement, their values as texts."""
        return [Row(values=values) for values in self._query(sql).texts()]

    def query_json(self, sql: str) -> str:
        """The rows of a statement as a JSON array. Variables that hold a data frame are tables in it."""
        return self._query(sql).json()

    def query_arrow(self, sql: str) -> Rows:
        """The rows of a statement for ``pyarrow.table``, ``polars.DataFrame`` and all that takes Arrow."""
        return self._query(sql)

    async def query_json_async(self, sql: str) -> str:
        """As ``query_json``, while the event loop goes on."""
        tables = _variables.tables_of(sql, self._engine, _variables.caller())
        return (await asyncio.to_thread(self._query, sql, tables)).json()

    def query_json_at_version(self, sql: str, version: int) -> str:
        """The rows of a query on the table as it was in a version."""
        return self._query(sql, at=version).json()

    def query_json_at_timestamp(self, sql: str, timestamp: float) -> str:
        """The rows of a query on the table as it was at a time, in seconds since 1970."""
        millis = int(timestamp) * 1000 + 999 if float(timestamp).is_integer() else int(timestamp * 1000)
        return self._query(sql, at=self._version_at(millis)).json()

    def query_version(self, sql: str, version: int) -> list[Row]:
        """As ``query``, on the table as it was in a version."""
        return [Row(values=values) for values in self._query(sql, at=version).texts()]

    def query_version_json(self, sql: str, version: int) -> str:
        """As ``query_json_at_version``."""
        return self.query_json_at_version(sql, version)

    def query_timestamp(self, sql: str, timestamp_ms: int) -> list[Row]:
        """As ``query``, on the table as it was at a time, in milliseconds since 1970."""
        return [Row(values=values) for values in self._query(sql, at=self._version_at(timestamp_ms)).texts()]

    def query_timestamp_json(self, sql: str, timestamp_ms: int) -> str:
        """As ``query_json_at_version``, at a time in milliseconds since 1970."""
        return self._query(sql, at=self._version_at(timestamp_ms)).json()

    def _version_at(self, millis: int) -> int:
        point = datetime.datetime.fromtimestamp(millis / 1000, datetime.timezone.utc)
        rows = self._run(
            f"SELECT version FROM `{TABLE}$history` WHERE timestamp <= TIMESTAMP {_text.literal(point.isoformat())} "
            "ORDER BY version DESC LIMIT 1"
        )
        if not rows:
            raise of_kind("Version", f"the database has no version at {point.isoformat()}: it was made later")
        version: int = rows[0]["version"]
        return version

    # Changing rows

    def insert_json(self, json_data: str) -> int:
        """Writes the objects of a JSON array as rows, in one transaction. Returns how many."""
        with self._counted("inserts", "transactions"):
            return self._buffer.insert(json_data)

    async def insert_json_async(self, json_data: str) -> int:
        """As ``insert_json``, while the event loop goes on."""
        return await asyncio.to_thread(self.insert_json, json_data)

    def insert_buffered_json(self, json_data: str) -> int:
        """Keeps the objects of a JSON array, to be written together with others. Returns how many.

        They are written when there are ``FLUSH_ROWS``, after ``FLUSH_SECONDS``, by ``flush_write_buffer``, when the database
        is closed or forgotten, and when Python ends; they are lost where the process is killed before. No query sees them
        until then.
        """
        added = self._buffer.add(json_data)
        if len(self._buffer) >= self._flush_rows:
            self.flush_write_buffer()
        else:
            self._flush_later()
        return added

    def set_write_buffer(self, rows: int = FLUSH_ROWS, seconds: float = FLUSH_SECONDS) -> None:
        """How many rows ``insert_buffered_json`` keeps, and how long."""
        if rows < 1 or seconds <= 0:
            raise of_kind("Invalid", "a buffer holds one row or more, for some time")
        self._flush_rows, self._flush_seconds = rows, seconds

    def _flush_later(self) -> None:
        with self._lock:
            if self._timer is None:
                this = weakref.ref(self)
                self._timer = threading.Timer(self._flush_seconds, _flush_due, (this,))
                self._timer.daemon = True
                self._timer.start()

    def flush_write_buffer(self) -> None:
        """Writes the rows that ``insert_buffered_json`` keeps. Those of a failed write are kept on."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if len(self._buffer):
            with self._counted("inserts", "transactions"):
                self._buffer.flush()

    def merge_json(self, json_data: str, key_column: str | None = None, *, join_column: str | None = None) -> str:
        """Changes, deletes and adds rows by the objects of a JSON array, in one transaction.

        ``_op`` of each says what: ``UPDATE`` changes the columns that are given, ``DELETE`` needs the key alone, ``INSERT``
        adds a row where none has the key.

        >>> import tempfile
        >>> schema = Schema(fields=[Field(name="id", data_type="Int32"), Field(name="name", data_type="String")])
        >>> db = DatabaseOps.create(tempfile.mkdtemp() + "/db", schema)
        >>> _ = db.insert_json('[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]')
        >>> db.merge_json('[{"id": 1, "name": "A", "_op": "UPDATE"}, {"id": 2, "_op": "DELETE"}]', "id")
        '{"rows_inserted": 0, "rows_updated": 1, "rows_deleted": 1, "total_affected": 2}'
        """
        key = key_column if key_column is not None else join_column
        if key is None:
            raise of_kind("Invalid", "merge_json takes the column by which rows are found")
        try:
            changes = json.loads(json_data)
        except json.JSONDecodeError as error:
            raise of_kind("Json", f"not JSON: {error}") from error
        if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
            raise of_kind("Invalid", "JSON must be an array of objects: [{…}, …]")
        columns = [name for name, _, _ in self._engine.columns(f"SELECT * FROM {TABLE}")]
        if key not in columns:
            raise of_kind("Schema", f"the table has no column '{key}'; it has {', '.join(columns)}")
        for place, change in enumerate(changes):
            if change.get("_op") not in ("INSERT", "UPDATE", "DELETE"):
                raise of_kind("Invalid", f"object {place + 1}: _op is {change.get('_op')!r}; it must be INSERT, UPDATE or DELETE")
            if key not in change:
                raise of_kind("Invalid", f"object {place + 1} has no '{key}'")
        counts = {"rows_inserted": 0, "rows_updated": 0, "rows_deleted": 0, "total_affected": 0}
        if not changes:
            return json.dumps(counts)
        sometimes = _changes.given_sometimes(changes, columns, key)
        if sometimes:
            # Numbers stay the texts that they are: as floats they could lose digits.
            changes = json.loads(json_data, parse_float=str)
            json_data = json.dumps([change | {_changes.flag(name): True for name in sometimes if name in change} for change in changes])
        flags = "".join(f", false AS {_text.name(_changes.flag(column))}" for column in sometimes)
        source = self._engine.decode_json(json_data, f"SELECT *, '' AS _op{flags} FROM {TABLE}")
        with self._counted("transactions"):
            done = single(self._run(_changes.merge(TABLE, changes, columns, key), {"changes": source}))
        counts["rows_inserted"] = done["num_inserted_rows"]
        counts["rows_updated"] = done["num_updated_rows"]
        counts["rows_deleted"] = done["num_deleted_rows"]
        counts["total_affected"] = done["num_affected_rows"]
        return json.dumps(counts)

    def delete_rows_where(self, condition: str) -> int:
        """Deletes the rows for which a condition of SQL holds. Returns how many."""
        with self._counted("deletes", "transactions"):
            deleted: int = single(self._run(f"DELETE FROM {TABLE} WHERE ({condition}\n)"))["count"]
        return deleted

    # Maintenance

    def optimize(self) -> str:
        """Joins small files into larger ones. Returns what was done, as JSON."""
        return self._optimize(f"OPTIMIZE {TABLE}")

    def optimize_with_target_size(self, target_size_bytes: int) -> str:
        """As ``optimize``, into files of this size."""
        before = self._properties().get("delta.targetFileSize")
        self._run(f"ALTER TABLE {TABLE} SET TBLPROPERTIES ('delta.targetFileSize' = '{int(target_size_bytes)}')")
        try:
            return self.optimize()
        finally:
            if before is None:
                self._run(f"ALTER TABLE {TABLE} UNSET TBLPROPERTIES ('delta.targetFileSize')")
            else:
                self._run(f"ALTER TABLE {TABLE} SET TBLPROPERTIES ('delta.targetFileSize' = {_text.literal(before)})")

    def optimize_with_filter(self, filter: str) -> str:
        """As ``optimize``, of the partitions for which a condition of SQL holds."""
        return self._optimize(f"OPTIMIZE {TABLE} WHERE {filter}")

    def zorder(self, columns: Sequence[str]) -> str:
        """Sorts the rows along several columns at once. Returns what was done, as JSON."""
        if not columns:
            raise of_kind("Invalid", "Z-ORDER requires at least one column")
        return self._optimize(f"OPTIMIZE {TABLE} ZORDER BY ({', '.join(map(_text.name, columns))})")

    def _optimize(self, sql: str) -> str:
        with self._counted("transactions"):
            metrics = single(self._run(sql))["metrics"]
        return metrics if isinstance(metrics, str) else json.dumps(metrics)

    def vacuum(self, retention_hours: float = 168) -> str:
        """Deletes files that no version within this time needs. Returns what was deleted, as JSON."""
        rows = self._vacuum(f"VACUUM {TABLE} RETAIN {retention_hours:g} HOURS")
        done = rows[0] if rows else {}
        return json.dumps({"files_deleted": done.get("num_deleted_files", 0), "bytes_deleted": done.get("deleted_bytes", 0)})

    def vacuum_dry_run(self, retention_hours: float = 168) -> list[str]:
        """The files that ``vacuum`` would delete."""
        return [row["path"] for row in self._vacuum(f"VACUUM {TABLE} RETAIN {retention_hours:g} HOURS DRY RUN")]

    def _vacuum(self, sql: str) -> list[dict[str, Any]]:
        # A retention that is said in so many hours is meant.
        self._engine.execute("SET posixlake.vacuum_retention_check = false")
        return self._run(sql)

    # What there is

    def get_schema(self) -> Schema:
        """The table's columns and key."""
        properties = self._properties()
        kept: dict[str, str] = json.loads(properties.get(_TYPES, "{}"))
        fields = [
            Field(name=name, data_type=kept.get(name, data_type), nullable=nullable)
            for name, data_type, nullable in self._engine.columns(f"SELECT * FROM {TABLE}")
        ]
        return Schema(fields=fields, primary_key=properties.get(_KEY))

    def _properties(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self._run(f"SHOW TBLPROPERTIES {TABLE}")}

    def primary_key(self) -> str | None:
        """The table's key, or None."""
        return self._properties().get(_KEY)

    def set_primary_key(self, column_name: str) -> None:
        """Gives the table a key, or another one."""
        if self.primary_key() is not None:
            self._run(f"ALTER TABLE {TABLE} DROP PRIMARY KEY")
        self._run(f"ALTER TABLE {TABLE} ADD PRIMARY KEY ({_text.name(column_name)})")

    def get_current_version(self) -> int:
        """The number of the table's latest version."""
        version: int = single(self._run(f"SELECT max(version) AS version FROM `{TABLE}$history`"))["version"]
        return version

    def get_version_history(self) -> list[dict[str, Any]]:
        """The table's versions, the latest first: ``version``, ``timestamp`` (milliseconds since 1970) and ``operation``."""
        return self._run(
            "SELECT version, CAST(to_unixtime(timestamp) AS BIGINT) * 1000 + CAST(date_part('millisecond', timestamp) AS BIGINT) % 1000 AS timestamp, operation "
            f"FROM `{TABLE}$history` ORDER BY version DESC"
        )

    def list_parquet_files(self) -> list[str]:
        """The table's data files, as paths in its folder."""
        return [row["path"] for row in self._run(f"SELECT path FROM `{TABLE}$files` ORDER BY path")]

    def get_base_path(self) -> str:
        """Where the table lies."""
        return self._path

    def get_data_skipping_stats(self) -> DataSkippingStats:
        """What the last query read and skipped."""
        rows = self._run(
            "SELECT files_total, files_read, files_skipped, bytes_read, bytes_skipped FROM system.scans "
            "ORDER BY started_at DESC LIMIT 1"
        )
        last = rows[0] if rows else Counter[str]()
        return DataSkippingStats(
            total_files=last["files_total"],
            files_read=last["files_read"],
            files_skipped=last["files_skipped"],
            bytes_scanned=last["bytes_read"],
            bytes_skipped=last["bytes_skipped"],
        )

    def get_metrics(self) -> DatabaseMetrics:
        """What this handle has done."""
        with self._lock:
            latencies = self._latencies or [0.0]
            return DatabaseMetrics(
                total_queries=self._counts["queries"],
                total_inserts=self._counts["inserts"],
                total_deletes=self._counts["deletes"],
                total_transactions=self._counts["transactions"],
                total_errors=self._counts["errors"],
                avg_query_latency_ms=sum(latencies) / len(latencies),
                max_query_latency_ms=max(latencies),
                uptime_seconds=time.monotonic() - self._started,
            )

    def health_check(self) -> HealthStatus:
        """How the database is. Never raises."""
        uptime = time.monotonic() - self._started
        try:
            files = single(self._run(f"SELECT \"numFiles\" AS files, \"sizeInBytes\" AS bytes FROM `{TABLE}$detail`"))
            rows = single(self._run(f"SELECT count(*) AS rows FROM {TABLE}"))["rows"]
        except PosixLakeError.PermissionDenied:
            status, files, rows = "unauthorized", {"files": 0, "bytes": 0}, 0
        except PosixLakeError:
            status, files, rows = "not_initialized", {"files": 0, "bytes": 0}, 0
        else:
            status = "healthy"
        return HealthStatus(
            status=status,
            uptime_seconds=uptime,
            total_files=files["files"],
            total_rows=rows,
            total_size_bytes=files["bytes"],
        )

    # Users

    def create_user(
        self, username: str, password: str, roles: Sequence[str] | None = None, *, role: str | None = None
    ) -> None:
        """Makes a user with these roles: ``admin``, ``write``, ``read``."""
        given = [*(roles or ()), *([role] if role is not None else ())]
        self._run(f"CREATE USER {_text.name(username)} PASSWORD {_text.literal(password)}")
        for each in given:
            self._run(_grant(each, username))

    def delete_user(self, username: str) -> None:
        """Removes a user."""
        self._run(f"DROP USER {_text.name(username)}")

    # Backups

    def backup(self, backup_path: str | os.PathLike[str]) -> str:
        """Copies the table to a folder of its own. Returns the folder."""
        return self._backup(_location(backup_path), "")

    def backup_incremental(
        self, base_backup_path: str | os.PathLike[str], incremental_path: str | os.PathLike[str] | None = None
    ) -> str:
        """Adds to a backup what is new. With a second path the backup stays as it is, and a copy of it there gets it.

        Returns:
            The folder that is up to date. It is restored as any backup is.
        """
        path = _location(base_backup_path)
        if incremental_path is not None:
            base, path = path, _location(incremental_path)
            if "://" in base or "://" in path:
                raise of_kind("Unsupported", "a backup in a bucket is copied with the store's own tools; leave the second path out")
            shutil.copytree(base, path, dirs_exist_ok=True)
        return self._backup(path, " INCREMENTAL")

    def _backup(self, path: str, kind: str) -> str:
        self._run(f"BACKUP TABLE {TABLE} TO {_text.literal(path)}{kind}")
        return path

    def restore(self, backup_path: str | os.PathLike[str]) -> None:
        """Makes the table what it was when it was backed up."""
        self._run(f"RESTORE TABLE {TABLE} FROM {_text.literal(_location(backup_path))} OVERWRITE")

    # The end

    def close(self) -> None:
        """Writes buffered rows, and waits for the work behind statements."""
        self.flush_write_buffer()
        self._engine.close()

    def __enter__(self) -> DatabaseOps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_buffer" in vars(self):
            self.flush_write_buffer()

    def __repr__(self) -> str:
        return f"DatabaseOps({self._path!r})"


_OPEN: weakref.WeakSet[DatabaseOps] = weakref.WeakSet()


def _flush_due(database: weakref.ref[DatabaseOps]) -> None:
    this = database()
    if this is not None:
        with this._lock:
            this._timer = None
        this.flush_write_buffer()


def _flush_all() -> None:
    for database in list(_OPEN):
        database.flush_write_buffer()


def _forget_all() -> None:
    # They are the parent's, which writes them.
    for database in list(_OPEN):
        database._buffer.forget()
        database._timer = None
        database._lock = threading.RLock()


def _credentials(*who: Any, **named: Any) -> Credentials:
    if "credentials" in named:
        who = (named.pop("credentials"),)
    if len(who) == 1 and isinstance(who[0], Credentials) and not named:
        user: Credentials = who[0]
        return user
    values = dict(zip(("username", "password"), who, strict=False)) | named
    if set(values) != {"username", "password"}:
        raise TypeError("a user is Credentials(username=…, password=…), or a name and a password")
    return Credentials(**values)


_ROLES = {"read": "reader", "write": "writer"}


def _grant(role: str, username: str) -> str:
    return f"GRANT {_text.name(_ROLES.get(role.lower(), role))} TO {_text.name(username)}"
