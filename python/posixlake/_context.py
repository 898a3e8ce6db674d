"""The lake in ``datafusion``'s contexts."""

from __future__ import annotations

import asyncio
import os
import uuid
import weakref
from collections.abc import Mapping
from types import FrameType
from typing import Any, cast

import datafusion
from datafusion import DataFrame, RuntimeEnvBuilder, SessionConfig, SessionContext, SQLOptions
from datafusion.user_defined import TableFunction

from . import _text, _variables
from ._errors import PosixLakeError, of_kind
from ._internal import Engine, datafusion_version, is_query
from ._records import Credentials

#: Table functions that contexts get.
FUNCTIONS = ("posixlake_sql", "table_changes", "read_csv", "read_json", "read_parquet")
_ENGINES: weakref.WeakKeyDictionary[SessionContext, Engine] = weakref.WeakKeyDictionary()


def _check_version() -> None:
    ours, installed = str(datafusion_version()), datafusion.__version__
    if installed.split(".")[0] != ours:
        raise ImportError(
            f"this posixlake works with datafusion {ours}, and datafusion {installed} is installed: "
            f"pip install 'datafusion=={ours}.*'"
        )


def _open(
    url: str | os.PathLike[str] | None,
    options: Mapping[str, str] | None,
    user: Credentials | tuple[str, str] | None,
    **more: Any,
) -> Engine:
    _check_version()
    if isinstance(user, Credentials):
        user = (user.username, user.password)
    location = None if url is None else os.fspath(url)
    if location is not None and "://" not in location:
        location = os.path.abspath(location)
    return Engine(location, None if options is None else dict(options), user=user, **more)


def register(
    ctx: SessionContext,
    url: str | os.PathLike[str],
    *,
    name: str = "lake",
    options: Mapping[str, str] | None = None,
    default: bool = False,
    user: Credentials | tuple[str, str] | None = None,
) -> None:
    """Puts a lake into a context of ``datafusion``, as a catalog.

    Its tables, versions (``"t@v3"``) and views (``"t$history"``) can be read, joined and written by INSERT, CREATE TABLE AS and
    DROP; ``posixlake_sql('…')`` takes every other statement. ``datafusion`` tells DROP TABLE and ``deregister_table`` not
    apart: both drop a table of the lake.

    Args:
        ctx: The context.
        url: The lake: a folder, or a URL such as ``s3://bucket/prefix``.
        name: What the catalog is called.
        options: Settings of the store, such as ``aws_region``.
        default: Whether names without a catalog are the lake's.
        user: Who opens the lake, where it has users: ``Credentials``, or a name and a password.

    >>> import tempfile
    >>> from datafusion import SessionContext
    >>> ctx = SessionContext()
    >>> register(ctx, tempfile.mkdtemp())
    >>> _ = ctx.sql('CREATE TABLE lake."default".t AS SELECT 1 AS id').collect()
    >>> ctx.sql('SELECT * FROM lake."default".t').to_pydict()
    {'id': [1]}
    """
    _register(ctx, _open(url, options, user), name, default)


def _register(ctx: SessionContext, engine: Engine, name: str, default: bool) -> None:
    ctx.register_catalog_provider(name, engine.catalog())
    for function in FUNCTIONS:
        ctx.register_udtf(TableFunction(function, cast(Any, engine.function(function)), ctx))
    if default:
        for key, value in (("catalog", name), ("schema", "default")):
            SessionContext.sql(ctx, f"SET datafusion.catalog.default_{key} = {_text.literal(value)}").collect()
    _ENGINES[ctx] = engine


