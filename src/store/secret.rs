//! Secrets: credentials and settings of stores, by the URLs that they are for.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

use crate::error::{Error, Result};

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    S3,
    Azure,
    Gcs,
    Http,
}

impl Kind {
    /// The kind that a URL's scheme names.
    pub(crate) fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "az" | "azure" | "abfs" | "abfss" | "adl" => Some(Self::Azure),
            "gs" => Some(Self::Gcs),
            "http" | "https" => Some(Self::Http),
            _ => None,
        }
    }

    /// The kind of `TYPE name`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "s3" => Some(Self::S3),
            "azure" => Some(Self::Azure),
            "gcs" => Some(Self::Gcs),
            _ => None,
        }
    }

    /// As `TYPE` and `SHOW SECRETS` have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "azure",
            Self::Gcs => "gcs",
            Self::Http => "http",
        }
    }

    /// What a secret without a scope is for.
    fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["s3://"],
            Self::Azure => &["az://", "azure://", "abfs://", "abfss://", "adl://"],
            Self::Gcs => &["gs://"],
            Self::Http => &["http://", "https://"],
        }
    }

    /// Whether a secret of this kind has such an option.
    fn knows(self, option: &str) -> bool {
        let own: &[&str] = match self {
            Self::S3 => &[
                "key_id",
                "secret",
                "session_token",
                "region",
                "endpoint",
                "url_style",
                "use_ssl",
                "kms_key_id",
                "requester_pays",
                "profile",
                "anonymous",
            ],
            Self::Azure => &[
                "account_name",
                "account_key",
                "sas_token",
                "connection_string",
                "access_token",
                "tenant_id",
                "client_id",
                "client_secret",
                "endpoint",
                "use_ssl",
                "use_azure_cli",
                "anonymous",
            ],
            Self::Gcs => &[
                "service_account",
                "service_account_key",
                "access_token",
                "endpoint",
                "use_ssl",
                "anonymous",
            ],
            Self::Http => &[],
        };
        own.contains(&option) || CONNECTION.contains(&option) || ["provider", "scope"].contains(&option)
    }
}

/// What all kinds know of the connection.
pub(crate) const CONNECTION: [&str; 6] = [
    "timeout",
    "connect_timeout",
    "max_retries",
    "retry_timeout",
    "proxy_url",
    "allow_invalid_certificates",
];

/// Options whose values nobody sees again.
const HIDDEN: [&str; 9] = [
    "secret",
    "session_token",
    "account_key",
    "sas_token",
    "connection_string",
    "access_token",
    "client_secret",
    "service_account_key",
    "proxy_url",
];

/// What stands where a value was.
pub(crate) const MASK: &str = "***";

/// Credentials and settings for the URLs below a scope.
#[derive(Clone, PartialEq)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Prefixes of URLs, each with a slash at its end.
    pub(crate) scopes: Vec<String>,
    /// Whether what is not said comes from the environment and from profiles.
    pub(crate) chained: bool,
    pub(crate) options: BTreeMap<String, String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.shown())
    }
}

