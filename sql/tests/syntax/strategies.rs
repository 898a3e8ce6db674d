//! Statements, names and expressions at random.

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, TableFactor, TableWithJoins};
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use posixlake_sql::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// One statement of every kind.
pub(crate) const ONE_OF_EACH: &[&str] = &[
    "SELECT a FROM t VERSION AS OF 3 AS x WHERE b = 'it''s'",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p (INT) AS SELECT $1",
    "CREATE TABLE IF NOT EXISTS t (a INT NOT NULL, b ARRAY<STRUCT<x: INT>>, PRIMARY KEY (a)) PARTITIONED BY (a) TBLPROPERTIES ('k' = 'v')",
    "CREATE TABLE t LIKE s",
    "DROP SECRET IF EXISTS s",
    "SHOW SECRETS",
    "CREATE TABLE t SHALLOW CLONE s VERSION AS OF 3",
    "CONVERT TO DELTA parquet.`/a` PARTITIONED BY (d DATE)",
    "CREATE USER IF NOT EXISTS u PASSWORD 'x'",
    "ALTER USER u PASSWORD 'x'",
    "DROP USER IF EXISTS u",
    "CREATE ROLE r",
    "DROP ROLE r",
    "GRANT SELECT, MODIFY ON TABLE s.t TO u",
    "GRANT ALL ON SCHEMA s TO u",
    "REVOKE INSERT ON LAKE FROM u",
    "GRANT r TO u",
    "REVOKE r FROM u",
    "SHOW GRANTS FOR u",
    "SHOW USERS",
    "SHOW ROLES",
    "DROP TABLE t",
    "ALTER TABLE t ADD COLUMN a.b INT FIRST",
    "COMMENT ON COLUMN t.c IS 'x'",
    "INSERT INTO t (a, b) SELECT a, b FROM s",
    "UPDATE t AS x SET a = a + 1 FROM s WHERE x.id = s.id",
    "DELETE FROM t USING s WHERE t.id = s.id",
    "TRUNCATE TABLE t",
    "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.x THEN DELETE WHEN NOT MATCHED THEN INSERT *",
    "COPY INTO t FROM 'in' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')",
    "OPTIMIZE t WHERE a = 1 ZORDER BY (b)",
    "VACUUM t RETAIN 168 HOURS DRY RUN",
    "RESTORE TABLE t TO VERSION AS OF 3",
    "BACKUP TABLE t TO 'x' INCREMENTAL",
    "VERIFY BACKUP 'x'",
    "RESTORE TABLE t AS u FROM 'x' TO VERSION AS OF 3 OVERWRITE",
    "KILL QUERY 7",
    "FSCK REPAIR TABLE t DRY RUN",
    "REORG TABLE t APPLY (PURGE)",
    "CHECKPOINT t",
    "GENERATE symlink_format_manifest FOR TABLE t",
    "ANALYZE TABLE t COMPUTE STATISTICS",
    "CALL optimize('t', where => 'a')",
    "DESCRIBE HISTORY t LIMIT 3",
    "DESCRIBE DETAIL t",
    "SHOW TBLPROPERTIES t ('k')",
    "SHOW PARTITIONS t",
    "SHOW CREATE TABLE t",
    "SHOW PROCEDURES",
    "COPY (SELECT 1) TO 'x' STORED AS CSV OPTIONS ('k' 'v')",
    "CREATE EXTERNAL TABLE t (a INT) STORED AS CSV OPTIONS ('k' 'v') LOCATION 'x'",
    "DESCRIBE t",
    "SHOW TABLES",
    "SHOW COLUMNS FROM t",
    "CREATE VIEW v AS SELECT 1",
    "CREATE SCHEMA s",
];

/// A name in the form in which statements hold it.
fn ident(name: &str) -> Ident {
    if quote_identifier(name) == name {
        Ident::new(name)
    } else {
        Ident::with_quote('`', name)
    }
}

