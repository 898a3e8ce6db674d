//! What the Tab key offers at a place in a statement.

use super::tokens::{Token, TokenKind, tokenize};

/// Where names come from.
pub(crate) trait Names {
    /// The schemas apart from the default one.
    fn schemas(&self) -> Vec<String>;
    /// The tables of a schema, or of the default one.
    fn tables(&self, schema: Option<&str>) -> Vec<String>;
    /// The columns of a table, named with or without a schema.
    fn columns(&self, table: &[String]) -> Vec<String>;
    /// The functions.
    fn functions(&self) -> Vec<String>;
}

/// What fits at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Completion {
    /// The name of a file, which starts behind the last quote.
    File,
    /// One of these, in place of the text from this byte to the cursor.
    Words(usize, Vec<String>),
}

/// Words before the name of a table.
const BEFORE_TABLE: [&str; 18] = [
    "from",
    "join",
    "into",
    "update",
    "table",
    "describe",
    "desc",
    "optimize",
    "vacuum",
    "history",
    "detail",
    "tblproperties",
    "partitions",
    "checkpoint",
    "truncate",
    "clone",
    "using",
    "overwrite",
];
/// Words before the name of a file, in quotes.
const BEFORE_FILE: [&str; 4] = ["from", "join", "location", "to"];
/// Words that end a list of tables, and so are no alias.
const CLAUSES: [&str; 32] = [
    "select",
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "union",
    "intersect",
    "except",
    "on",
    "using",
    "set",
    "values",
    "when",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "version",
    "timestamp",
    "for",
    "as",
    "at",
    "qualify",
    "window",
    "partition",
    "by",
    "from",
];

/// What fits at a byte of a text. The text may hold several statements; the one around the byte counts.
pub(crate) fn complete(text: &str, position: usize, names: &dyn Names, keywords: &[&str]) -> Completion {
    let (before, after) = text.split_at_checked(position).unwrap_or((text, ""));
    let tokens = tokenize(before);
    let start_of_statement = tokens
        .iter()
        .rposition(|token| token.is_symbol(";"))
        .map_or(0, |at| at + 1);
    let tokens = tokens.get(start_of_statement..).unwrap_or_default();

    let none = Completion::Words(position, Vec::new());
    let (context, word) = match tokens.split_last() {
        Some((last, rest)) => match last.kind {
            TokenKind::Text if !last.closed => return if wants_file(rest) { Completion::File } else { none },
            TokenKind::Comment | TokenKind::Text | TokenKind::Number => return none,
            TokenKind::QuotedName if last.closed => return none,
            TokenKind::Word | TokenKind::QuotedName => (rest, Some(*last)),
            TokenKind::Space | TokenKind::Symbol => (tokens, None),
        },
        None => (tokens, None),
    };
    let place = Place::new(context, word, position);
    let rest = tokenize(after);
    let rest = rest.split(|token| token.is_symbol(";")).next().unwrap_or_default();
    let candidates = place.candidates(names, keywords, || relations(tokens.iter().chain(rest)));
    Completion::Words(place.start, candidates)
}

/// Whether a quote behind these tokens starts the name of a file.
fn wants_file(tokens: &[Token<'_>]) -> bool {
    let mut back = tokens.iter().rev().filter(|token| token.is_significant());
    match back.next() {
        Some(token) if token.is_symbol("(") => {
            let function = back.next().and_then(Token::name).unwrap_or_default();
            function.starts_with("read_") || function == "parquet_metadata"
        }
        Some(token) => BEFORE_FILE.iter().any(|word| token.is_word(word)),
        None => false,
    }
}

/// A place in a statement where a word is typed.
struct Place<'a> {
    /// Where the word starts.
    start: usize,
    /// What there is of it, without a quote.
    prefix: String,
    /// The names with dots before it.
    qualifier: Vec<String>,
    /// What stands before all that.
    context: Vec<&'a Token<'a>>,
    /// The quote that the word was started with.
    quote: Option<char>,
}

