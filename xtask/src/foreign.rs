//! Programs of others that the tests run: from npm and `PyPI`, in the versions that the repository
//! names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::{clients, mcp, metrics, openapi};

use crate::tools::{Done, finish};

/// What says which versions npm installs, and pip.
const NPM: &str = "package.json";
const NPM_LOCK: &str = "package-lock.json";
const PIP: &str = "requirements.txt";

/// Packages of one purpose.
struct Packages {
    purpose: &'static str,
    sources: PathBuf,
    folder: PathBuf,
}

/// Installs all that the tests run, unless it is there.
pub(crate) fn need_foreign_programs() -> Done {
    let servers = Packages {
        purpose: "MCP servers",
        sources: mcp::sources(),
        folder: mcp::folder(),
    };
    let clients = Packages {
        purpose: "what runs clients in TypeScript",
        sources: clients::sources(),
        folder: clients::folder(),
    };
    let parser = Packages {
        purpose: "the parser of Prometheus' client",
        sources: metrics::sources(),
        folder: metrics::folder(),
    };
    servers.need()?;
    clients.need()?;
    parser.need()?;
    need_schemathesis()
}

/// What reads `/openapi.json` and generates calls from it.
pub(crate) fn need_schemathesis() -> Done {
    let packages = Packages {
        purpose: "schemathesis and openapi-spec-validator",
        sources: openapi::sources(),
        folder: openapi::folder(),
    };
    packages.need()
}

// === impl Packages ===

impl Packages {
    /// Installs them, unless those that are there are the right ones.
    fn need(&self) -> Done {
        if self.are_right() {
            return Ok(());
        }
        self.install().map_err(|error| {
            let purpose = self.purpose;
            format!("the tests need {purpose}, which cannot be installed with npm and pip: {error}")
        })
    }

    /// The files that say which versions are wanted.
    fn wanted(&self) -> impl Iterator<Item = &'static str> {
        let all = [NPM, NPM_LOCK, PIP].into_iter();
        all.filter(|name| self.sources.join(name).exists())
    }

    fn are_right(&self) -> bool {
        self.wanted().all(|name| {
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
        for name in self.wanted() {
            fs::copy(self.sources.join(name), folder.join(name)).map_err(failed)?;
        }
        if folder.join(NPM).exists() {
            install_with_npm(folder)?;
        }
        if folder.join(PIP).exists() {
            install_with_pip(folder)?;
        }
        // Last: without these it is begun anew.
        for name in self.wanted() {
            fs::rename(folder.join(name), folder.join(format!("{name}.installed")))
                .map_err(failed)?;
        }
        Ok(())
    }
}

fn install_with_npm(folder: &Path) -> Done {
    finish(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )
}

fn install_with_pip(folder: &Path) -> Done {
    finish(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(folder.join("python")),
    )?;
    finish(
        Command::new(folder.join("python/bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--requirement", PIP])
            .current_dir(folder),
    )
}
