//! Settings to a client of a store.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, AzureCredential, MicrosoftAzureBuilder};
use object_store::client::{HttpConnector, SpawnedReqwestConnector};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig, StaticCredentialProvider};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::profile;
use super::secret::{CONNECTION, Kind, Secret, is_hidden, masked};
use crate::error::{Error, Result};

/// Settings of all kinds that are ours: how often, and for how long, a request is tried again.
const RETRIES: [&str; 2] = ["max_retries", "retry_timeout"];

/// The client of one store, with what must be known of it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) kind: Option<Kind>,
    /// Whether somebody else's server speaks the store's protocol.
    pub(super) compatible: bool,
    /// Values that no text may show.
    pub(super) hidden: Vec<String>,
}

type Settings = BTreeMap<String, String>;

/// Whether any store, or this program, knows a setting, by its name in lower case.
pub(super) fn is_known(key: &str) -> bool {
    key.parse::<AmazonS3ConfigKey>().is_ok()
        || key.parse::<AzureConfigKey>().is_ok()
        || key.parse::<GoogleConfigKey>().is_ok()
        || key.parse::<ClientConfigKey>().is_ok()
        || RETRIES.contains(&bare(key))
}

/// A setting's name without its kind's prefix.
fn bare(key: &str) -> &str {
    ["aws_", "azure_", "google_"]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))
        .unwrap_or(key)
}

/// The client for the bucket of a URL, with the settings of the command line and, where one is for the URL, of a secret.
///
/// # Errors
/// Where the settings do not suffice or contradict each other.
pub(super) fn client(url: &Url, given: &Settings, secret: Option<&Secret>) -> Result<Client> {
    if url.scheme() == "memory" {
        return Ok(Client {
            store: Arc::new(InMemory::new()),
            kind: None,
            compatible: false,
            hidden: Vec::new(),
        });
    }
    let kind = Kind::of(url.scheme());
    let kind = kind.ok_or_else(|| Error::internal(format!("no store has the scheme {}", url.scheme())))?;
    let mut settings = environment(kind);
    settings.extend(given.clone());
    if let Some(secret) = secret {
        if !secret.chained {
            settings.retain(|key, _| is_connection(key));
        }
        settings.extend(of_secret(secret, url)?);
    }
    if kind == Kind::S3 {
        let named = secret.and_then(|secret| secret.options.get("profile"));
        let chained = secret.is_none_or(|secret| secret.chained);
        let has_keys = settings.keys().any(|key| bare(key) == "access_key_id");
        if named.is_some() || (chained && !has_keys && !is_anonymous(&settings)) {
            for (key, value) in profile::settings(named.map(String::as_str))? {
                settings.entry(key).or_insert(value);
            }
        }
    }
    let mut hidden = hidden_of(&settings);
    hidden.extend(secret.and_then(|secret| secret.options.get("access_token")).cloned());
    const ENDPOINTS: [&str; 5] = [
        "endpoint",
        "endpoint_url",
        "endpoint_url_s3",
        "base_url",
        "storage_endpoint",
    ];
    let endpoint = settings.iter().find(|(key, _)| ENDPOINTS.contains(&bare(key)));
    let endpoint = endpoint.map(|(_, value)| value.clone());
    // Who writes http:// means it.
    if url.scheme() == "http"
        || endpoint
            .as_ref()
            .is_some_and(|endpoint| endpoint.starts_with("http://"))
    {
        settings.entry("allow_http".to_string()).or_insert("true".to_string());
    }
    let emulated = settings
        .iter()
        .any(|(key, value)| key.ends_with("use_emulator") && value == "true");
    let compatible = emulated || endpoint.is_some_and(|endpoint| !is_original(&endpoint));
    let store = build(kind, url, &settings, secret).map_err(|error| {
        let text = masked(&error.to_string(), &hidden);
        Error::invalid(format!("cannot open a store for '{}': {text}", super::origin(url)))
    })?;
    Ok(Client {
        store,
        kind: Some(kind),
        compatible,
        hidden,
    })
}

fn is_anonymous(settings: &Settings) -> bool {
    settings
        .iter()
        .any(|(key, value)| bare(key) == "skip_signature" && value == "true")
}

/// Values that no text may show. Short ones would make holes in texts that have nothing to do with them.
fn hidden_of(settings: &Settings) -> Vec<String> {
    let hidden = settings
        .iter()
        .filter(|(key, value)| is_hidden(key) && value.len() >= 4);
    hidden.map(|(_, value)| value.clone()).collect()
}

