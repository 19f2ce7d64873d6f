//! What providers are told.

use integration_tests::provider::{Provider, Said, Wire};
use serde_json::{Value, json};

use super::{messages, server};

const PIXEL: &str = "iVBORw0KGgo=";

#[test]
fn instructions_tools_and_options_are_put_in_the_words_of_each_wire() {
    let provider = Provider::saying([Said::text("ok")]);
    let agents: String = Wire::ALL
        .map(|wire| {
            format!(
                "[agents.{0}-with-options]\nmodel = \"llm/{0}/scripted\"\ninstructions = \"Be brief.\"\n\
                 tools = [\"add\"]\n[agents.{0}-with-options.model_options]\ntemperature = 0.5\n\
                 max_tokens = 99\nstop = \"END\"\n",
                wire.name()
            )
        })
        .concat();
    let server = server(&provider, "", &agents);

    for wire in Wire::ALL {
        let agent = format!("{}-with-options", wire.name());
        let _ = server.run(&agent, "hi").send().expect(200);
    }

    let calls = provider.calls();
    let bodies: Vec<_> = calls.iter().map(|it| &it.body).collect();
    let [openai, anthropic, gemini, ollama] = bodies[..] else {
        panic!("{} calls", bodies.len())
    };
    assert_eq!(
        openai["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );
    assert_eq!(openai["temperature"], 0.5);
    assert_eq!(openai["max_tokens"], 99);
    assert_eq!(openai["stop"], json!(["END"]));
    assert_eq!(openai["stream_options"]["include_usage"], true);
    assert_eq!(openai["tools"][0]["function"]["name"], "add");
    assert!(
        anthropic["system"].to_string().contains("Be brief."),
        "{anthropic}"
    );
    assert_eq!(anthropic["max_tokens"], 99);
    assert_eq!(anthropic["stop_sequences"], json!(["END"]));
    assert_eq!(anthropic["tools"][0]["name"], "add");
    let generation = &gemini["generationConfig"];
    assert_eq!(generation["maxOutputTokens"], 99, "{gemini}");
    assert_eq!(generation["temperature"], 0.5);
    assert!(gemini["tools"].to_string().contains("\"add\""), "{gemini}");
    assert_eq!(ollama["options"]["num_predict"], 99, "{ollama}");
    assert_eq!(ollama["tools"][0]["function"]["name"], "add");
}

#[test]
fn each_provider_gets_its_key_where_it_looks_for_it() {
    let provider = Provider::saying([Said::text("ok")]);
    let server = server(&provider, "", "");
    for (wire, header, value) in [
        (Wire::OpenAI, "authorization", "Bearer a-secret-key"),
        (Wire::Anthropic, "x-api-key", "a-secret-key"),
        (Wire::Gemini, "x-goog-api-key", "a-secret-key"),
        (Wire::Ollama, "authorization", "Bearer a-secret-key"),
    ] {
        let _ = server.run(wire.name(), "hi").send().expect(200);
        let calls = provider.calls();
        let call = calls.last().expect("it was asked");
        assert_eq!(call.header(header), Some(value), "{wire:?}");
        assert!(!call.target.contains("a-secret-key"), "{}", call.target);
    }
}

#[test]
fn a_server_without_keys_and_with_other_headers_is_asked_as_it_wants() {
    let provider = Provider::saying([Said::text("ok")]);
    let config = format!(
        "provider = \"vllm\"\n[plugins.load.config.providers.vllm]\nurl = \"http://{}/v1/\"\n\
         headers = {{ x-team = \"blue\" }}\n",
        provider.address()
    );
    let config = format!(
        "[[plugins.load]]\nname = \"llm\"\n[plugins.load.config]\n{config}\n\
         [agents.local]\nmodel = \"llm/Qwen/Qwen3-Max\"\n"
    );
    let server = integration_tests::ServerBuilder::new(&config).start();

    let _ = server.run("local", "hi").send().expect(200);

    let calls = provider.calls();
    assert_eq!(calls[0].target, "/v1/chat/completions");
    assert_eq!(calls[0].header("authorization"), None);
    assert_eq!(calls[0].header("x-team"), Some("blue"));
    assert_eq!(calls[0].body["model"], "Qwen/Qwen3-Max");
    assert_eq!(calls[0].body.get("reasoning_effort"), None);
}

#[test]
fn options_of_the_run_go_before_those_of_the_model_and_others_pass_through() {
    let provider = Provider::saying([Said::text("ok")]);
    let models =
        r#"models.tuned = { model = "openai/x", options = { temperature = 0.1, top_k = 5 } }"#;
    let server = server(&provider, models, "[agents.tuned]\nmodel = \"llm/tuned\"");
    let body = json!({ "input": "hi", "modelOptions": {
        "temperature": 0.9, "maxTokens": 5, "extra": { "logit_bias": { "1": 2 } },
    }});

    let _ = server.post("/api/tuned/run").json(&body).send().expect(200);
    let wrong = json!({ "input": "hi", "modelOptions": { "seed": "x" } });
    let refused = server
        .post("/api/tuned/run")
        .json(&wrong)
        .send()
        .expect(422);

    let calls = provider.calls();
    assert_eq!(calls[0].body["temperature"], 0.9);
    assert_eq!(calls[0].body["top_k"], 5);
    assert_eq!(calls[0].body["max_tokens"], 5);
    assert_eq!(calls[0].body["logit_bias"], json!({ "1": 2 }));
    assert!(refused.text().contains("'seed'"), "{}", refused.text());
    assert_eq!(calls.len(), 1);
}

#[test]
fn an_answer_can_be_held_to_a_schema() {
    let provider = Provider::saying([Said::text("{\"n\":1}")]);
    let server = server(&provider, "", "");
    for wire in Wire::ALL {
        let body = json!({ "input": "hi", "output": {
            "name": "a number", "schema": { "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false },
        }});
        let path = format!("/api/{}/run", wire.name());
        let reply = server.post(&path).json(&body).send().expect(200).json();
        assert_eq!(reply["structured"], json!({ "n": 1 }), "{wire:?} {reply}");
        let calls = provider.calls();
        let told = &calls.last().expect("it was asked").body;
        let held = match wire {
            Wire::OpenAI => &told["response_format"]["json_schema"]["schema"],
            Wire::Anthropic => &told["output_config"]["format"]["schema"],
            Wire::Gemini => &told["generationConfig"]["responseJsonSchema"],
            Wire::Ollama => {
                assert_eq!(told["format"], "json");
                &told["messages"][0]["content"]
            }
        };
        assert!(held.to_string().contains("integer"), "{wire:?} {told}");
    }
}

#[test]
fn images_are_shown_to_models_that_see() {
    let provider = Provider::saying([Said::text("a pixel")]);
    let server = server(&provider, "", "");
    for wire in Wire::ALL {
        let image = json!({ "type": "image", "source": { "kind": "base64", "data": PIXEL, "mimeType": "image/png" } });
        let path = format!("/api/{}/run", wire.name());
        let _ = server.post(&path).json(&asked(&image)).send().expect(200);
        let calls = provider.calls();
        let told = messages(wire, &calls.last().expect("it was asked").body);
        assert!(told[0].to_string().contains(PIXEL), "{wire:?} {told:?}");
    }
    let linked =
        json!({ "type": "image", "source": { "kind": "url", "url": "https://example.com/a.png" } });
    let asked_before = provider.calls().len();
    let _ = server
        .post("/api/openai/run")
        .json(&asked(&linked))
        .send()
        .expect(200);
    let refused = server
        .post("/api/anthropic/run")
        .json(&asked(&linked))
        .send()
        .expect(422);
    assert!(refused.text().contains("inline"), "{}", refused.text());
    let sound = json!({ "type": "audio", "source": { "kind": "base64", "data": "AAAA", "mimeType": "audio/wav" } });
    let _ = server
        .post("/api/anthropic/run")
        .json(&asked(&sound))
        .send()
        .expect(422);
    assert_eq!(provider.calls().len(), asked_before + 1);
}

fn asked(part: &Value) -> Value {
    json!({ "input": [{ "type": "message", "role": "user", "content": [
        { "type": "text", "text": "What is this?" }, part,
    ]}]})
}
