"""Errors: one base class, and classes by which a program tells what it can do."""

from __future__ import annotations

from typing import ClassVar


class PosixLakeError(Exception):
    """Every error of posixlake.

    Its classes are attributes, so that ``except PosixLakeError.NotFound`` needs one import.

    >>> issubclass(PosixLakeError.NotFound, PosixLakeError)
    True
    >>> try:
    ...     raise PosixLakeError.NotFound("no table 't'")
    ... except PosixLakeError as error:
    ...     print(error.message)
    no table 't'
    """

    IoError: ClassVar[type[PosixLakeError]]
    SerializationError: ClassVar[type[PosixLakeError]]
    ObjectStoreError: ClassVar[type[PosixLakeError]]
    ArrowError: ClassVar[type[PosixLakeError]]
    ParquetError: ClassVar[type[PosixLakeError]]
    DatabaseNotFound: ClassVar[type[PosixLakeError]]
    RecordNotFound: ClassVar[type[PosixLakeError]]
    DatabaseAlreadyExists: ClassVar[type[PosixLakeError]]
    InvalidOperation: ClassVar[type[PosixLakeError]]
    TransactionConflict: ClassVar[type[PosixLakeError]]
    WalError: ClassVar[type[PosixLakeError]]
    BincodeError: ClassVar[type[PosixLakeError]]
    DeltaLakeError: ClassVar[type[PosixLakeError]]
    Other: ClassVar[type[PosixLakeError]]
    QueryError: ClassVar[type[PosixLakeError]]
    AuthenticationError: ClassVar[type[PosixLakeError]]
    PermissionDenied: ClassVar[type[PosixLakeError]]
    SchemaError: ClassVar[type[PosixLakeError]]
    VersionError: ClassVar[type[PosixLakeError]]
    StorageError: ClassVar[type[PosixLakeError]]
    NetworkError: ClassVar[type[PosixLakeError]]
    TimeoutError: ClassVar[type[PosixLakeError]]
    NotFound: ClassVar[type[PosixLakeError]]
    AlreadyExists: ClassVar[type[PosixLakeError]]

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        #: What was wrong, where, and what to do, in one line.
        self.message = message

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}(message={self.message!r})"


_NAMES = [name for name, kind in PosixLakeError.__annotations__.items() if name[0].isupper() and "ClassVar" in kind]

for _name in _NAMES:
    _class = type(
        _name,
        (PosixLakeError,),
        {"__module__": "posixlake", "__qualname__": f"PosixLakeError.{_name}", "__doc__": f"See PosixLakeError: {_name}."},
    )
    setattr(PosixLakeError, _name, _class)

#: What each kind of the engine's errors is: the first names the class, a program may catch it by any.
_KINDS = {
    "NotFound": ("NotFound", "DatabaseNotFound", "RecordNotFound", "InvalidOperation", "DeltaLakeError", "Other"),
    "AlreadyExists": ("AlreadyExists", "DatabaseAlreadyExists", "DeltaLakeError"),
    "Syntax": ("QueryError", "InvalidOperation", "DeltaLakeError"),
    "Invalid": ("QueryError", "InvalidOperation", "DeltaLakeError"),
    "Schema": ("SchemaError", "QueryError", "ArrowError", "InvalidOperation"),
    "Constraint": ("SchemaError", "ArrowError", "InvalidOperation"),
    "Conflict": ("VersionError", "TransactionConflict", "DeltaLakeError"),
    "Permission": ("PermissionDenied", "AuthenticationError", "IoError", "Other"),
    "Unsupported": ("InvalidOperation", "QueryError"),
    "Storage": ("StorageError", "IoError", "ObjectStoreError", "NetworkError"),
    "Corrupt": ("StorageError", "DeltaLakeError"),
    "Closed": ("InvalidOperation",),
    "Internal": ("Other",),
    "Empty": ("InvalidOperation",),
    "Json": ("SerializationError",),
    "Value": ("ArrowError", "SerializationError", "SchemaError"),
    "Version": ("VersionError", "NotFound", "DeltaLakeError"),
}


def _class_of(names: tuple[str, ...]) -> type[PosixLakeError]:
    bases = tuple(getattr(PosixLakeError, name) for name in names)
    if len(bases) == 1:
        only: type[PosixLakeError] = bases[0]
        return only
    return type(names[0], bases, {"__module__": "posixlake", "__qualname__": f"PosixLakeError.{names[0]}"})


_CLASSES = {kind: _class_of(names) for kind, names in _KINDS.items()}


def of_kind(kind: str, message: str) -> PosixLakeError:
    """The exception for an error of the engine."""
    return _CLASSES.get(kind, PosixLakeError)(message)
