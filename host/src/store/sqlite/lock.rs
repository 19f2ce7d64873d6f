//! The lock beside a database: one server at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::{OpenCause, beside};

/// Held as long as a server uses the database. The system lets go of it when the process ends,
/// however it does.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    _file: File,
}

// === impl DatabaseLock ===

impl DatabaseLock {
    /// Takes the lock of a database.
    pub(super) fn take(database: &Path) -> Result<Self, OpenCause> {
        let path = beside(&resolved(database), ".lock");
        let failed = |source| OpenCause::Unwritable {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // Whoever holds it may not have written its number yet.
            let _ = file.read_to_string(&mut holder);
            return Err(OpenCause::InUse {
                holder: holder.trim().to_owned(),
                path,
            });
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Where the database is, also if a link leads there: two servers must find the same lock.
fn resolved(database: &Path) -> PathBuf {
    database
        .canonicalize()
        .unwrap_or_else(|_| database.to_owned())
}
