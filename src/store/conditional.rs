//! Whether a server that speaks a cloud's protocol keeps its promise of conditional writes.
//!
//! A version of a table is a file that exactly one writer makes. A server that takes `If-None-Match: *` (Google:
//! `x-goog-if-generation-match: 0`) for a header like any other would let two writers have the same version, and the rows of
//! the first would be gone. So it is tried out, once for each store, before the first such write.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, Result};
use uuid::Uuid;

/// Puts a hidden object twice beside the file that is to be made.
///
/// # Errors
/// Where the store lets an existing object be made again, or cannot be asked.
pub(super) async fn probe(store: &dyn ObjectStore, target: &Path) -> Result<()> {
    let name = format!(".posixlake-{}", Uuid::new_v4().simple());
    let place = parent(target).join(name);
    let put = || async {
        let options = PutOptions::from(PutMode::Create);
        store
            .put_opts(&place, Bytes::from_static(b"probe").into(), options)
            .await
    };
    let first = put().await;
    let second = match first {
        // An answer that was lost: it stands.
        Ok(_) | Err(Error::AlreadyExists { .. }) => put().await,
        Err(error) => return Err(error),
    };
    // What cannot be removed is a hidden file of five bytes.
    let _ = store.delete(&place).await;
    match second {
        Err(Error::AlreadyExists { .. }) => Ok(()),
        Ok(_) => Err(Error::NotSupported {
            source: "the server has no conditional writes (it made an object that was there already, against \
                     'If-None-Match: *'): two writers could take the same version of a table, and one of them would lose \
                     its rows. Tables on it can be read, and files written by COPY TO; use a server that has them to change \
                     tables"
                .into(),
        }),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> Path {
    let mut parts: Vec<_> = path.parts().collect();
    parts.pop();
    parts.into_iter().collect()
}
