//! A library in memory: read once, checked, copied, opened, and never unmapped.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use mortise_plugin_abi::PluginModule_Ref;
use mortise_plugin_abi::stable::{AbiHeaderRef, LibraryError as AbiLibraryError};
use mortise_plugin_abi::stable::{LibHeader, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use mortise_plugin_api::ffi::Manifest;
use rustix::fs::{FileType, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use super::error::LibraryError;
use super::sealed::SealedCopy;
use super::{compat, elf};
use crate::config::LibraryDigest;

/// A library that is mapped for the rest of the process.
pub(super) struct Image {
    pub(super) manifest: Arc<Manifest>,
    pub(super) module: PluginModule_Ref,
    /// SHA-256 of the file, in hex.
    pub(super) digest: String,
}

/// A file that was read, not yet a library.
#[derive(Debug)]
pub(super) struct LibraryFile {
    name: String,
    bytes: Vec<u8>,
    /// The group of the file may change it: legal, but unwise in production.
    pub(super) group_may_write: bool,
}

const LIMIT: u64 = 1 << 30;

const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The same bytes are one image, shared by every instance: its statics exist once.
static IMAGES: LazyLock<Mutex<HashMap<String, Arc<Image>>>> = LazyLock::new(Mutex::default);

// === impl Image ===

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("manifest", &self.manifest)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

// === impl LibraryFile ===

impl LibraryFile {
    /// Reads a library of the folder by the bare name of its file. Links may not lead out.
    pub(super) fn in_folder(folder: &Path, file_name: &str) -> Result<Self, LibraryError> {
        let folder = resolved(folder)?;
        let path = resolved(&folder.join(file_name))?;
        if !path.starts_with(&folder) {
            return Err(LibraryError::LeadsOut { target: path });
        }
        let metadata = folder.metadata().map_err(LibraryError::Unreadable)?;
        check_permissions("its folder", &metadata)?;
        Self::read_resolved(&path)
    }

    /// Reads a library that the operator named by its path.
    pub(super) fn at(path: &Path) -> Result<Self, LibraryError> {
        Self::read_resolved(&resolved(path)?)
    }

    fn read_resolved(path: &Path) -> Result<Self, LibraryError> {
        // Not blocking: the other end of a FIFO may never come.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(error) => return Err(why_not_opened(path, error.into())),
        };
        let file = File::from(opened);
        let metadata = file.metadata().map_err(LibraryError::Unreadable)?;
        check_is_file(metadata.mode())?;
        check_permissions("it", &metadata)?;
        let bytes = read_all(file, metadata.len())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            bytes,
            group_may_write: metadata.mode() & GROUP_WRITE != 0,
        })
    }

    /// The library of these bytes, which have this digest: the one that is loaded already, or a new
    /// one.
    pub(super) fn load(self, wanted: Option<&LibraryDigest>) -> Result<Arc<Image>, LibraryError> {
        let digest = hex(&Sha256::digest(&self.bytes));
        if let Some(wanted) = wanted
            && wanted.as_str() != digest
        {
            return Err(LibraryError::OtherDigest { found: digest });
        }
        // Held while opening: the system's loader takes one library at a time anyway, and two
        // threads with the same bytes must end up with one image.
        let mut images = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images.get(&digest) {
            return Ok(Arc::clone(image));
        }
        let manifest = elf::check(&self.bytes)?;
        compat::check_manifest(&manifest)?;
        let module = open(&self.name, &self.bytes)?;
        let image = Arc::new(Image {
            manifest: Arc::new(manifest),
            module,
            digest: digest.clone(),
        });
        images.insert(digest, Arc::clone(&image));
        Ok(image)
    }

    /// What the library says of itself; none of its code runs.
    pub(super) fn manifest(&self) -> Result<Manifest, LibraryError> {
        let manifest = elf::check(&self.bytes)?;
        compat::check_manifest(&manifest)?;
        Ok(manifest)
    }

    #[cfg(test)]
    pub(super) fn of_bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            group_may_write: false,
        }
    }
}

// === reading ===

fn resolved(path: &Path) -> Result<PathBuf, LibraryError> {
    path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LibraryError::Missing,
        _ => LibraryError::Unreadable(error),
    })
}

