//! Passwords as they are kept: Argon2id, in the form of the PHC string format.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};

use crate::error::{Error, Result};

/// What is verified where there is no such user, so that the answer takes as long. No password has this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cG9zaXhsYWtlLW5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash of a password, with a salt of its own. Takes a while, on purpose.
///
/// # Errors
/// None that a caller could cause.
pub(crate) fn hash(password: &str) -> Result<String> {
    let bytes: [u8; 16] = rand::random();
    let fault =
        |error: argon2::password_hash::Error| Error::internal(format!("the password cannot be hashed: {error}"));
    let salt = SaltString::encode_b64(&bytes).map_err(fault)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(fault)?;
    Ok(hash.to_string())
}

/// Whether a password is the one that was hashed. Takes as long where there is no user.
///
/// # Errors
/// Where the hash is none.
pub(super) fn verify(password: &str, hash: Option<&str>) -> Result<bool> {
    let parsed = PasswordHash::new(hash.unwrap_or(NOBODY))
        .map_err(|error| Error::permission(format!("the lake's users are damaged: {error}")))?;
    let matches = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    Ok(matches && hash.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again() {
        let hashed = hash("ö secret").unwrap();
        assert!(hashed.starts_with("$argon2id$"), "{hashed}");
        assert!(verify("ö secret", Some(&hashed)).unwrap());
        assert!(!verify("o secret", Some(&hashed)).unwrap());
        assert_ne!(hash("ö secret").unwrap(), hashed, "salted");
        assert!(!verify("", None).unwrap());
        assert!(verify("x", Some("x")).is_err());
    }
}