impl Secret {
    /// A secret of options as `CREATE SECRET` has them: names in lower case, values as text.
    ///
    /// # Errors
    /// Where an option is unknown, does not fit the type or has no sense.
    pub(crate) fn new(name: Option<&str>, options: &[(String, String)]) -> Result<Self> {
        let mut options: BTreeMap<String, String> = options.iter().cloned().collect();
        let kind = options.remove("type").unwrap_or_default().to_lowercase();
        let kind = Kind::named(&kind).ok_or_else(|| {
            Error::invalid(format!(
                "TYPE takes s3, azure or gcs{}",
                if kind.is_empty() {
                    ", and must be said".to_string()
                } else {
                    format!("; '{kind}' was given")
                }
            ))
        })?;
        if let Some(unknown) = options.keys().find(|option| !kind.knows(option)) {
            return Err(Error::invalid(format!(
                "a secret of type {} has no option {}; docs/stores.md lists them",
                kind.name(),
                unknown.to_uppercase()
            )));
        }
        let chained = match options
            .remove("provider")
            .map(|provider| provider.to_lowercase())
            .as_deref()
        {
            None | Some("config") => false,
            Some("credential_chain") => true,
            Some(_) => return Err(Error::invalid("PROVIDER takes config or credential_chain")),
        };
        for option in [
            "use_ssl",
            "requester_pays",
            "anonymous",
            "use_azure_cli",
            "allow_invalid_certificates",
        ] {
            if let Some(value) = options.get_mut(option) {
                *value = value.to_lowercase();
                if value != "true" && value != "false" {
                    return Err(Error::invalid(format!("{} takes true or false", option.to_uppercase())));
                }
            }
        }
        if let Some(style) = options.get("url_style")
            && !["path", "vhost"].contains(&style.as_str())
        {
            return Err(Error::invalid("URL_STYLE takes 'path' or 'vhost'"));
        }
        let scopes = match options.remove("scope") {
            Some(scope) => vec![scope_of(&scope, kind)?],
            None => kind.schemes().iter().map(|scheme| (*scheme).to_string()).collect(),
        };
        Ok(Self {
            name: name.map_or_else(|| format!("__default_{}", kind.name()), str::to_string),
            kind,
            scopes,
            chained,
            options,
        })
    }

    /// How many characters of a URL's beginning are this secret's; none where it is for other URLs.
    pub(crate) fn covers(&self, url: &str) -> Option<usize> {
        let url = normal(url);
        let matches = |scope: &&String| {
            url.starts_with(scope.as_str()) || scope.strip_suffix('/').is_some_and(|exact| exact == url)
        };
        self.scopes.iter().filter(matches).map(String::len).max()
    }

    /// Whether it is for a part of what lies below a URL, and not for all of it.
    pub(crate) fn divides(&self, origin: &str) -> bool {
        let origin = normal(origin);
        self.scopes
            .iter()
            .any(|scope| scope.len() > origin.len() + 1 && scope.starts_with(&origin))
    }

    /// The options, with what is secret masked.
    pub(crate) fn shown(&self) -> String {
        let provider = self.chained.then(|| "provider=credential_chain".to_string());
        let options = self.options.iter().map(|(option, value)| {
            let value = if HIDDEN.contains(&option.as_str()) { MASK } else { value };
            format!("{option}={value}")
        });
        provider.into_iter().chain(options).collect::<Vec<_>>().join("; ")
    }
}

/// A scope in the form in which URLs are held against it.
///
/// # Errors
/// Where it is no URL of such a store.
fn scope_of(scope: &str, kind: Kind) -> Result<String> {
    let scheme = scope.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    if Kind::of(scheme) != Some(kind) {
        return Err(Error::invalid(format!(
            "SCOPE '{scope}' is not for TYPE {}: it begins with {}",
            kind.name(),
            kind.schemes().join(" or ")
        )));
    }
    let mut scope = normal(scope);
    if Url::parse(&scope).is_ok_and(|url| url.password().is_some() || url.query().is_some()) {
        return Err(Error::invalid("a SCOPE holds no password and no query"));
    }
    if !scope.ends_with('/') {
        scope.push('/');
    }
    Ok(scope)
}

/// `s3a://` is another spelling of `s3://`.
fn normal(url: &str) -> String {
    match url.strip_prefix("s3a://") {
        Some(rest) => format!("s3://{rest}"),
        None => url.to_string(),
    }
}

/// The secrets of a session.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    by_name: BTreeMap<String, Secret>,
}

impl Secrets {
    /// The secret whose scope is the longest that the URL begins with.
    pub(crate) fn of(&self, url: &str) -> Option<&Secret> {
        let covering = self.by_name.values();
        covering
            .filter_map(|secret| Some((secret.covers(url)?, secret)))
            .max_by_key(|(length, _)| *length)
            .map(|(_, secret)| secret)
    }