/// Whether a server is the cloud's own, whose promises are known.
fn is_original(endpoint: &str) -> bool {
    let host = Url::parse(endpoint)
        .ok()
        .and_then(|url| url.host_str().map(str::to_string));
    host.is_some_and(|host| {
        [
            ".amazonaws.com",
            ".amazonaws.com.cn",
            ".core.windows.net",
            ".fabric.microsoft.com",
            "storage.googleapis.com",
        ]
        .iter()
        .any(|original| host.ends_with(original))
    })
}

/// The settings that the environment has for a kind of store.
fn environment(kind: Kind) -> Settings {
    let prefixes: &[&str] = match kind {
        Kind::S3 => &["AWS_"],
        Kind::Azure => &["AZURE_", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"],
        Kind::Gcs => &["GOOGLE_"],
        Kind::Http => &[],
    };
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, value)| prefixes.iter().any(|prefix| key.starts_with(prefix)) && !value.is_empty())
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect()
}

fn is_connection(key: &str) -> bool {
    let key = bare(key);
    RETRIES.contains(&key) || (key != "allow_http" && key.parse::<ClientConfigKey>().is_ok())
}

/// A secret's options as settings of the client.
fn of_secret(secret: &Secret, url: &Url) -> Result<Settings> {
    let mut settings = Settings::new();
    let secure = secret.options.get("use_ssl").is_none_or(|value| value == "true");
    for (option, value) in &secret.options {
        let mut set = |key: &str, value: &str| settings.insert(key.to_string(), value.to_string());
        match (secret.kind, option.as_str()) {
            (_, name) if CONNECTION.contains(&name) => set(name, value),
            (_, "anonymous") => set("skip_signature", value),
            (_, "use_ssl" | "url_style" | "profile") => None,
            (Kind::S3, "key_id") => set("aws_access_key_id", value),
            (Kind::S3, "secret") => set("aws_secret_access_key", value),
            (Kind::S3, "session_token") => set("aws_session_token", value),
            (Kind::S3, "region") => set("aws_region", value),
            (Kind::S3, "kms_key_id") => {
                set("aws_server_side_encryption", "aws:kms");
                set("aws_sse_kms_key_id", value)
            }
            (Kind::S3, "requester_pays") => set("aws_request_payer", value),
            (Kind::S3, "endpoint") => set("aws_endpoint", &with_scheme(value, secure)),
            (Kind::Azure, "account_name") => set("azure_storage_account_name", value),
            (Kind::Azure, "account_key") => set("azure_storage_account_key", value),
            (Kind::Azure, "sas_token") => set("azure_storage_sas_token", value),
            (Kind::Azure, "tenant_id") => set("azure_tenant_id", value),
            (Kind::Azure, "client_id") => set("azure_client_id", value),
            (Kind::Azure, "client_secret") => set("azure_client_secret", value),
            (Kind::Azure, "use_azure_cli") => set("azure_use_azure_cli", value),
            (Kind::Azure, "access_token") => set("azure_storage_token", value),
            (Kind::Azure, "endpoint") => set("azure_endpoint", &with_scheme(value, secure)),
            (Kind::Azure, "connection_string") => {
                settings.extend(connection_string(value)?);
                None
            }
            (Kind::Gcs, "service_account") => set("google_service_account", value),
            (Kind::Gcs, "service_account_key") => set("google_service_account_key", value),
            // The client has no setting for it.
            (Kind::Gcs, "access_token") => None,
            (Kind::Gcs, "endpoint") => set("google_base_url", &with_scheme(value, secure)),
            (kind, other) => {
                return Err(Error::internal(format!(
                    "option {other} of a secret of type {}",
                    kind.name()
                )));
            }
        };
    }
    if secret.options.get("url_style").is_some_and(|style| style == "vhost") {
        settings.insert("aws_virtual_hosted_style_request".to_string(), "true".to_string());
        if let Some(endpoint) = settings.get_mut("aws_endpoint")
            && let (Some((scheme, host)), Some(bucket)) = (endpoint.split_once("://"), url.host_str())
        {
            *endpoint = format!("{scheme}://{bucket}.{host}");
        }
    }
    Ok(settings)
}

fn with_scheme(endpoint: &str, secure: bool) -> String {
    match endpoint.contains("://") {
        true => endpoint.to_string(),
        false => format!("{}://{endpoint}", if secure { "https" } else { "http" }),
    }
}

