"""What the methods of ``DatabaseOps`` take and return."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class _Record:
    """Values by name, equal where they are equal."""

    def _values(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Record) and type(other) is type(self) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in self._values().items())})"

    __str__ = __repr__


class Field(_Record):
    """A column: its name, its type (``Int32``, ``Decimal128(10,2)``, ``List<String>``, …), whether it may be NULL.

    >>> Field(name="id", data_type="Int32", nullable=False)
    Field(name=id, data_type=Int32, nullable=False)
    """

    def __init__(self, *, name: str, data_type: str, nullable: bool = True) -> None:
        self.name = name
        self.data_type = data_type
        self.nullable = nullable


class Schema(_Record):
    """The columns of a table, and its primary key where it has one.

    >>> schema = Schema(fields=[Field(name="id", data_type="Int32", nullable=False)], primary_key="id")
    >>> schema.fields[0].name, schema.primary_key
    ('id', 'id')
    """

    def __init__(self, *, fields: Sequence[Field], primary_key: str | None = None) -> None:
        self.fields = list(fields)
        self.primary_key = primary_key


class Row(_Record):
    """A row of ``DatabaseOps.query``: its values as texts by column, ``NULL`` for no value."""

    def __init__(self, *, values: Mapping[str, str]) -> None:
        self.values = dict(values)


class S3Config(_Record):
    """Where an S3 store is, and who asks.

    >>> S3Config(endpoint="http://localhost:9000", access_key_id="me", secret_access_key="secret").region
    'us-east-1'
    """

    def __init__(
        self, *, endpoint: str, access_key_id: str, secret_access_key: str, region: str = "us-east-1"
    ) -> None:
        self.endpoint = endpoint
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.region = region

    def __repr__(self) -> str:
        return f"S3Config(endpoint={self.endpoint}, access_key_id={self.access_key_id}, region={self.region})"

    __str__ = __repr__

    def _options(self) -> dict[str, str]:
        return {
            "aws_endpoint": self.endpoint,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_region": self.region,
            "aws_allow_http": str(self.endpoint.startswith("http://")).lower(),
        }


class AzureConfig(_Record):
    """Where an Azure store is, and who asks."""

    def __init__(self, *, account_name: str, account_key: str, endpoint: str = "") -> None:
        self.account_name = account_name
        self.account_key = account_key
        self.endpoint = endpoint

    def __repr__(self) -> str:
        return f"AzureConfig(account_name={self.account_name}, endpoint={self.endpoint})"

    __str__ = __repr__

    def _options(self) -> dict[str, str]:
        options = {
            "azure_storage_account_name": self.account_name,
            "azure_storage_account_key": self.account_key,
        }
        if self.endpoint:
            options["azure_storage_endpoint"] = self.endpoint
            options["azure_allow_http"] = str(self.endpoint.startswith("http://")).lower()
        return options


class Credentials(_Record):
    """A user's name and password.

    >>> Credentials(username="admin", password="secret")
    Credentials(username=admin)
    """

    def __init__(self, *, username: str, password: str) -> None:
        self.username = username
        self.password = password

    def __repr__(self) -> str:
        return f"Credentials(username={self.username})"

    __str__ = __repr__


class _JsonRecord(str):
    """A JSON object as text, whose values are attributes too."""

    _names: tuple[str, ...] = ()

    def __new__(cls, **values: Any) -> _JsonRecord:
        missing = [name for name in cls._names if name not in values]
        if missing:
            raise TypeError(f"{cls.__name__} lacks {', '.join(missing)}")
        record = super().__new__(cls, json.dumps(values))
        for name, value in values.items():
            setattr(record, name, value)
        return record

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in vars(self).items())})"

    # Records of the same values are equal, and so is the text.
    __hash__ = str.__hash__


class DatabaseMetrics(_JsonRecord):
    """What a handle has done. A JSON text with attributes.

    >>> metrics = DatabaseMetrics(total_queries=2, total_inserts=1, total_deletes=0, total_transactions=1, total_errors=0,
    ...     avg_query_latency_ms=1.5, max_query_latency_ms=2.0, uptime_seconds=3)
    >>> metrics.total_queries, metrics[:18]
    (2, '{"total_queries": ')
    """

    _names = (
        "total_queries",
        "total_inserts",
        "total_deletes",
        "total_transactions",
        "total_errors",
        "avg_query_latency_ms",
        "max_query_latency_ms",
        "uptime_seconds",
    )
    total_queries: int
    total_inserts: int
    total_deletes: int
    total_transactions: int
    total_errors: int
    avg_query_latency_ms: float
    max_query_latency_ms: float
    uptime_seconds: float


class DataSkippingStats(_JsonRecord):
    """What the last query of a table read and skipped. A JSON text with attributes."""

    _names = ("total_files", "files_read", "files_skipped", "bytes_scanned", "bytes_skipped")
    total_files: int
    files_read: int
    files_skipped: int
    bytes_scanned: int
    bytes_skipped: int


class BackupMetadata(_JsonRecord):
    """What a backup holds. A JSON text with attributes."""

    _names = ("timestamp", "total_rows", "total_files", "total_size_bytes")
    timestamp: int
    total_rows: int
    total_files: int
    total_size_bytes: int


class BackupVerificationReport(_JsonRecord):
    """What was checked of a backup. A JSON text with attributes."""

    _names = ("files_verified", "total_size_bytes", "schema_valid")
    files_verified: int
    total_size_bytes: int
    schema_valid: bool


class HealthStatus(_Record):
    """How a database is: true where it is healthy.

    >>> bool(HealthStatus(status="healthy", uptime_seconds=1, total_files=1, total_rows=2, total_size_bytes=3))
    True
    """

    def __init__(
        self, *, status: str, uptime_seconds: float, total_files: int, total_rows: int, total_size_bytes: int
    ) -> None:
        self.status = status
        self.uptime_seconds = uptime_seconds
        self.total_files = total_files
        self.total_rows = total_rows
        self.total_size_bytes = total_size_bytes

    def __bool__(self) -> bool:
        return self.status == "healthy"


def single(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one row of a result."""
    return next(iter(rows))
