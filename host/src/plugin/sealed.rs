//! A private copy of a library that nobody can change any more: the bytes that were checked are
//! the bytes that are loaded, whatever happens to the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A copy that is opened by its path.
#[derive(Debug)]
pub(super) enum SealedCopy {
    /// In memory, sealed against changes; gone with its file descriptor.
    InMemory { path: PathBuf, file: File },
    /// Where there is no such memory: a file that only this user may read, and nobody write.
    OnDisk { path: PathBuf },
}

// === impl SealedCopy ===

impl SealedCopy {
    /// Copies the bytes. `name` is what the copy is called in the process's memory map.
    pub(super) fn of(name: &str, bytes: &[u8]) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(copy) = Self::in_memory(name, bytes) {
            return Ok(copy);
        }
        Self::on_disk(name, bytes)
    }

    /// Where the copy is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::InMemory { path, .. } | Self::OnDisk { path } => path,
        }
    }

    /// Keeps the path taken for the rest of the process.
    ///
    /// The system's loader knows a library by its path: were the number of the file descriptor
    /// given out again, the next library would silently be this one.
    pub(super) fn keep(self) {
        if let Self::InMemory { file, .. } = self {
            let _kept_open = file.into_raw_fd();
        }
    }

    /// Removes the copy from the disk; what is mapped stays mapped.
    pub(super) fn unlink(&self) {
        if let Self::OnDisk { path } = self {
            let _ = std::fs::remove_file(path);
        }
    }

    #[cfg(target_os = "linux")]
    fn in_memory(name: &str, bytes: &[u8]) -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create(name, flags)?);
        file.write_all(bytes)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        // Fails where /proc is not mounted.
        path.metadata()?;
        Ok(Self::InMemory { path, file })
    }

    fn on_disk(name: &str, bytes: &[u8]) -> io::Result<Self> {
        static COPIES: AtomicU64 = AtomicU64::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("mortise-{process}-{number}-{name}"));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&path)?;
        let copy = Self::OnDisk { path };
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
            copy.unlink();
            return Err(error);
        }
        Ok(copy)
    }
}
