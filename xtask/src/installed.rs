//! The programs of others that the tests need: from npm and `PyPI`, in the versions that the
//! repository names.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use integration_tests::{mcp, openapi};

use crate::tools::{Done, finish};

/// What is installed together, and from what.
struct Programs {
    what: &'static str,
    /// Where it is installed.
    folder: PathBuf,
    /// Where the files are that say which versions are wanted.
    sources: PathBuf,
    wanted: &'static [&'static str],
}

/// What npm reads.
const PACKAGE: &str = "package.json";
/// What pip reads.
const REQUIREMENTS: &str = "requirements.txt";

/// The real MCP servers that the tests talk to.
pub(crate) fn need_mcp_servers() -> Done {
    let programs = Programs {
        what: "MCP servers",
        folder: mcp::folder(),
        sources: mcp::sources(),
        wanted: &[PACKAGE, "package-lock.json", REQUIREMENTS],
    };
    programs.need()
}

/// What reads `/openapi.json` and generates calls from it.
pub(crate) fn need_schemathesis() -> Done {
    let programs = Programs {
        what: "schemathesis and openapi-spec-validator",
        folder: openapi::folder(),
        sources: openapi::sources(),
        wanted: &[REQUIREMENTS],
    };
    programs.need()
}

// === impl Programs ===

impl Programs {
    /// Installs them, unless those that are there are the right ones.
    fn need(&self) -> Done {
        if self.are_right() {
            return Ok(());
        }
        self.install().map_err(|error| {
            let what = self.what;
            format!("the tests need {what}, which cannot be installed with npm and pip: {error}")
        })
    }

    fn are_right(&self) -> bool {
        self.wanted.iter().all(|name| {
            let wanted = fs::read(self.sources.join(name));
            let installed = fs::read(self.folder.join(format!("{name}.installed")));
            wanted.is_ok_and(|wanted| installed.is_ok_and(|installed| installed == wanted))
        })
    }

    fn install(&self) -> Done {
        let folder = &self.folder;
        let failed = |error| format!("cannot fill {}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        for name in self.wanted {
            fs::copy(self.sources.join(name), folder.join(name)).map_err(failed)?;
        }
        if self.wanted.contains(&PACKAGE) {
            finish(
                Command::new("npm")
                    .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .current_dir(folder),
            )?;
        }
        finish(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(folder.join("python")),
        )?;
        finish(
            Command::new(folder.join("python/bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--requirement", REQUIREMENTS])
                .current_dir(folder),
        )?;
        // Last: without these it is begun anew.
        for name in self.wanted {
            let installed = folder.join(format!("{name}.installed"));
            fs::rename(folder.join(name), installed).map_err(failed)?;
        }
        Ok(())
    }
}