    /// Whether parts of what lies below a URL have secrets of their own.
    pub(crate) fn divide(&self, origin: &str) -> bool {
        self.by_name.values().any(|secret| secret.divides(origin))
    }

    /// Adds a secret, or puts it in the place of the one of its name.
    ///
    /// # Errors
    /// Where another one has the same scope: which of them counted would be chance.
    pub(crate) fn put(&mut self, secret: Secret) -> Result<()> {
        let others = self.by_name.values().filter(|other| other.name != secret.name);
        for other in others {
            if let Some(scope) = other.scopes.iter().find(|scope| secret.scopes.contains(scope)) {
                return Err(Error::already_exists(format!(
                    "secret '{}' has the same scope, '{scope}'; drop it first, or replace it under its own name",
                    other.name
                )));
            }
        }
        self.by_name.insert(secret.name.clone(), secret);
        Ok(())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Removes a secret, and says whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Secret> {
        self.by_name.values()
    }
}

/// A text without the values that nobody may see, and without the signatures of URLs.
pub(crate) fn masked(text: &str, hidden: &[String]) -> String {
    let mut text = text.to_string();
    for value in hidden {
        text = text.replace(value.as_str(), MASK);
    }
    for mark in ["sig=", "X-Amz-Signature=", "X-Goog-Signature=", "X-Amz-Security-Token="] {
        let mut parts = text.split(mark);
        let mut clean = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let rest = part
                .split_once(|c: char| !(c.is_ascii_alphanumeric() || "%+/=-_.~".contains(c)))
                .map_or("", |(value, _)| part.get(value.len()..).unwrap_or_default());
            clean.push_str(mark);
            clean.push_str(MASK);
            clean.push_str(rest);
        }
        text = clean;
    }
    text
}

/// Whether a setting's value is secret, by its name as the stores' clients have it.
pub(crate) fn is_hidden(setting: &str) -> bool {
    ["secret", "token", "key", "sas", "password", "proxy"]
        .iter()
        .any(|word| setting.contains(word))
        && !["token_file", "access_key_id", "kms_key_id", "token_service_url", "uri"]
            .iter()
            .any(|word| setting.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, scope: &str) -> Secret {
        let options = [("type", "s3"), ("scope", scope), ("secret", "abcdefgh")];
        Secret::new(
            Some(name),
            &options.map(|(key, value)| (key.to_string(), value.to_string())),
        )
        .unwrap()
    }

    #[test]
    fn the_longest_scope_wins_at_folder_ends() {
        let mut secrets = Secrets::default();
        for (name, scope) in [("all", "s3://"), ("bucket", "s3://b"), ("folder", "s3a://b/one/")] {
            secrets.put(secret(name, scope)).unwrap();
        }
        let of = |url| secrets.of(url).map(|secret| secret.name.clone()).unwrap_or_default();
        assert_eq!(of("s3://b/one/x"), "folder");
        assert_eq!(of("s3a://b/one"), "folder");
        assert_eq!(of("s3://b/one-more/x"), "bucket");
        assert_eq!(of("s3://bb/one/x"), "all");
        assert_eq!(of("gs://b/one/x"), "");
        assert!(secrets.divide("s3://b") && !secrets.divide("s3://bb"));
        assert!(secrets.put(secret("again", "s3://b/one")).is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?}", secret("a", "s3://b"));
        assert!(shown.contains("secret=***") && !shown.contains("abcdefgh"), "{shown}");
        let text = masked(
            "GET http://h/c?sv=1&sig=ab%2Fc%3D&x=1) with abcdefgh",
            &["abcdefgh".to_string()],
        );
        assert_eq!(text, "GET http://h/c?sv=1&sig=***&x=1) with ***");
    }
}