impl<'a> Place<'a> {
    fn new(context: &'a [Token<'a>], word: Option<Token<'a>>, position: usize) -> Self {
        let mut rest = context;
        let mut qualifier = Vec::new();
        while let [before @ .., name, dot] = rest
            && dot.is_symbol(".")
            && let Some(name) = name.name()
        {
            qualifier.insert(0, name);
            rest = before;
        }
        let prefix = word
            .map_or("", |word| word.text.trim_start_matches(['"', '`']))
            .to_string();
        Self {
            start: word.map_or(position, |word| word.start),
            prefix,
            qualifier,
            context: rest.iter().filter(|token| token.is_significant()).collect(),
            quote: word
                .filter(|word| word.kind == TokenKind::QuotedName)
                .and_then(|word| word.text.chars().next()),
        }
    }

    fn candidates(&self, names: &dyn Names, keywords: &[&str], relations: impl Fn() -> Vec<Relation>) -> Vec<String> {
        let mut found = Vec::new();
        match (self.wants_table(), self.qualifier.as_slice()) {
            (true, []) => {
                found.extend(self.identifiers(names.tables(None)));
                found.extend(
                    self.identifiers(names.schemas())
                        .into_iter()
                        .map(|schema| format!("{schema}.")),
                );
                if !self.prefix.is_empty() {
                    found.extend(self.keywords(keywords));
                }
            }
            (true, [.., schema]) => found.extend(self.identifiers(names.tables(Some(schema)))),
            (false, []) if self.context.is_empty() => found.extend(self.keywords(keywords)),
            (false, []) => {
                for relation in relations() {
                    found.extend(self.identifiers(names.columns(&relation.path)));
                    found.extend(self.identifiers(vec![relation.name()]));
                }
                if !self.prefix.is_empty() && self.quote.is_none() {
                    let functions = names.functions().into_iter().filter(|name| self.fits(name));
                    found.extend(functions.map(|name| format!("{name}(")));
                    found.extend(self.keywords(keywords));
                }
            }
            (false, qualifier) => found.extend(self.columns_of(qualifier, names, &relations())),
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The columns of what the qualifier names: a relation of the statement, or a table.
    fn columns_of(&self, qualifier: &[String], names: &dyn Names, relations: &[Relation]) -> Vec<String> {
        let alias = qualifier.last().filter(|_| qualifier.len() == 1);
        let relation = relations.iter().find(|relation| alias == Some(&relation.name()));
        self.identifiers(names.columns(relation.map_or(qualifier, |relation| &relation.path)))
    }

    fn wants_table(&self) -> bool {
        let Some(last) = self.context.last() else { return false };
        if last.is_symbol(",") {
            return self.is_in_from_list();
        }
        BEFORE_TABLE.iter().any(|word| last.is_word(word))
    }

    /// Whether a comma here separates tables: whether the last clause begun at this depth of parentheses is a FROM.
    fn is_in_from_list(&self) -> bool {
        let mut depth = 0_usize;
        for token in self.context.iter().rev() {
            if token.is_symbol(")") {
                depth += 1;
            } else if token.is_symbol("(") {
                let Some(outer) = depth.checked_sub(1) else {
                    return false;
                };
                depth = outer;
            } else if depth == 0 && token.is_word("from") {
                return true;
            } else if depth == 0 && CLAUSES.iter().any(|word| *word != "as" && token.is_word(word)) {
                return false;
            }
        }
        false
    }

    fn fits(&self, candidate: &str) -> bool {
        let start: String = candidate.chars().take(self.prefix.chars().count()).collect();
        start.to_lowercase() == self.prefix.to_lowercase()
    }

    fn identifiers(&self, names: Vec<String>) -> Vec<String> {
        let fitting = names.into_iter().filter(|name| self.fits(name));
        let written = |name: String| match self.quote {
            Some(quote) => quoted(&name, quote),
            None => posixlake_sql::quote_identifier(&name),
        };
        fitting.map(written).collect()
    }

    /// Keywords in the case in which the word was begun.
    fn keywords(&self, keywords: &[&str]) -> Vec<String> {
        if self.quote.is_some() {
            return Vec::new();
        }
        let lower = self.prefix.chars().next().is_some_and(char::is_lowercase);
        let fitting = keywords.iter().filter(|keyword| self.fits(keyword));
        fitting
            .map(|word| {
                if lower {
                    word.to_lowercase()
                } else {
                    word.to_uppercase()
                }
            })
            .collect()
    }
}

/// A table that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relation {
    path: Vec<String>,
    alias: Option<String>,
}

impl Relation {
    /// What its columns are qualified by.
    fn name(&self) -> String {
        self.alias
            .clone()
            .or_else(|| self.path.last().cloned())
            .unwrap_or_default()
    }
}