def install(
    ctx: SessionContext,
    url: str | os.PathLike[str] | None = None,
    *,
    options: Mapping[str, str] | None = None,
    user: Credentials | tuple[str, str] | None = None,
) -> SessionContext:
    """Makes ``ctx.sql`` take all of posixlake's SQL, and ``ctx.table`` the names of the lake's tables.

    Args:
        ctx: A context; the lake that was registered with it last is the one that names mean.
        url: The lake, where none was registered. Without any, tables are named by location.
        options: Settings of the store.
        user: Who opens the lake, where it has users: ``Credentials``, or a name and a password.

    Returns:
        The context.

    >>> from datafusion import SessionContext
    >>> ctx = install(SessionContext())
    >>> ctx.sql("SELECT 1 AS one").to_pydict()
    {'one': [1]}
    """
    if url is not None or ctx not in _ENGINES:
        _register(ctx, _open(url, options, user), "lake", False)
    lake = _Lake(ctx, _ENGINES[ctx])
    for method in ("sql", "table", "table_exist"):
        setattr(ctx, method, getattr(lake, method))
    return ctx


class _Lake:
    """Statements of a context, run by the engine."""

    def __init__(self, ctx: SessionContext, engine: Engine) -> None:
        self._ctx = weakref.ref(ctx)
        self._engine = engine

    def _context(self) -> SessionContext:
        ctx = self._ctx()
        if ctx is None:
            raise of_kind("Closed", "the context is gone")
        return ctx

    def sql(
        self,
        query: str,
        options: SQLOptions | None = None,
        param_values: dict[str, Any] | None = None,
        **named_params: Any,
    ) -> DataFrame:
        return self.run(query, _variables.caller(), options, param_values, named_params)

    def run(
        self,
        query: str,
        frame: FrameType | None,
        options: SQLOptions | None = None,
        param_values: Mapping[str, Any] | None = None,
        named_params: Mapping[str, Any] | None = None,
    ) -> DataFrame:
        ctx = self._context()
        values = {name: _text.literal(value) for name, value in (param_values or {}).items()}
        frames: dict[str, object] = {}
        for name, value in (named_params or {}).items():
            if isinstance(value, DataFrame):
                values[name] = f"rows_{uuid.uuid4().hex}"
                frames[values[name]] = value
            else:
                values[name] = str(value)
        if values:
            query = _text.substituted(query, values)
        reads = is_query(query)
        if options is not None and not (reads or _shows(query)):
            _check_options(ctx, options)
        tables = self._tables(ctx, query, frame) | frames
        if reads:
            return DataFrame(ctx.ctx.read_table(self._engine.view(query, tables, ctx)))
        return DataFrame(ctx.ctx.read_table(self._engine.result(self._engine.execute(query, tables), ctx)))

    def _tables(self, ctx: SessionContext, query: str, frame: FrameType | None) -> dict[str, object]:
        """Tables of the context, and variables that hold rows, by the words of the statement."""
        tables = _variables.tables_of(query, self._engine, frame)
        own = ctx.catalog("datafusion").schema("public").names() if "datafusion" in ctx.catalog_names() else set()
        for word in _text.words(query) & own:
            if not self._engine.has_table(word):
                tables[word] = SessionContext.table(ctx, f'datafusion.public."{word}"')
        return tables

    def table(self, name: str) -> DataFrame:
        ctx = self._context()
        try:
            return DataFrame(ctx.ctx.read_table(self._engine.view(f"SELECT * FROM {_table(name)}", None, ctx)))
        except PosixLakeError.NotFound:
            if SessionContext.table_exist(ctx, name):
                return SessionContext.table(ctx, name)
            raise

    def table_exist(self, name: str) -> bool:
        return self._engine.has_table(name) or SessionContext.table_exist(self._context(), name)


def _table(name: str) -> str:
    """A table's name as SQL spells it; one with quotes is spelled so."""
    if any(sign in name for sign in "\"`"):
        return name
    return ".".join(_text.name(part) for part in name.split("."))


def _shows(query: str) -> bool:
    words = query.split(None, 2)
    first, second = (*(word.upper() for word in words), "", "")[:2]
    return first in ("SHOW", "DESCRIBE", "DESC") or (first == "EXPLAIN" and second != "ANALYZE")


