//! Compressed text files, by the last extension of their name or by option.

use std::pin::Pin;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use tokio::io::{AsyncBufRead, AsyncRead};

use super::error::{FileError, Result, did_you_mean};

/// How the bytes of a text file are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

const WORDS: [&str; 6] = ["auto", "none", "gzip", "zstd", "bzip2", "xz"];

impl Compression {
    /// The packing that the extension of `name` says, and the name without that extension.
    pub(crate) fn of_name(name: &str) -> (Self, &str) {
        let Some((stem, extension)) = name.rsplit_once('.') else {
            return (Self::None, name);
        };
        match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => (Self::Gzip, stem),
            "zst" | "zstd" => (Self::Zstd, stem),
            "bz2" => (Self::Bzip2, stem),
            "xz" => (Self::Xz, stem),
            _ => (Self::None, name),
        }
    }

    /// The value of the option `compression`; nothing for `auto`.
    pub(crate) fn parse(word: &str) -> Result<Option<Self>> {
        Ok(Some(match word.to_ascii_lowercase().as_str() {
            "auto" => return Ok(None),
            "none" | "uncompressed" => Self::None,
            "gzip" | "gz" => Self::Gzip,
            "zstd" | "zst" => Self::Zstd,
            "bzip2" | "bz2" => Self::Bzip2,
            "xz" => Self::Xz,
            _ => {
                let hint = did_you_mean(word, WORDS);
                return Err(FileError::invalid(format!(
                    "compression '{word}' is not known{hint}; one of {}",
                    WORDS.join(", ")
                )));
            }
        }))
    }

    /// The name for errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// The unpacked bytes of `packed`. Files of several members (as `cat a.gz b.gz` makes them) are read to the end.
    pub(crate) fn unpack<R>(self, packed: R) -> Pin<Box<dyn AsyncRead + Send>>
    where
        R: AsyncBufRead + Send + 'static,
    {
        match self {
            Self::None => Box::pin(packed),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(packed);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Zstd => {
                let mut decoder = ZstdDecoder::new(packed);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Bzip2 => {
                let mut decoder = BzDecoder::new(packed);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Xz => {
                let mut decoder = XzDecoder::new(packed);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        }
    }
}