pub(crate) fn name() -> impl Strategy<Value = Ident> {
    prop_oneof![
        4 => "[a-z_][a-z0-9_]{0,6}".prop_map(|name| ident(&name)),
        2 => proptest::sample::select(ALL_KEYWORDS).prop_map(|name| ident(&name.to_lowercase())),
        1 => proptest::sample::select(ALL_KEYWORDS).prop_map(ident),
        1 => "[a-z]{1,3}[@$#][a-z0-9]{1,3}".prop_map(|name| ident(&name)),
        1 => "[A-Z][a-zA-Z]{0,4}".prop_map(Ident::new),
        2 => "[ -~]{0,8}".prop_map(|name| ident(&name)),
        1 => "\\PC{1,5}".prop_map(|name| ident(&name)),
        1 => "[`\"'\\\\.;\\n-]{1,5}".prop_map(|name| ident(&name)),
    ]
    // Unquoted keywords in upper case are names only where no syntax claims them.
    .prop_map(|ident| {
        if ident.quote_style.is_none() && quote_identifier(&ident.value.to_lowercase()) != ident.value.to_lowercase() {
            Ident::with_quote('`', ident.value)
        } else {
            ident
        }
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[a-z/. ]{0,8}", 1 => "[ -~]{0,8}", 1 => "\\PC{0,5}", 1 => "['\"\\\\;\\n`-]{0,6}"]
}

pub(crate) fn table() -> impl Strategy<Value = ObjectName> {
    vec(name(), 1..=3).prop_map(ObjectName::from)
}

fn path() -> impl Strategy<Value = Vec<Ident>> {
    vec(name(), 1..=3)
}

/// A name as text, in any of the quotes that are read.
fn written_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]".boxed(),
        1 => "[A-E][a-z]{0,2}".boxed(),
        1 => "[ -~]{1,5}".prop_map(|name| format!("\"{}\"", name.replace('"', "\"\""))).boxed(),
        1 => "[ -~]{1,5}".prop_map(|name| format!("`{}`", name.replace('`', "``"))).boxed(),
    ]
}

fn written_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("'{}'", text.replace('\'', "''")))
}

/// An expression as text.
pub(crate) fn written_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        written_name(),
        (written_name(), written_name()).prop_map(|(table, column)| format!("{table}.{column}")),
        any::<u32>().prop_map(|number| number.to_string()),
        Just("1.50".to_owned()),
        written_text(),
        Just("NULL".to_owned()),
        Just("true".to_owned()),
        Just("$1".to_owned()),
        Just("DATE '2026-01-01'".to_owned()),
        Just("INTERVAL '1 hour'".to_owned()),
        Just("E'a\\nb''c'".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = proptest::sample::select(
            &[
                "+", "-", "*", "/", "%", "||", "=", "<>", "<", ">=", "AND", "OR", "&", "|",
            ][..],
        );
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("NOT {inner}")),
            inner.clone().prop_map(|inner| format!("({inner}) IS NOT NULL")),
            inner
                .clone()
                .prop_map(|inner| format!("CAST({inner} AS DECIMAL(10, 2))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("CASE WHEN {a} THEN {b} ELSE 1 END")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) IN ({b}, 2)")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) BETWEEN ({b}) AND 9")),
            (inner.clone(), written_text()).prop_map(|(a, b)| format!("({a}) LIKE {b}")),
            inner.clone().prop_map(|inner| format!("ARRAY[{inner}]")),
            inner
                .clone()
                .prop_map(|inner| format!("sum({inner}) OVER (PARTITION BY a ORDER BY {inner} DESC)")),
            inner
                .clone()
                .prop_map(|inner| format!("(SELECT {inner} FROM t VERSION AS OF 3 AS x WHERE a)")),
            inner.prop_map(|inner| format!(
                "EXISTS (SELECT 1 FROM t TIMESTAMP AS OF now() - INTERVAL '1 hour' AS x WHERE {inner})"
            )),
        ]
    })
}

