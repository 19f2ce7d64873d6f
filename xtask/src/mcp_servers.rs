//! The real MCP servers that the tests talk to: from npm and `PyPI`, in the versions that the
//! repository names.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration_tests::mcp::{folder, sources};

use crate::tools::{Done, finish};

/// What says which versions are wanted.
const WANTED: [&str; 3] = ["package.json", "package-lock.json", "requirements.txt"];

/// Installs them, unless those that are there are the right ones.
pub(crate) fn need_mcp_servers() -> Done {
    let folder = folder();
    if is_right(&folder) {
        return Ok(());
    }
    install(&folder).map_err(|error| {
        format!("the tests need MCP servers, which cannot be installed with npm and pip: {error}")
    })
}

fn is_right(folder: &Path) -> bool {
    WANTED.iter().all(|name| {
        let wanted = fs::read(sources().join(name));
        let installed = fs::read(folder.join(format!("{name}.installed")));
        wanted.is_ok_and(|wanted| installed.is_ok_and(|installed| installed == wanted))
    })
}

fn install(folder: &Path) -> Done {
    let failed = |error| format!("cannot fill {}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    for name in WANTED {
        fs::copy(sources().join(name), folder.join(name)).map_err(failed)?;
    }
    finish(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )?;
    finish(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(folder.join("python")),
    )?;
    finish(
        Command::new(folder.join("python/bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--requirement", "requirements.txt"])
            .current_dir(folder),
    )?;
    // Last: without these it is begun anew.
    for name in WANTED {
        fs::rename(folder.join(name), folder.join(format!("{name}.installed"))).map_err(failed)?;
    }
    Ok(())
}
