//! What the built-in routes do, one verb a file.

pub(super) mod abort_run;
pub(super) mod cancel_job;
pub(super) mod delete_conversation;
pub(super) mod enqueue_job;
pub(super) mod execute_tool;
pub(super) mod list_agents;
pub(super) mod list_approvals;
pub(super) mod list_jobs;
pub(super) mod list_runs;
pub(super) mod load_conversation;
mod page;
pub(super) mod probe;
pub(super) mod resume_conversation;
pub(super) mod resume_stream;
pub(super) mod run;
pub(super) mod show_document;
pub(super) mod show_job;
pub(super) mod show_metrics;
pub(super) mod show_run;
pub(super) mod show_usage;
pub(super) mod submit_tool_approval;
pub(super) mod submit_tool_result;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The number after which a resumed stream goes on; `None` is from the beginning.
///
/// What is no number, or below zero, is from the beginning too.
fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all("last-event-id").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok()?.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let is_number = text.starts_with(|it: char| it.is_ascii_digit() || it == '.');
    let number: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and beyond the end there is nothing anyway"
    )]
    (is_number && number >= 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cursor_that_is_no_number_is_the_beginning() {
        let cases = [
            ("2", Some(2)),
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("1.9", Some(1)),
            ("1e2", Some(100)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("", None),
            ("abc", None),
            ("nan", None),
            ("inf", None),
            ("1, 2", None),
        ];
        for (text, expected) in cases {
            let value = HeaderValue::from_static(text);
            let headers = HeaderMap::from_iter([("last-event-id".parse().unwrap(), value)]);
            assert_eq!(last_event_id(&headers), expected, "{text:?}");
        }
        assert_eq!(last_event_id(&HeaderMap::new()), None);
    }
}