def _check_options(ctx: SessionContext, options: SQLOptions) -> None:
    """Asks the context whether the options allow a change: nothing else can read them.

    Raises:
        PosixLakeError.PermissionDenied: they do not.
    """
    try:
        SessionContext.sql(ctx, f"COPY (SELECT 1) TO '{os.devnull}' STORED AS CSV", options)
    except Exception as error:
        raise of_kind("Permission", f"the options of this call allow no statement that changes something: {error}") from error


class LakeContext(SessionContext):
    """A context of ``datafusion`` on a lake: its ``sql`` takes all of posixlake's SQL.

    Tables that are registered with it, and variables of the caller that hold rows (pandas, polars, pyarrow, DuckDB), can be named
    in statements. Queries are lazy; every other statement is run at once, and its frame holds the rows that it gave.

    >>> import tempfile
    >>> ctx = connect(tempfile.mkdtemp())
    >>> _ = ctx.sql("CREATE TABLE t (id INT, name STRING)")
    >>> ctx.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')").to_pydict()
    {'count': [2]}
    >>> ctx.sql("UPDATE t SET name = 'B' WHERE id = 2").to_pydict()
    {'count': [1]}
    >>> ctx.table("t@v1").sort("id").to_pydict()
    {'id': [1, 2], 'name': ['a', 'b']}
    """

    def __init__(
        self, engine: Engine, config: SessionConfig | None = None, runtime: RuntimeEnvBuilder | None = None
    ) -> None:
        super().__init__(config, runtime)
        self._engine = engine
        self._lake = _Lake(self, engine)
        _register(self, engine, "lake", False)

    def sql(
        self,
        query: str,
        options: SQLOptions | None = None,
        param_values: dict[str, Any] | None = None,
        **named_params: Any,
    ) -> DataFrame:
        """Runs a statement; ``$name`` in it stands for a value of ``param_values``, or for a text or frame of ``named_params``.

        Raises:
            PosixLakeError: of the kind that the statement's fault is.
        """
        return self._lake.run(query, _variables.caller(), options, param_values, named_params)

    async def sql_async(self, query: str, param_values: dict[str, Any] | None = None, **named_params: Any) -> DataFrame:
        """As ``sql``, while the event loop goes on."""
        frame = _variables.caller()
        return await asyncio.to_thread(self._lake.run, query, frame, None, param_values, named_params)

    def table(self, name: str) -> DataFrame:
        """A table, version (``t@v3``) or view (``t$history``) of the lake, or a registered table, as a frame."""
        return self._lake.table(name)

    def table_exist(self, name: str) -> bool:
        """Whether ``table`` finds a table of this name."""
        return self._lake.table_exist(name)

    def close(self) -> None:
        """Waits for the work behind statements: checkpoints and their like."""
        self._engine.close()

    def __enter__(self) -> LakeContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    url: str | os.PathLike[str] | None = None,
    *,
    options: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    memory_limit: int | None = None,
    user: Credentials | tuple[str, str] | None = None,
    config: SessionConfig | None = None,
    runtime: RuntimeEnvBuilder | None = None,
) -> LakeContext:
    """Opens a lake.

    Args:
        url: The lake: a folder, or a URL such as ``s3://bucket/prefix``. Without one, tables are named by location.
        options: Settings of the store, such as ``aws_region``.
        settings: Settings of DataFusion for the lake's statements, such as ``datafusion.execution.target_partitions``.
        memory_limit: Bytes that the lake's statements may hold before they spill to disk.
        user: Who opens the lake, where it has users: ``Credentials``, or a name and a password.
        config: Settings of the context itself.
        runtime: The context's runtime.

    Raises:
        PosixLakeError.AuthenticationError: the lake has users and lets this one not in.

    >>> connect().sql("SELECT 1 AS one").to_pydict()
    {'one': [1]}
    """
    return LakeContext(_open(url, options, user, settings=settings, memory_limit=memory_limit), config, runtime)
