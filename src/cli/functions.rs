//! What `\h` says about functions.

use std::collections::BTreeMap;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Documentation;

use super::commands::string_table;
use super::exit::ExitCode;
use super::shell::Shell;
use crate::error::Error;

/// A function of the session.
struct Function {
    kind: &'static str,
    documentation: Option<Documentation>,
}

/// Every name that a function can be called by.
fn functions(state: &SessionState) -> BTreeMap<String, Function> {
    let mut all = BTreeMap::new();
    let mut add = |name: &String, kind, documentation: Option<&Documentation>| {
        all.entry(name.to_lowercase()).or_insert(Function {
            kind,
            documentation: documentation.cloned(),
        });
    };
    for (name, function) in state.scalar_functions() {
        add(name, "scalar", function.documentation());
    }
    for (name, function) in state.higher_order_functions() {
        add(name, "scalar", function.documentation());
    }
    for (name, function) in state.aggregate_functions() {
        add(name, "aggregate", function.documentation());
    }
    for (name, function) in state.window_functions() {
        add(name, "window", function.documentation());
    }
    for name in state.table_functions().keys() {
        add(name, "table", None);
    }
    all
}

/// The names alone.
pub(crate) fn names(state: &SessionState) -> Vec<String> {
    let mut names: Vec<String> = state
        .scalar_functions()
        .keys()
        .map(|name| name.to_lowercase())
        .collect();
    names.extend(state.higher_order_functions().keys().map(|name| name.to_lowercase()));
    names.extend(state.aggregate_functions().keys().map(|name| name.to_lowercase()));
    names.extend(state.window_functions().keys().map(|name| name.to_lowercase()));
    names.extend(state.table_functions().keys().map(|name| name.to_lowercase()));
    names.sort_unstable();
    names.dedup();
    names
}

/// Prints every function with its kind and how it is called.
///
/// # Errors
/// The code of a failure that has been reported.
pub(crate) fn list(shell: &mut Shell) -> Result<(), ExitCode> {
    let all = functions(&shell.session.context().state());
    let rows = all.into_iter().map(|(name, function)| {
        let syntax = function.documentation.map(|documentation| documentation.syntax_example);
        [
            name,
            function.kind.to_string(),
            syntax
                .unwrap_or_default()
                .lines()
                .next()
                .unwrap_or_default()
                .to_string(),
        ]
    });
    match string_table(["function", "kind", "syntax"], rows) {
        Ok(batch) => shell.print_rows(&batch),
        Err(error) => Err(shell.report(&error, None)),
    }
}

/// Prints what is known of one function.
///
/// # Errors
/// The code of a failure that has been reported.
pub(crate) fn describe(shell: &mut Shell, name: &str) -> Result<(), ExitCode> {
    let wanted = name.trim_end_matches("()").to_lowercase();
    let all = functions(&shell.session.context().state());
    let Some(function) = all.get(&wanted) else {
        let near = all
            .keys()
            .max_by(|a, b| likeness(&wanted, a).total_cmp(&likeness(&wanted, b)));
        let near = near.filter(|near| likeness(&wanted, near) > 0.8);
        let suggestion = near.map_or_else(|| "\\h lists them".to_string(), |near| format!("did you mean {near}?"));
        return Err(shell.report(
            &Error::not_found(format!("there is no function {name}; {suggestion}")),
            None,
        ));
    };
    let text = described(&wanted, function);
    shell.print(text.as_bytes())
}

/// How much a name is like what was typed; one that goes on where that ends comes first.
fn likeness(typed: &str, name: &str) -> f64 {
    let continued = if name.starts_with(typed) { 1.0 } else { 0.0 };
    strsim::jaro_winkler(typed, name) + continued
}

fn described(name: &str, function: &Function) -> String {
    let Some(documentation) = &function.documentation else {
        if let Some(text) = crate::reference::table_function(name) {
            return text;
        }
        return format!("{name}: a {} function without a description\n", function.kind);
    };
    let mut text = format!(
        "{}\n\n{}\n",
        documentation.syntax_example.trim(),
        documentation.description.trim()
    );
    for other in documentation.alternative_syntax.iter().flatten() {
        text.push_str(&format!("\nAlso: {}\n", other.trim()));
    }
    let arguments = documentation.arguments.as_deref().unwrap_or_default();
    if !arguments.is_empty() {
        text.push_str("\nArguments:\n");
        for (argument, meaning) in arguments {
            text.push_str(&format!("  {argument}: {}\n", meaning.trim()));
        }
    }
    if let Some(example) = &documentation.sql_example {
        let lines = example.lines().filter(|line| !line.trim_start().starts_with("```"));
        let example: Vec<String> = lines.map(|line| format!("  {line}")).collect();
        text.push_str(&format!("\nExample:\n{}\n", example.join("\n").trim_end()));
    }
    if let Some(related) = documentation
        .related_udfs
        .as_deref()
        .filter(|related| !related.is_empty())
    {
        text.push_str(&format!("\nSee also: {}\n", related.join(", ")));
    }
    text
}
