//! Clauses that the parser reads and DataFusion's planner passes over without a word: a query must not answer as if
//! they were not there. Those that the planner refuses by itself, in words of its own, are here for better words.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    GroupByExpr, LimitClause, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, VisitMut,
    VisitorMut, WildcardAdditionalOptions,
};

/// A clause that is not available.
#[derive(Debug)]
pub(crate) struct Unheeded {
    /// The word that introduces it.
    pub(crate) word: &'static str,
    /// The clause.
    pub(crate) clause: &'static str,
    /// What to write instead.
    pub(crate) hint: &'static str,
}

/// Finds the first such clause of a tree.
pub(crate) fn find<T: VisitMut>(node: &mut T) -> Option<Unheeded> {
    node.visit(&mut Finder).break_value()
}

struct Finder;

type Flow = ControlFlow<Unheeded>;

fn refuse(word: &'static str, clause: &'static str, hint: &'static str) -> Flow {
    ControlFlow::Break(Unheeded { word, clause, hint })
}

fn refuse_if(there: bool, word: &'static str, clause: &'static str, hint: &'static str) -> Flow {
    if there {
        refuse(word, clause, hint)
    } else {
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Finder {
    type Break = Unheeded;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        let by = match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit_by, .. }) => !limit_by.is_empty(),
            _ => false,
        };
        refuse_if(
            by,
            "BY",
            "LIMIT … BY",
            "use row_number() OVER (PARTITION BY …) in QUALIFY",
        )?;
        refuse_if(query.fetch.is_some(), "FETCH", "FETCH", "write LIMIT n")?;
        refuse_if(
            !query.locks.is_empty(),
            "FOR",
            "FOR UPDATE or SHARE",
            "there are no locks: every statement reads one version, and a change that meets another is run again",
        )?;
        refuse_if(
            query.for_clause.is_some(),
            "FOR",
            "FOR JSON, XML or BROWSE",
            "leave it out",
        )?;
        refuse_if(
            query.settings.is_some(),
            "SETTINGS",
            "SETTINGS",
            "use SET name = value before the query",
        )?;
        refuse_if(
            query.format_clause.is_some(),
            "FORMAT",
            "FORMAT",
            "how rows are printed is not the query's: use --format or \\pset format",
        )
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        const ORDER: &str = "use ORDER BY; a table is kept in order by OPTIMIZE t ZORDER BY (…)";
        refuse_if(
            select.top.is_some(),
            "TOP",
            "TOP",
            "write LIMIT n at the end of the query",
        )?;
        refuse_if(select.prewhere.is_some(), "PREWHERE", "PREWHERE", "write WHERE")?;
        refuse_if(
            !select.connect_by.is_empty(),
            "CONNECT",
            "CONNECT BY",
            "use WITH RECURSIVE",
        )?;
        refuse_if(
            !select.lateral_views.is_empty(),
            "LATERAL",
            "LATERAL VIEW",
            "use unnest(…) in the list of columns or in FROM",
        )?;
        refuse_if(!select.sort_by.is_empty(), "SORT", "SORT BY", ORDER)?;
        refuse_if(!select.cluster_by.is_empty(), "CLUSTER", "CLUSTER BY", ORDER)?;
        refuse_if(!select.distribute_by.is_empty(), "DISTRIBUTE", "DISTRIBUTE BY", ORDER)?;
        refuse_if(
            select.value_table_mode.is_some(),
            "AS",
            "SELECT AS STRUCT or VALUE",
            "use named_struct('name', value, …)",
        )?;
        let modified = match &select.group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => !modifiers.is_empty(),
        };
        refuse_if(
            modified,
            "WITH",
            "GROUP BY … WITH",
            "write GROUP BY ROLLUP (…), CUBE (…) or GROUPING SETS (…)",
        )?;
        select.projection.iter().try_for_each(|item| match item {
            SelectItem::Wildcard(options) => check_wildcard(options),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => {
                check_wildcard(options)
            }
            _ => ControlFlow::Continue(()),
        })
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        const SAMPLE: &str = "use WHERE random() < 0.1, or LIMIT";
        match factor {
            TableFactor::Table {
                with_hints,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                refuse_if(sample.is_some(), "TABLESAMPLE", "TABLESAMPLE", SAMPLE)?;
                refuse_if(
                    !with_hints.is_empty(),
                    "WITH",
                    "WITH (…) behind a table",
                    "leave it out",
                )?;
                refuse_if(
                    !partitions.is_empty(),
                    "PARTITION",
                    "PARTITION (…) behind a table",
                    "write WHERE with conditions on the partition columns",
                )?;
                refuse_if(!index_hints.is_empty(), "INDEX", "index hints", "leave them out")?;
                refuse_if(json_path.is_some(), "", "a path behind a table", "use column['field']")
            }
            TableFactor::Derived { sample, .. } => refuse_if(sample.is_some(), "TABLESAMPLE", "TABLESAMPLE", SAMPLE),
            TableFactor::Pivot { .. } => refuse(
                "PIVOT",
                "PIVOT",
                "use GROUP BY with sum(x) FILTER (WHERE …) for each new column",
            ),
            TableFactor::Unpivot { .. } => refuse("UNPIVOT", "UNPIVOT", "use UNION ALL, or unnest(…) of an array"),
            TableFactor::MatchRecognize { .. } => refuse(
                "MATCH_RECOGNIZE",
                "MATCH_RECOGNIZE",
                "use window functions such as lag(…)",
            ),
            TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } | TableFactor::XmlTable { .. } => {
                refuse("", "JSON_TABLE, OPENJSON or XMLTABLE", "use read_json('…') on a file")
            }
            TableFactor::SemanticView { .. } => refuse("", "SEMANTIC_VIEW", "name tables and views"),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn check_wildcard(options: &WildcardAdditionalOptions) -> Flow {
    refuse_if(
        options.opt_ilike.is_some(),
        "ILIKE",
        "* ILIKE",
        "name the columns, or use * EXCLUDE (…)",
    )?;
    refuse_if(
        options.opt_rename.is_some(),
        "RENAME",
        "* RENAME",
        "write * EXCLUDE (a), a AS b",
    )
}
