//! `cargo xtask authz-matrix`: who gets in where, over raw sockets, compared with an oracle.

use integration_tests::authz_matrix::{Mode, run};

use crate::tools::{Done, build, say};

pub(crate) fn authz_matrix() -> Done {
    build()?;
    let mut violations = 0;
    for (mode, name) in [(Mode::Any, "any"), (Mode::All, "all")] {
        let report = run(mode);
        say(&format!("server.auth = {name:?}: {report}"));
        violations += report.violation_count;
    }
    match violations {
        0 => Ok(()),
        count => Err(format!("{count} answers are not what they must be")),
    }
}