/// The tables that a statement names behind FROM, JOIN, UPDATE and the like, with their aliases.
fn relations<'a>(tokens: impl Iterator<Item = &'a Token<'a>>) -> Vec<Relation> {
    let mut tokens = tokens.filter(|token| token.is_significant()).peekable();
    let mut relations = Vec::new();
    let mut expected = false;
    while let Some(token) = tokens.next() {
        let is_clause = CLAUSES.iter().any(|word| token.is_word(word));
        let Some(name) = token.name().filter(|_| expected && !is_clause) else {
            expected = BEFORE_TABLE.iter().any(|word| token.is_word(word)) || (expected && token.is_word("into"));
            continue;
        };
        let mut path = vec![name];
        while tokens.next_if(|token| token.is_symbol(".")).is_some() {
            path.extend(tokens.next_if(|token| token.name().is_some()).and_then(Token::name));
        }
        let said = tokens.next_if(|token| token.is_word("as")).is_some();
        let is_alias =
            |token: &&Token<'_>| token.name().is_some() && (said || !CLAUSES.iter().any(|word| token.is_word(word)));
        let alias = tokens.next_if(is_alias).and_then(Token::name);
        relations.push(Relation { path, alias });
        expected = tokens.next_if(|token| token.is_symbol(",")).is_some();
    }
    relations
}

/// A name within quotes of the kind that was typed.
fn quoted(name: &str, quote: char) -> String {
    format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lake;

    impl Names for Lake {
        fn schemas(&self) -> Vec<String> {
            vec!["archive".into()]
        }

        fn tables(&self, schema: Option<&str>) -> Vec<String> {
            match schema {
                None => vec!["orders".into(), "order_items".into(), "My Table".into(), "order".into()],
                Some("archive") => vec!["old_orders".into()],
                Some(_) => Vec::new(),
            }
        }

        fn columns(&self, table: &[String]) -> Vec<String> {
            match table.last().map(String::as_str) {
                Some("orders") => vec!["id".into(), "amount".into(), "Größe".into()],
                Some("old_orders") => vec!["id".into(), "archived".into()],
                _ => Vec::new(),
            }
        }

        fn functions(&self) -> Vec<String> {
            vec!["abs".into(), "array_agg".into()]
        }
    }

    /// Completes at the bar.
    fn at(text: &str) -> Completion {
        let position = text.find('|').unwrap();
        complete(
            &text.replace('|', ""),
            position,
            &Lake,
            &["SELECT", "FROM", "AMPLE", "VACUUM"],
        )
    }

    fn words(text: &str) -> Vec<String> {
        match at(text) {
            Completion::Words(_, words) => words,
            Completion::File => panic!("a file at {text}"),
        }
    }

    #[test]
    fn keywords_keep_the_case_in_which_they_were_begun() {
        assert_eq!(words("sel|"), ["select"]);
        assert_eq!(words("SELECT 1; VAC|"), ["VACUUM"]);
        assert_eq!(at("SELECT 1 fr|"), Completion::Words(9, vec!["from".into()]));
    }

    #[test]
    fn tables_come_where_tables_stand() {
        assert_eq!(words("SELECT * FROM ord|"), ["`order`", "order_items", "orders"]);
        assert_eq!(words("SELECT * FROM orders, order_|"), ["order_items"]);
        assert_eq!(words("VACUUM my|"), ["`My Table`"]);
        assert_eq!(words("VACUUM `my|"), ["`My Table`"]);
        assert_eq!(words("SELECT * FROM \"My|"), ["\"My Table\""]);
        assert_eq!(words("SELECT * FROM arch|"), ["archive."]);
        assert_eq!(words("SELECT * FROM archive.|"), ["old_orders"]);
        assert_eq!(
            words("INSERT INTO |"),
            ["`My Table`", "`order`", "archive.", "order_items", "orders"]
        );
    }

    #[test]
    fn columns_come_from_the_tables_that_the_statement_names() {
        assert_eq!(words("SELECT am| FROM orders"), ["amount", "ample"]);
        assert_eq!(words("SELECT o.| FROM orders o WHERE 1"), ["`Größe`", "amount", "id"]);
        assert_eq!(
            words("SELECT * FROM archive.old_orders AS x JOIN orders ON x.|"),
            ["archived", "id"]
        );
        assert_eq!(words("SELECT orders.i| FROM orders"), ["id"]);
        assert_eq!(words("UPDATE orders SET a|"), ["abs(", "amount", "ample", "array_agg("]);
        assert_eq!(
            words("SELECT | FROM orders o; SELECT arch FROM order_items"),
            ["`Größe`", "amount", "id", "o"]
        );
    }

    #[test]
    fn files_come_in_quotes_and_nothing_in_other_strings_and_comments() {
        for file in [
            "SELECT * FROM 'da|",
            "COPY INTO t FROM 'x|",
            "SELECT * FROM read_csv('x|",
            "COPY t TO '|",
        ] {
            assert_eq!(at(file), Completion::File, "{file}");
        }
        for nothing in ["SELECT 'ab|", "SELECT 1 -- sel|", "SELECT /* sel|", "SELECT 12|"] {
            assert!(words(nothing).is_empty(), "{nothing}");
        }
    }
}
