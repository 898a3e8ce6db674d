//! Profiles of the AWS command line: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// What a profile says, as settings of the client.
///
/// # Errors
/// Where a profile was named that is not there, or wants what is not supported: roles, processes, single sign-on.
pub(super) fn settings(named: Option<&str>) -> Result<BTreeMap<String, String>> {
    let of_environment = std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
    let named = named.map(str::to_string).or(of_environment);
    let name = named.as_deref().unwrap_or("default");
    let credentials = read("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    let config = read("AWS_CONFIG_FILE", "config");
    let mut found = section(&config, &format!("profile {name}"));
    if name == "default" || found.is_empty() {
        found.extend(section(&config, name));
    }
    found.extend(section(&credentials, name));
    if found.is_empty() && named.is_some() {
        return Err(Error::not_found(format!(
            "no AWS profile '{name}' in ~/.aws/credentials or ~/.aws/config"
        )));
    }
    let has_keys = found.contains_key("aws_access_key_id");
    const UNSUPPORTED: [&str; 5] = [
        "role_arn",
        "credential_process",
        "sso_session",
        "sso_start_url",
        "source_profile",
    ];
    if let (false, true, Some(key)) = (
        has_keys,
        named.is_some(),
        UNSUPPORTED.iter().find(|key| found.contains_key(**key)),
    ) {
        return Err(Error::unsupported(format!(
            "AWS profile '{name}' takes its credentials from {key}, which is not supported; \
             eval \"$(aws configure export-credentials --profile {name} --format env)\" puts them into the environment"
        )));
    }
    const TAKEN: [(&str, &str); 5] = [
        ("aws_access_key_id", "aws_access_key_id"),
        ("aws_secret_access_key", "aws_secret_access_key"),
        ("aws_session_token", "aws_session_token"),
        ("region", "aws_region"),
        ("endpoint_url", "aws_endpoint"),
    ];
    Ok(TAKEN
        .iter()
        .filter_map(|(key, setting)| Some(((*setting).to_string(), found.remove(*key)?)))
        .collect())
}

fn read(variable: &str, file: &str) -> String {
    let set = std::env::var_os(variable).map(PathBuf::from);
    let path = set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws").join(file)));
    path.and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default()
}

/// The keys below `[name]`. Indented lines are parts of nested settings, which are none of ours.
fn section(text: &str, name: &str) -> BTreeMap<String, String> {
    let mut inside = false;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(header) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = header.split_whitespace().eq(name.split_whitespace());
        } else if inside
            && !trimmed.starts_with(['#', ';'])
            && !line.starts_with([' ', '\t'])
            && let Some((key, value)) = trimmed.split_once('=')
        {
            found.insert(key.trim().to_lowercase(), value.trim().to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let text = "[default]\nregion = eu\n[profile  dev]\n# key = 1\nregion=us\ns3 =\n  max = 3\n\n[other]\nregion=x";
        assert_eq!(
            section(text, "profile dev").get("region").map(String::as_str),
            Some("us")
        );
        assert_eq!(section(text, "default").len(), 1);
        assert!(!section(text, "profile dev").contains_key("max"));
    }
}
