//! Secrets as text. It reads back as the same statement but for what is secret.

use std::fmt::{self, Display, Formatter};

use super::nodes::Text;
use crate::names::Name;
use crate::statement::{CreateSecret, DropSecret};

/// Options whose values are shown. Whatever is not among them may be secret.
const SHOWN: [&str; 27] = [
    "type",
    "scope",
    "provider",
    "key_id",
    "region",
    "endpoint",
    "url_style",
    "use_ssl",
    "kms_key_id",
    "requester_pays",
    "profile",
    "anonymous",
    "account_name",
    "tenant_id",
    "client_id",
    "use_azure_cli",
    "service_account",
    "timeout",
    "connect_timeout",
    "max_retries",
    "retry_timeout",
    "allow_invalid_certificates",
    "chain",
    "url_compatibility_mode",
    "account",
    "bucket",
    "container",
];

impl Display for CreateSecret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.or_replace {
            "CREATE OR REPLACE SECRET "
        } else {
            "CREATE SECRET "
        })?;
        if self.if_not_exists {
            f.write_str("IF NOT EXISTS ")?;
        }
        if let Some(name) = &self.name {
            write!(f, "{} ", Name(name))?;
        }
        f.write_str("(")?;
        for (index, (option, value)) in self.options.iter().enumerate() {
            let value = if SHOWN.contains(&option.as_str()) { value } else { "***" };
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", option.to_uppercase(), Text(value))?;
        }
        f.write_str(")")
    }
}

impl Display for DropSecret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let condition = if self.if_exists { "IF EXISTS " } else { "" };
        write!(f, "DROP SECRET {condition}{}", Name(&self.name))
    }
}
