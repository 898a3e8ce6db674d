//! Names of what is kept: hashes of all that decides its bytes.

/// A hash of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash128(pub [u8; 16]);

impl Hash128 {
    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new("bytes");
        hasher.bytes(bytes);
        hasher.finish()
    }

    /// As hexadecimal digits.
    pub fn name(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`name`](Self::name) wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut hash = [0; 16];
        if name.len() != 32 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(name.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

/// Hashes parts, each with its length, so that no two lists of parts are the same bytes.
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// What is hashed for different purposes has no hash in common.
    pub fn new(purpose: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.bytes(purpose.as_bytes());
        hasher
    }

    /// The next part.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    /// The next part, a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// The hash of all parts.
    pub fn finish(&self) -> Hash128 {
        let mut hash = [0; 16];
        self.0.finalize_xof().fill(&mut hash);
        Hash128(hash)
    }
}