/// The parts of a connection string of Azure that say where, and with what key.
fn connection_string(text: &str) -> Result<Settings> {
    let mut settings = Settings::new();
    let (mut protocol, mut suffix) = ("https", "core.windows.net");
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            return Err(Error::invalid(
                "CONNECTION_STRING is a list of key=value, separated by ';'",
            ));
        };
        let setting = match key.to_lowercase().as_str() {
            "accountname" => "azure_storage_account_name",
            "accountkey" => "azure_storage_account_key",
            "sharedaccesssignature" => "azure_storage_sas_token",
            "blobendpoint" => "azure_endpoint",
            "defaultendpointsprotocol" => {
                protocol = if value.eq_ignore_ascii_case("http") {
                    "http"
                } else {
                    "https"
                };
                continue;
            }
            "endpointsuffix" => {
                suffix = value;
                continue;
            }
            "queueendpoint" | "tableendpoint" | "fileendpoint" => continue,
            _ => return Err(Error::invalid(format!("CONNECTION_STRING: no part '{key}' is known"))),
        };
        settings.insert(setting.to_string(), value.to_string());
    }
    if suffix != "core.windows.net"
        && !settings.contains_key("azure_endpoint")
        && let Some(account) = settings.get("azure_storage_account_name").cloned()
    {
        settings.insert(
            "azure_endpoint".to_string(),
            format!("{protocol}://{account}.blob.{suffix}"),
        );
    }
    Ok(settings)
}

/// The requests of all stores run here, whichever runtime asks: a connection lives as long as the runtime that opened it,
/// and is used by many.
fn connector() -> object_store::Result<impl HttpConnector> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("posixlake-stores")
            .enable_all()
            .build()
    });
    match runtime {
        Ok(runtime) => Ok(SpawnedReqwestConnector::new(runtime.handle().clone())),
        Err(error) => Err(object_store::Error::Generic {
            store: "HTTP",
            source: format!("no threads for requests: {error}").into(),
        }),
    }
}

fn retries(settings: &Settings) -> object_store::Result<RetryConfig> {
    let mut retries = RetryConfig::default();
    let wrong = |key: &str, value: &str, what: &str| object_store::Error::Generic {
        store: "settings",
        source: format!("{key} takes {what}; '{value}' was given").into(),
    };
    for (key, value) in settings {
        match bare(key) {
            "max_retries" => {
                retries.max_retries = value.parse().map_err(|_| wrong(key, value, "a whole number"))?;
            }
            "retry_timeout" => {
                retries.retry_timeout = duration(value).ok_or_else(|| wrong(key, value, "a time such as 90s"))?;
            }
            _ => {}
        }
    }
    Ok(retries)
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match text.get(digits.len()..)?.trim() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(digits.trim().parse::<f64>().ok()? * seconds).ok()
}

/// Makes a builder take all settings that it knows.
macro_rules! configure {
    ($builder:expr, $key:ty, $settings:expr) => {{
        let mut builder = $builder;
        for (key, value) in $settings {
            if let Ok(key) = key.parse::<$key>() {
                builder = builder.with_config(key, value);
            }
        }
        builder
            .with_retry(retries($settings)?)
            .with_http_connector(connector()?)
    }};
}

fn build(
    kind: Kind,
    url: &Url,
    settings: &Settings,
    secret: Option<&Secret>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let root = super::origin(url);
    let token = secret.and_then(|secret| secret.options.get("access_token")).cloned();
    Ok(match kind {
        Kind::S3 => Arc::new(configure!(AmazonS3Builder::new().with_url(root), AmazonS3ConfigKey, settings).build()?),
        Kind::Azure => {
            let mut builder = configure!(MicrosoftAzureBuilder::new().with_url(root), AzureConfigKey, settings);
            if let Some(token) = token {
                builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(
                    AzureCredential::BearerToken(token),
                )));
            }
            Arc::new(builder.build()?)
        }
        Kind::Gcs => {
            let builder = GoogleCloudStorageBuilder::new().with_url(root);
            let mut builder = configure!(builder, GoogleConfigKey, settings);
            if let Some(bearer) = token {
                builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer })));
            }
            Arc::new(builder.build()?)
        }
        Kind::Http => Arc::new(configure!(HttpBuilder::new().with_url(root), ClientConfigKey, settings).build()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("x"), None);
        assert_eq!(duration("1 day"), None);
    }

    #[test]
    fn a_connection_string_says_where_and_who() {
        let text = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://h:1/a;";
        let settings = connection_string(text).unwrap();
        assert_eq!(settings.get("azure_endpoint").map(String::as_str), Some("http://h:1/a"));
        assert_eq!(settings.len(), 3);
        assert!(connection_string("nonsense").is_err());
    }

    #[test]
    fn clouds_are_told_from_servers_that_speak_like_them() {
        assert!(is_original("https://s3.eu-central-1.amazonaws.com"));
        assert!(!is_original("http://127.0.0.1:9000"));
    }
}