pub(crate) fn expression() -> impl Strategy<Value = Expr> {
    written_expression().prop_filter_map("understood", |text| parse_expression(&text).ok())
}

fn written_relation() -> impl Strategy<Value = String> {
    let version = prop_oneof![
        4 => Just(String::new()),
        1 => any::<u16>().prop_map(|version| format!(" VERSION AS OF {version}")),
        1 => written_text().prop_map(|time| format!(" TIMESTAMP AS OF {time}")),
        1 => Just(" TIMESTAMP AS OF (now() - INTERVAL '1')".to_owned()),
    ];
    let alias = prop_oneof![2 => Just(String::new()), 2 => written_name().prop_map(|name| format!(" AS {name}"))];
    (written_name(), version, alias).prop_map(|(table, version, alias)| format!("{table}{version}{alias}"))
}

pub(crate) fn written_query() -> impl Strategy<Value = String> {
    let select = (
        vec(written_expression(), 1..3),
        written_name(),
        written_relation(),
        of(written_relation()),
        of(written_expression()),
    )
        .prop_map(|(columns, alias, from, join, filter)| {
            let join = join
                .map(|join| format!(" LEFT JOIN {join} ON true"))
                .unwrap_or_default();
            let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
            format!("SELECT {} AS {alias} FROM {from}{join}{filter}", columns.join(", "))
        });
    let values = vec(written_expression(), 1..3).prop_map(|row| format!("VALUES ({})", row.join(", ")));
    let base = prop_oneof![3 => select.boxed(), 1 => values.boxed()].boxed();
    prop_oneof![
        4 => base.clone(),
        1 => (base.clone(), base.clone()).prop_map(|(a, b)| format!("{a} UNION ALL {b}")).boxed(),
        1 => (base.clone(), base.clone()).prop_map(|(a, b)| format!("WITH q AS ({a}) {b}")).boxed(),
        1 => base.clone().prop_map(|a| format!("({a}) ORDER BY 1 LIMIT 3")).boxed(),
        1 => base.prop_map(|a| format!("SELECT * FROM ({a}) AS sub (c)")).boxed(),
    ]
}

fn query() -> impl Strategy<Value = Box<Query>> {
    written_query().prop_filter_map("understood", |text| {
        match parse(&format!("INSERT INTO t {text}")).ok()?.pop()?.statement {
            Statement::Insert(insert) => Some(insert.source),
            _ => None,
        }
    })
}

fn relations() -> impl Strategy<Value = Vec<TableWithJoins>> {
    vec(written_relation(), 0..3).prop_filter_map("understood", |relations| {
        if relations.is_empty() {
            return Some(Vec::new());
        }
        match parse(&format!("DELETE FROM t USING {}", relations.join(", ")))
            .ok()?
            .pop()?
            .statement
        {
            Statement::Delete(delete) => Some(delete.using),
            _ => None,
        }
    })
}

fn source() -> impl Strategy<Value = TableFactor> {
    let subquery = (written_query(), written_name()).prop_map(|(query, alias)| format!("({query}) AS {alias}"));
    prop_oneof![written_relation().boxed(), subquery.boxed()].prop_filter_map("understood", |source| {
        match parse(&format!("MERGE INTO t USING {source} ON true WHEN MATCHED THEN DELETE"))
            .ok()?
            .pop()?
            .statement
        {
            Statement::Merge(merge) => Some(merge.source),
            _ => None,
        }
    })
}

