//! Nobody gets in where they do not belong, however the request is written.

use integration_tests::authz_matrix::{self, Mode};

#[test]
fn one_credential_of_several_lets_in_where_it_may_and_nowhere_else() {
    check(Mode::Any);
}

#[test]
fn all_credentials_together_let_in_where_they_may_and_nowhere_else() {
    check(Mode::All);
}

#[track_caller]
fn check(mode: Mode) {
    let report = authz_matrix::run(mode);
    assert!(report.cells > 20_000, "{report}");
    assert_eq!(report.violation_count, 0, "{report}");
}
