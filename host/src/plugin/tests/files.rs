//! What may lie in the plugin folder.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::echo_library;
use crate::plugin::error::LibraryError;
use crate::plugin::image::LibraryFile;

const NAME: &str = "libecho_agent.so";

fn read(folder: &Path) -> Result<LibraryFile, LibraryError> {
    LibraryFile::in_folder(folder, NAME)
}

fn refusal(folder: &Path) -> String {
    read(folder).unwrap_err().to_string()
}

#[test]
fn only_files_are_read_and_nothing_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    assert_eq!(refusal(folder.path()), "there is no such file");

    std::fs::create_dir(&path).unwrap();
    assert_eq!(refusal(folder.path()), "it is a directory, not a file");
    std::fs::remove_dir(&path).unwrap();

    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(refusal(folder.path()), "it is a named pipe, not a file");
    std::fs::remove_file(&path).unwrap();

    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(refusal(folder.path()), "it is a socket, not a file");
}

#[test]
fn devices_are_refused() {
    let error = LibraryFile::at(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "it is a device, not a file");
}

#[test]
fn links_may_not_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    symlink(echo_library(), &path).unwrap();
    assert!(refusal(folder.path()).starts_with("it leads out of the plugin folder"));

    std::fs::remove_file(&path).unwrap();
    symlink(&path, &path).unwrap();
    assert_eq!(refusal(folder.path()), "the file cannot be read");

    std::fs::remove_file(&path).unwrap();
    std::fs::copy(echo_library(), folder.path().join("libecho_agent.so.1")).unwrap();
    symlink("libecho_agent.so.1", &path).unwrap();
    assert!(read(folder.path()).is_ok());
}

#[test]
fn what_others_may_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    std::fs::copy(echo_library(), &path).unwrap();
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&path, 0o646);
    let error = read(folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "every user of this machine may change it"
    );
    assert!(error.remedy().contains("chmod"));
    allow(&path, 0o664);
    assert!(read(folder.path()).unwrap().group_may_write);
    allow(&path, 0o644);
    assert!(!read(folder.path()).unwrap().group_may_write);
    allow(folder.path(), 0o777);
    assert!(refusal(folder.path()).ends_with("may change its folder"));
    allow(folder.path(), 0o1777);
    assert!(read(folder.path()).is_ok());
}
