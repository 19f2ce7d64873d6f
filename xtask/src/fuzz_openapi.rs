//! `cargo xtask fuzz-openapi`: calls that are generated from `/openapi.json`, and what they find.

use integration_tests::openapi::fuzz;

use crate::foreign::need_schemathesis;
use crate::tools::{Done, build, say};

const CALLS: usize = 10_000;

pub(crate) fn fuzz_openapi(arguments: &[&str]) -> Done {
    let calls = match arguments {
        [] => CALLS,
        ["--calls", calls] => calls
            .parse()
            .map_err(|_| format!("{calls:?} is not a number of calls"))?,
        other => return Err(format!("{:?} is not `--calls N`", other.join(" "))),
    };
    need_schemathesis()?;
    build()?;
    let report = fuzz(calls);
    say(&report.to_string());
    if report.failures.is_empty() {
        Ok(())
    } else {
        Err("the document and the server do not agree".to_owned())
    }
}