pub(crate) fn data_type() -> impl Strategy<Value = TypeName> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            TypeName::Boolean,
            TypeName::TinyInt,
            TypeName::SmallInt,
            TypeName::Int,
            TypeName::BigInt,
            TypeName::Float,
            TypeName::Double,
            TypeName::String,
            TypeName::Binary,
            TypeName::Date,
            TypeName::Timestamp,
            TypeName::TimestampNtz,
        ]),
        (1_u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| TypeName::Decimal { precision, scale }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let field =
            (name(), inner.clone(), any::<bool>(), of(text())).prop_map(|(name, data_type, nullable, comment)| {
                StructField {
                    name,
                    data_type,
                    nullable,
                    comment,
                }
            });
        prop_oneof![
            inner.clone().prop_map(|inner| TypeName::Array(Box::new(inner))),
            (inner.clone(), inner).prop_map(|(key, value)| TypeName::Map(Box::new(key), Box::new(value))),
            vec(field, 1..3)
                .prop_map(TypeName::Struct)
                .prop_filter("no field twice", |data_type| match data_type {
                    TypeName::Struct(fields) => distinct(fields.iter().map(|field| &field.name)),
                    _ => true,
                }),
        ]
    })
}

fn distinct<'a>(names: impl Iterator<Item = &'a Ident>) -> bool {
    let mut seen = std::collections::HashSet::new();
    names
        .map(|name| {
            if name.quote_style.is_none() {
                name.value.to_lowercase()
            } else {
                name.value.clone()
            }
        })
        .all(|name| seen.insert(name))
}

fn as_of() -> impl Strategy<Value = AsOf> {
    prop_oneof![
        (0..=i64::MAX as u64).prop_map(AsOf::Version),
        expression()
            .prop_filter("without brackets of its own", |time| !matches!(
                time,
                Expr::Nested(_) | Expr::Tuple(_)
            ))
            .prop_map(AsOf::Timestamp)
    ]
}

fn properties(least: usize) -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::btree_map(text(), text(), least..3).prop_map(|pairs| pairs.into_iter().collect())
}

fn column() -> impl Strategy<Value = Column> {
    let identity = (
        any::<bool>(),
        any::<i64>(),
        any::<i64>().prop_filter("a step", |step| *step != 0),
    )
        .prop_map(|(always, start, increment)| Identity {
            always,
            start,
            increment,
        });
    (
        name(),
        data_type(),
        any::<bool>(),
        0..4,
        expression(),
        identity,
        of(text()),
    )
        .prop_map(|(name, data_type, nullable, kind, value, identity, comment)| Column {
            name,
            data_type,
            nullable,
            default: (kind == 1).then(|| value.clone()),
            generated: (kind == 2).then_some(value),
            identity: (kind == 3).then_some(identity),
            comment,
        })
}

