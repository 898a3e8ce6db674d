"""A folder or bucket of Delta Lake tables as one SQL database.

``connect`` opens a lake as a context of ``datafusion``; ``register`` and ``install`` put one into a context that stands;
``DatabaseOps`` is one table with methods; ``NfsServer`` serves it as files.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import os
from typing import TYPE_CHECKING, Any

from . import _database, _internal
from ._backup import (
    get_backup_metadata,
    get_backup_metadata_with_credentials,
    restore,
    restore_to_transaction,
    restore_to_transaction_with_credentials,
    restore_with_credentials,
    verify_backup,
    verify_backup_with_credentials,
)
from ._database import DatabaseOps
from ._errors import PosixLakeError
from ._internal import Rows
from ._records import (
    AzureConfig,
    BackupMetadata,
    BackupVerificationReport,
    Credentials,
    DatabaseMetrics,
    DataSkippingStats,
    Field,
    HealthStatus,
    Row,
    S3Config,
    Schema,
)
from ._server import NfsServer

if TYPE_CHECKING:
    from ._context import LakeContext, connect, install, register

try:
    __version__ = importlib.metadata.version("posixlake")
except importlib.metadata.PackageNotFoundError:
    __version__ = "0"

__all__ = [
    "AzureConfig",
    "BackupMetadata",
    "BackupVerificationReport",
    "Credentials",
    "DataSkippingStats",
    "DatabaseMetrics",
    "DatabaseOps",
    "Field",
    "HealthStatus",
    "LakeContext",
    "NfsServer",
    "PosixLakeError",
    "Row",
    "Rows",
    "S3Config",
    "Schema",
    "connect",
    "get_backup_metadata",
    "get_backup_metadata_with_credentials",
    "install",
    "register",
    "restore",
    "restore_to_transaction",
    "restore_to_transaction_with_credentials",
    "restore_with_credentials",
    "verify_backup",
    "verify_backup_with_credentials",
]

_OF_DATAFUSION = ("LakeContext", "connect", "install", "register")


def __getattr__(name: str) -> Any:
    # What needs datafusion is imported when it is asked for: the rest works without.
    if name in _OF_DATAFUSION:
        from . import _context

        value = getattr(_context, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'posixlake' has no attribute {name!r}")


atexit.register(_database._flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_internal.hold_threads,
        after_in_parent=_internal.release_threads,
        after_in_child=_database._forget_all,
    )
