//! However a provider's stream is cut into pieces, the same events come of it.

use integration_tests::{
    Frame, Server,
    provider::{Answer, Provider, Said, Split, Wire},
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::{USAGE, add, server};

/// Something of everything.
fn said() -> Vec<Said> {
    vec![
        Said::thought("zwei Zahlen – "),
        Said::thought("世界"),
        Said::Signature("c2lnbmVk".to_owned()),
        Said::KeepAlive,
        Said::text("Ich zähle: "),
        Said::text("🦀\r\n\"quoted\" \\ and more"),
        Said::Together(vec![
            add("call_a", &["{\"a\":", "1,", "\"b\":2}"]),
            add("call_b", &["{\"a\":3,", "\"b\":4}"]),
        ]),
        Said::Usage(USAGE),
    ]
}

/// What was shown, without what differs from run to run.
fn events(frames: &[Frame]) -> Vec<Value> {
    frames
        .iter()
        .map(|frame| {
            let mut event = frame.json();
            forget(&mut event);
            event
        })
        .collect()
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in [
                "timestamp",
                "runId",
                "messageId",
                "parentMessageId",
                "agentName",
            ] {
                fields.remove(name);
            }
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

fn run(server: &Server, provider: &Provider, wire: Wire, split: Split) -> Vec<Value> {
    provider.answer_with([
        Answer::saying(said()).split(split),
        Answer::saying([Said::text("3 und 7")]),
    ]);
    events(&server.stream(wire.name(), "zähle").finish())
}

#[test]
fn any_split_of_a_stream_gives_the_same_events() {
    let provider = Provider::saying([]);
    let server = server(&provider, "", "");
    for wire in Wire::ALL {
        let whole = run(&server, &provider, wire, Split::Nowhere);
        assert!(whole.len() > 20, "{whole:#?}");
        assert_eq!(whole.last().expect("it ends")["type"], "RUN_FINISHED");
        assert_eq!(
            run(&server, &provider, wire, Split::EachByte),
            whole,
            "{wire:?}"
        );
        // The same cases each time: a failure can be looked at again.
        let mut runner = TestRunner::new_with_rng(
            Config {
                cases: 48,
                failure_persistence: None,
                ..Config::default()
            },
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        );
        let places = prop::collection::vec(any::<usize>(), 1..12);
        runner
            .run(&places, |places| {
                prop_assert_eq!(&run(&server, &provider, wire, Split::At(places)), &whole);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{wire:?}: {error}"));
    }
}