fn create_table() -> impl Strategy<Value = CreateTable> {
    let head = (
        table(),
        0..3,
        vec(column(), 1..4),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    let checks = vec(
        (of(name()), expression()).prop_map(|(name, expression)| Check { name, expression }),
        0..2,
    );
    let tail = (
        checks,
        vec(name(), 0..2),
        vec(name(), 0..2),
        of(text()),
        of(text()),
        properties(0),
        of(query()),
    );
    (head, tail).prop_filter_map("no column twice", |((name, replace, mut columns, key, keyed), tail)| {
        let (checks, partitioned_by, cluster_by, location, comment, properties, query) = tail;
        if !distinct(columns.iter().map(|column| &column.name)) {
            return None;
        }
        let mut primary_key = Vec::new();
        if keyed {
            let column = key.get(&columns).name.clone();
            columns
                .iter_mut()
                .filter(|other| other.name == column)
                .for_each(|column| column.nullable = false);
            primary_key.push(column);
        }
        Some(CreateTable {
            or_replace: replace == 1,
            if_not_exists: replace == 2,
            columns,
            primary_key,
            checks,
            partitioned_by,
            cluster_by,
            location,
            comment,
            properties,
            query,
            ..CreateTable::named(name)
        })
    })
}

fn alter() -> impl Strategy<Value = AlterOperation> {
    let position = of(prop_oneof![Just(Position::First), name().prop_map(Position::After)]);
    let added = (vec(name(), 0..2), column(), any::<bool>(), position).prop_map(
        |(parents, column, if_not_exists, position)| AddColumn {
            parents,
            column,
            if_not_exists,
            position,
        },
    );
    prop_oneof![
        vec(added, 1..3).prop_map(AlterOperation::AddColumns),
        vec(path(), 1..3).prop_map(AlterOperation::DropColumns),
        (path(), name()).prop_map(|(from, to)| AlterOperation::RenameColumn { from, to }),
        (path(), data_type()).prop_map(|(column, data_type)| AlterOperation::SetType { column, data_type }),
        path().prop_map(AlterOperation::SetNotNull),
        path().prop_map(AlterOperation::DropNotNull),
        (path(), text()).prop_map(|(column, comment)| AlterOperation::SetColumnComment { column, comment }),
        (name(), expression()).prop_map(|(column, value)| AlterOperation::SetDefault { column, value }),
        name().prop_map(AlterOperation::DropDefault),
        (name(), expression()).prop_map(|(name, expression)| AlterOperation::AddConstraint(Check {
            name: Some(name),
            expression
        })),
        (name(), any::<bool>()).prop_map(|(name, if_exists)| AlterOperation::DropConstraint { name, if_exists }),
        properties(1).prop_map(AlterOperation::SetProperties),
        (vec(text(), 1..3), any::<bool>())
            .prop_map(|(keys, if_exists)| AlterOperation::UnsetProperties { keys, if_exists }),
        vec(name(), 1..3).prop_map(AlterOperation::AddPrimaryKey),
        Just(AlterOperation::DropPrimaryKey),
        table().prop_map(AlterOperation::RenameTo),
        vec(name(), 0..3).prop_map(AlterOperation::ClusterBy),
        ("[a-zA-Z][a-zA-Z-]{0,8}", any::<bool>()).prop_map(|(feature, truncate_history)| AlterOperation::DropFeature {
            feature,
            truncate_history
        }),
    ]
}

fn assignments() -> impl Strategy<Value = Vec<Assignment>> {
    vec(
        (path(), expression()).prop_map(|(target, value)| Assignment { target, value }),
        1..3,
    )
}

fn insert() -> impl Strategy<Value = Insert> {
    let partition = vec((name(), of(expression())), 0..3);
    (
        table(),
        vec(name(), 0..3),
        0..4,
        expression(),
        partition,
        any::<bool>(),
        query(),
    )
        .prop_map(
            |(table, columns, kind, predicate, partition, schema_evolution, source)| {
                let mut bare = predicate;
                while let Expr::Nested(inner) = bare {
                    bare = *inner;
                }
                let (mode, partition) = match kind {
                    0 => (InsertMode::Append, partition),
                    1 => (InsertMode::Overwrite, partition),
                    _ => (InsertMode::ReplaceWhere(bare), Vec::new()),
                };
                Insert {
                    by_name: columns.is_empty() && kind % 2 == 0,
                    table,
                    columns,
                    mode,
                    partition,
                    schema_evolution,
                    source,
                }
            },
        )
}

fn merge() -> impl Strategy<Value = Merge> {
    let clause = (
        0..3_usize,
        expression(),
        0..3,
        assignments(),
        vec((name(), expression()), 1..3),
    )
        .prop_map(|(kind, predicate, action, assignments, row)| {
            let kind = [MergeKind::Matched, MergeKind::NotMatched, MergeKind::NotMatchedBySource][kind];
            let (columns, values) = row.into_iter().unzip();
            let action = match (kind, action) {
                (MergeKind::NotMatched, 0) => MergeAction::InsertAll,
                (MergeKind::NotMatched, 1) => MergeAction::Insert { columns, values },
                (MergeKind::NotMatched, _) => MergeAction::Insert {
                    columns: Vec::new(),
                    values,
                },
                (MergeKind::Matched, 0) => MergeAction::UpdateAll,
                (_, 1) => MergeAction::Delete,
                _ => MergeAction::Update(assignments),
            };
            MergeClause {
                kind,
                predicate: Some(predicate),
                action,
            }
        });
    (
        any::<bool>(),
        table(),
        of(name()),
        source(),
        expression(),
        vec(clause, 1..4),
        any::<bool>(),
    )
        .prop_map(|(schema_evolution, table, alias, source, on, mut clauses, bare)| {
            if let Some(last) = clauses.last_mut().filter(|_| bare) {
                last.predicate = None;
            }
            Merge {
                schema_evolution,
                table,
                alias,
                source,
                on,
                clauses,
            }
        })
}

fn copy_into() -> impl Strategy<Value = CopyInto> {
    let format = proptest::sample::select(&[FileFormat::Csv, FileFormat::Json, FileFormat::Parquet][..]);
    (
        table(),
        text(),
        format,
        vec(text(), 0..3),
        of(text()),
        properties(0),
        properties(0),
    )
        .prop_map(
            |(table, location, format, files, pattern, format_options, copy_options)| CopyInto {
                table,
                location,
                format,
                files,
                pattern,
                format_options,
                copy_options,
            },
        )
}

fn call() -> impl Strategy<Value = Call> {
    (
        name(),
        vec(expression(), 0..3),
        proptest::collection::btree_map("[a-z_]{1,6}", expression(), 0..3),
    )
        .prop_map(|(procedure, positional, named)| {
            let lower = if procedure.quote_style.is_none() {
                ident(&procedure.value.to_lowercase())
            } else {
                procedure
            };
            let positional = positional.into_iter().map(|value| Argument { name: None, value });
            let named = named.into_iter().map(|(name, value)| Argument {
                name: Some(Ident::new(name)),
                value,
            });
            Call {
                procedure: lower,
                arguments: positional.chain(named).collect(),
            }
        })
}

/// Statements of our own kinds, none of them holding another.
fn own() -> impl Strategy<Value = Statement> {
    let definitions = prop_oneof![
        create_table().prop_map(Statement::CreateTable),
        (table(), any::<bool>(), table(), of(text())).prop_map(|(name, if_not_exists, source, location)| {
            Statement::CreateTableLike(CreateTableLike {
                name,
                if_not_exists,
                source,
                location,
            })
        }),
        (
            table(),
            0..3,
            any::<bool>(),
            table(),
            of(as_of()),
            of(text()),
            properties(0)
        )
            .prop_map(|(name, replace, shallow, source, as_of, location, properties)| {
                Statement::CloneTable(CloneTable {
                    name,
                    or_replace: replace == 1,
                    if_not_exists: replace == 2,
                    shallow,
                    source,
                    as_of,
                    location,
                    properties,
                })
            }),
        (text(), any::<bool>(), vec(column(), 0..2)).prop_map(|(location, statistics, partitioned_by)| {
            Statement::Convert(Convert {
                location,
                statistics,
                partitioned_by,
            })
        }),
        (table(), any::<bool>()).prop_map(|(name, if_exists)| Statement::DropTable(DropTable { name, if_exists })),
        (table(), alter()).prop_map(|(name, operation)| Statement::AlterTable(AlterTable { name, operation })),
        (table(), of(name()), of(text())).prop_map(|(table, column, comment)| Statement::CommentOn(CommentOn {
            table,
            column,
            comment
        })),
    ];
    let changes = prop_oneof![
        insert().prop_map(Statement::Insert),
        (table(), of(name()), assignments(), relations(), of(expression())).prop_map(
            |(table, alias, assignments, from, selection)| Statement::Update(Update {
                table,
                alias,
                assignments,
                from,
                selection
            })
        ),
        (table(), of(name()), relations(), of(expression())).prop_map(|(table, alias, using, selection)| {
            Statement::Delete(Delete {
                table,
                alias,
                using,
                selection,
            })
        }),
        table().prop_map(Statement::Truncate),
        merge().prop_map(Statement::Merge),
        copy_into().prop_map(Statement::CopyInto),
    ];
    let hours = prop_oneof![(0..10_000_u32).prop_map(f64::from), (0.0..1e300_f64)];
    let maintenance = prop_oneof![
        (table(), of(expression()), vec(name(), 0..3)).prop_map(|(table, selection, zorder)| Statement::Optimize(
            Optimize {
                table,
                selection,
                zorder
            }
        )),
        (table(), any::<bool>(), of(hours), any::<bool>()).prop_map(|(table, lite, retain_hours, dry_run)| {
            let mode = if lite { VacuumMode::Lite } else { VacuumMode::Full };
            Statement::Vacuum(Vacuum {
                table,
                mode,
                retain_hours,
                dry_run,
            })
        }),
        (table(), as_of()).prop_map(|(table, as_of)| Statement::Restore(Restore { table, as_of })),
        (of(table()), text(), any::<bool>()).prop_map(|(table, location, incremental)| Statement::Backup(Backup {
            table,
            location,
            incremental
        })),
        text().prop_map(|location| Statement::VerifyBackup(VerifyBackup { location })),
        ((table(), of(table())), text(), of(as_of()), any::<bool>()).prop_map(
            |((table, target), location, as_of, overwrite)| Statement::RestoreBackup(RestoreBackup {
                table: Some(table),
                target,
                location,
                as_of,
                overwrite
            })
        ),
        (text(), any::<bool>()).prop_map(|(location, overwrite)| Statement::RestoreBackup(RestoreBackup {
            table: None,
            target: None,
            location,
            as_of: None,
            overwrite
        })),
        any::<u64>().prop_map(Statement::KillQuery),
        (table(), any::<bool>()).prop_map(|(table, dry_run)| Statement::Fsck(Fsck { table, dry_run })),
        (table(), of(expression())).prop_map(|(table, selection)| Statement::Reorg(Reorg { table, selection })),
        table().prop_map(Statement::Checkpoint),
        table().prop_map(|table| Statement::Generate(Generate {
            mode: "symlink_format_manifest".to_owned(),
            table
        })),
        table().prop_map(Statement::Analyze),
        call().prop_map(Statement::Call),
        (table(), of(any::<u64>()))
            .prop_map(|(table, limit)| Statement::DescribeHistory(DescribeHistory { table, limit })),
        table().prop_map(Statement::DescribeDetail),
        (table(), of(text())).prop_map(|(table, key)| Statement::ShowProperties(ShowProperties { table, key })),
        table().prop_map(Statement::ShowPartitions),
        table().prop_map(Statement::ShowCreateTable),
        Just(Statement::ShowProcedures),
    ];
    prop_oneof![definitions, changes, maintenance]
}

/// Statements of all kinds.
pub(crate) fn statement() -> impl Strategy<Value = Statement> {
    let query = written_query()
        .prop_filter_map("understood", |text| parse(&text).ok()?.pop())
        .prop_map(|parsed| parsed.statement);
    let plain = prop_oneof![4 => own().boxed(), 1 => query.boxed()].boxed();
    let explained = (
        plain.clone(),
        any::<bool>(),
        any::<bool>(),
        of(proptest::sample::select(&["indent", "tree", "pgjson", "graphviz"][..])),
    )
        .prop_map(|(statement, analyze, verbose, format)| {
            Statement::Explain(Explain {
                analyze,
                verbose,
                format: format.map(str::to_owned),
                level: None,
                categories: None,
                costs: None,
                statement: Box::new(statement),
            })
        });
    let prepared = (name(), plain.clone()).prop_map(|(name, statement)| {
        Statement::Prepare(Prepare {
            name,
            parameter_types: Vec::new(),
            statement: Box::new(statement),
        })
    });
    prop_oneof![6 => plain, 1 => explained.boxed(), 1 => prepared.boxed()]
}
