//! XDR (RFC 4506) off a slice. `nfs3_types` allocates what a length on the wire says before it looks whether so much is there, so everything of variable
//! length is read here, against a limit and against what is left; structures of fixed size are left to `nfs3_types`.

use nfs3_types::xdr_codec::{Pack, Unpack};

/// Bytes that are not what the protocol has at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbage;

/// How many bytes fill an opaque of `length` up to a multiple of four.
pub(crate) const fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}

/// A place in bytes that are being decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not decoded.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Says that nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Garbage> {
        if self.rest.is_empty() { Ok(()) } else { Err(Garbage) }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Garbage> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Garbage)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbage> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Garbage)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Garbage> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Garbage> {
        self.array().map(u64::from_be_bytes)
    }

    /// Bytes of variable length, of which there may be `limit`.
    pub(crate) fn opaque(&mut self, limit: usize) -> Result<&'a [u8], Garbage> {
        let length = usize::try_from(self.u32()?).map_err(|_| Garbage)?;
        if length > limit {
            return Err(Garbage);
        }
        let bytes = self.take(length)?;
        self.take(padding(length))?;
        Ok(bytes)
    }

    /// Numbers, of which there may be `limit`.
    pub(crate) fn numbers(&mut self, limit: usize) -> Result<Vec<u32>, Garbage> {
        let length = usize::try_from(self.u32()?).map_err(|_| Garbage)?;
        if length > limit {
            return Err(Garbage);
        }
        (0..length).map(|_| self.u32()).collect()
    }

    /// A structure that has no part of variable length.
    pub(crate) fn fixed<T: Unpack>(&mut self) -> Result<T, Garbage> {
        T::unpack(&mut self.rest).map(|(value, _)| value).map_err(|_| Garbage)
    }
}

/// Appends `value` to `out`.
pub(crate) fn put(out: &mut Vec<u8>, value: &impl Pack) {
    // A Vec takes every write, and nothing that is put is beyond 4 GiB.
    let packed = value.pack(out);
    debug_assert!(packed.is_ok(), "{packed:?}");
}

/// Appends bytes of variable length to `out`.
pub(crate) fn put_opaque(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, &u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
    out.resize(out.len() + padding(bytes.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_is_cut_with_its_padding_and_counted_against_the_rest() {
        let mut decoder = Decoder::new(&[0, 0, 0, 3, b'a', b'b', b'c', 0, 9]);
        assert_eq!(decoder.opaque(3), Ok(&b"abc"[..]));
        assert_eq!(decoder.rest(), &[9]);
        assert_eq!(Decoder::new(&[0, 0, 0, 3, 1, 2, 3, 0]).opaque(2), Err(Garbage));
        assert_eq!(Decoder::new(&[0, 0, 0, 3, 1, 2, 3]).opaque(9), Err(Garbage));
        assert_eq!(Decoder::new(&[0xff, 0xff, 0xff, 0xff]).opaque(usize::MAX), Err(Garbage));
    }

    #[test]
    fn put_opaque_is_what_opaque_reads() {
        for length in 0..9 {
            let bytes = vec![7; length];
            let mut out = Vec::new();
            put_opaque(&mut out, &bytes);
            let mut decoder = Decoder::new(&out);
            assert_eq!(decoder.opaque(8), Ok(&bytes[..]));
            assert_eq!(decoder.finish(), Ok(()));
        }
    }
}
