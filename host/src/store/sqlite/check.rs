//! What opening a database would fail for, found out without touching it: a server may be using it.

use std::path::Path;

use rustix::fs::Access;
use rustix::io::Errno;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::{OpenCause, beside, check_log, schema};

pub(super) async fn check(database: &Path) -> Result<(), OpenCause> {
    check_log(database)?;
    if !database.exists() {
        return check_folder(database);
    }
    rustix::fs::access(database, Access::WRITE_OK).map_err(|error| unwritable(database, error))?;
    let options = SqliteConnectOptions::new()
        .filename(database)
        .read_only(true)
        // Else SQLite makes files beside it, which would belong to whoever checks.
        .immutable(!beside(database, "-wal").exists());
    let mut connection = options.connect().await?;
    schema::version(&mut connection).await.map(drop)
}

/// Whether the database, and the folders that are missing, can be made.
fn check_folder(database: &Path) -> Result<(), OpenCause> {
    let mut folders = database.ancestors().skip(1);
    let nearest = folders
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("."));
    // With the dot, a file is told from a folder.
    rustix::fs::access(nearest.join("."), Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| unwritable(nearest, error))
}

fn unwritable(path: &Path, error: Errno) -> OpenCause {
    OpenCause::Unwritable {
        path: path.to_owned(),
        source: error.into(),
    }
}
