//! How it is set up: the lines of the README, what is missing, and what is never shown.

use std::fs;

use integration_tests::{
    ServerBuilder,
    provider::{Provider, Said, Wire},
    workspace,
};

use super::builder;
use crate::support::SECRET;

/// The repository's configuration with the lines of the README for this provider: those that are
/// new stand at its end, and the model in place of that of the agent.
fn configured(wire: Wire) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("README.md is there");
    let blocks = readme.split("```toml\n").skip(1);
    let block = blocks
        .filter_map(|it| it.split("```").next())
        .find(|it| it.contains(&format!("llm/{}/", wire.name())))
        .unwrap_or_else(|| panic!("README.md shows nothing for {wire:?}"));
    let lines: Vec<&str> = block.lines().filter(|it| !it.trim().is_empty()).collect();
    let headless = lines.iter().filter(|it| **it != "[agents.assistant]");
    assert_eq!(headless.count(), 3, "{block}");
    let model = lines
        .iter()
        .find(|it| it.starts_with("model = "))
        .expect("it names a model");
    let plugin: Vec<&str> = lines
        .iter()
        .copied()
        .take_while(|it| !it.starts_with("[agents"))
        .collect();
    let config = fs::read_to_string(workspace().join("config.toml")).expect("it is there");
    let (before, assistant) = config
        .split_once("[agents.assistant]\n")
        .expect("there is the agent");
    let mut rest: Vec<&str> = assistant.lines().collect();
    let own = rest.iter().position(|it| it.starts_with("model = "));
    rest[own.expect("it has a model")] = model;
    format!(
        "{before}[agents.assistant]\n{}\n\n{}\n",
        rest.join("\n"),
        plugin.join("\n")
    )
}

#[test]
fn three_lines_of_the_readme_make_a_real_agent() {
    for (wire, key, address) in [
        (Wire::OpenAI, "OPENAI_API_KEY", "OPENAI_BASE_URL"),
        (Wire::Anthropic, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
        (Wire::Ollama, "OLLAMA_API_KEY", "OLLAMA_HOST"),
    ] {
        let provider = Provider::saying([Said::text("I am real")]);
        let server = ServerBuilder::new(&configured(wire))
            .variable("MORTISE_SECRET", SECRET)
            .variable(key, "a-secret-key")
            .variable(address, provider.url(wire))
            .start()
            .with_token(SECRET);

        let reply = server.run("assistant", "hi").send().expect(200);

        assert!(reply.text().contains("I am real"), "{wire:?}");
        let calls = provider.calls();
        assert_eq!(calls.len(), 1, "{wire:?}");
        assert!(calls[0].body.to_string().contains("Be brief."), "{wire:?}");
    }
}

#[test]
fn a_provider_without_its_key_ends_the_start_and_is_named() {
    let config = "[[plugins.load]]\nname = \"llm\"\nconfig = { provider = \"anthropic\" }\n";
    let ended = ServerBuilder::new(config)
        .variable("ANTHROPIC_API_KEY", "")
        .fail();

    assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
    assert!(ended.log.contains("ANTHROPIC_API_KEY"), "{}", ended.log);
}

#[test]
fn a_model_of_nobody_ends_the_start_and_shows_what_there_is() {
    let provider = Provider::saying([]);
    let ended = builder(&provider, "", "[agents.x]\nmodel = \"llm/nobody/x\"").fail();

    assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
    assert!(ended.log.contains("llm/nobody/x"), "{}", ended.log);
    assert!(ended.log.contains("llm/anthropic/*"), "{}", ended.log);
}

#[test]
fn a_key_is_in_no_log() {
    let provider = Provider::saying([Said::text("ok")]);
    let server = builder(&provider, "", "")
        .variable("MORTISE_LOG", "trace")
        .start();
    for wire in Wire::ALL {
        let _ = server.run(wire.name(), "hi").send().expect(200);
    }
    let log = server.log();
    assert!(!log.is_empty());
    assert!(!log.contains("a-secret-key"), "{log}");
}