fn why_not_opened(path: &Path, error: io::Error) -> LibraryError {
    // A socket cannot be opened at all, so its kind is asked for separately.
    let kind = path.symlink_metadata().map(|it| check_is_file(it.mode()));
    match kind {
        Ok(Err(not_a_file)) => not_a_file,
        _ => LibraryError::Unreadable(error),
    }
}

fn check_is_file(mode: u32) -> Result<(), LibraryError> {
    Err(LibraryError::NotAFile(
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => return Ok(()),
            FileType::Directory => "a directory",
            FileType::Symlink => "a link",
            FileType::Fifo => "a named pipe",
            FileType::Socket => "a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "a device",
            FileType::Unknown => "something unknown",
        },
    ))
}

fn check_permissions(what: &'static str, metadata: &std::fs::Metadata) -> Result<(), LibraryError> {
    let mode = metadata.mode();
    let others_may = mode & OTHERS_WRITE != 0;
    // In a sticky folder such as /tmp, only its owner may replace a file.
    if others_may && !(metadata.is_dir() && mode & STICKY != 0) {
        return Err(LibraryError::OthersMayWrite { what });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(LibraryError::ForeignOwner { what, owner });
    }
    Ok(())
}

fn read_all(file: File, length: u64) -> Result<Vec<u8>, LibraryError> {
    if length > LIMIT {
        return Err(LibraryError::TooLarge { limit: LIMIT });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    // The file may grow while it is read.
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(LibraryError::Unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(LibraryError::TooLarge { limit: LIMIT });
    }
    Ok(bytes)
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(digest.len() * 2);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

// === opening ===

fn open(name: &str, bytes: &[u8]) -> Result<PluginModule_Ref, LibraryError> {
    let copy = SealedCopy::of(name, bytes).map_err(LibraryError::Copy)?;
    let opened = open_copy(copy.path());
    copy.unlink();
    let library = opened.map_err(|error| {
        // The reader knows the file by its name, not by where the copy is.
        let text = super::error::in_one_line(&error);
        LibraryError::Open(text.replace(&copy.path().display().to_string(), name))
    })?;
    copy.keep();
    let header = header(&library);
    // Never unmapped, loadable or not: threads, thread-locals and the layout checker may point
    // into it for ever.
    let _mapped = library.into_raw();
    let header = header?.upgrade().map_err(|error| boundary(&error))?;
    let layout = header.layout().ok_or_else(|| {
        LibraryError::Boundary("it does not say how its types are laid out".to_owned())
    })?;
    compat::check_layout(layout, header.version_strings().version.as_str())?;
    root_module(header)
}

#[expect(unsafe_code, reason = "opens a library")]
fn open_copy(path: &Path) -> Result<Library, libloading::Error> {
    // Everything is bound now, so that a missing symbol fails here and not in the first call that
    // needs it; nothing of it is visible to other libraries.
    //
    // SAFETY: the library's constructors run. The operator put it where only they may write and
    // trusts it as they trust this program; its headers were checked against its bytes.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
}

#[expect(unsafe_code, reason = "reads an exported static by its name")]
fn header(library: &Library) -> Result<AbiHeaderRef, LibraryError> {
    // SAFETY: the symbol of this name is a static header; whoever exports it under abi_stable's
    // name made it with abi_stable, which `upgrade` checks by its magic text.
    let symbol = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL) };
    symbol
        .map(|symbol| *symbol)
        .map_err(|_| LibraryError::NoRootModule)
}

#[expect(
    unsafe_code,
    reason = "takes the root module as the type it was checked to be"
)]
fn root_module(header: &'static LibHeader) -> Result<PluginModule_Ref, LibraryError> {
    // SAFETY: `check_layout` has just compared the layout of the module with this type's.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginModule_Ref>() }
        .map_err(|error| boundary(&error))
}

fn boundary(error: &AbiLibraryError) -> LibraryError {
    LibraryError::Boundary(match error {
        AbiLibraryError::InvalidAbiHeader(found) => format!(
            "abi_stable 0.{}.{} or another",
            found.abi_major, found.abi_minor
        ),
        AbiLibraryError::IncompatibleVersionNumber {
            expected_version,
            actual_version,
            ..
        } => format!("{expected_version} here, {actual_version} there"),
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(60).collect();
            words.join(" ")
        }
    })
}
