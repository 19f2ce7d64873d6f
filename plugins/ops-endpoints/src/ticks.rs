//! `GET /ops-ticks`: a stream of a few events, one every 100 ms.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

const DEFAULT_COUNT: u32 = 3;
const MAX_COUNT: u32 = 100;
const INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn endpoint(host: Host) -> Endpoint {
    let answer = move |call: EndpointCall| {
        let wanted = call.request.query_param("n");
        let response = read_count(wanted.as_deref())
            .map(|count| ticks(host.clone(), count))
            .ok_or_else(|| {
                Error::bad_request(format!("`n` is a whole number between 0 and {MAX_COUNT}"))
            });
        async { response }
    };
    Endpoint::get("/ops-ticks", answer).operation(json!({
        "operationId": "ticks",
        "summary": "Ticks, one after the other",
        "parameters": [{
            "name": "n", "in": "query",
            "schema": {
                "type": "integer", "minimum": 0, "maximum": MAX_COUNT, "default": DEFAULT_COUNT,
            },
        }],
        "responses": {
            "200": {
                "description": "The ticks",
                "content": { "text/event-stream": { "schema": {
                    "description": "An event of the stream.",
                    "type": "object",
                    "required": ["data"],
                    "properties": {
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": {
                                "type": "object",
                                "required": ["tick"],
                                "properties": { "tick": { "type": "integer", "minimum": 0 } },
                            },
                        },
                    },
                } } },
            },
        },
    }))
}

fn ticks(host: Host, count: u32) -> Response {
    let ticks = Response::stream("text/event-stream", move |writer| async move {
        for tick in 0..count {
            host.sleep(INTERVAL).await;
            writer.write_event(&json!({ "tick": tick })).await?;
        }
        Ok(())
    });
    ticks.with_header("cache-control", "no-cache")
}

fn read_count(wanted: Option<&str>) -> Option<u32> {
    match wanted {
        None => Some(DEFAULT_COUNT),
        Some(text) => text.parse().ok().filter(|count| *count <= MAX_COUNT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_has_a_default_and_a_limit() {
        let table = [
            (None, Some(3)),
            (Some("0"), Some(0)),
            (Some("100"), Some(100)),
            (Some("101"), None),
            (Some("-1"), None),
            (Some(""), None),
        ];
        for (wanted, count) in table {
            assert_eq!(read_count(wanted), count, "{wanted:?}");
        }
    }
}
