//! Agents whose payload is a ticket, `{"text": …, "mode": …}`: the mode says what they do.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

const MODEL: &str = "scripted/fake-1";

/// Sorts tickets by urgency.
struct Triage(&'static str);

/// Answers tickets.
struct Support;

/// Answers tickets without a model.
struct Harness;

/// Takes its time.
struct Long(&'static str);

/// Has its tickets sorted by another agent, which checks them.
struct Desk;

struct Lookup;

pub(crate) fn register(registrar: &mut Registrar) {
    registrar
        .agent(Triage("triageTicket"))
        .agent(Triage("publicTriage"))
        .agent(Triage("triageNoOut"))
        .agent(Support)
        .agent(Harness)
        .agent(Long("longAgent"))
        .agent(Long("longAgent2"))
        .agent(Desk)
        .tool(Lookup);
}

/// The ticket of a run, and what is to be done with it.
fn ticket(run: &RunContext) -> (String, String) {
    let text = |key: &str| {
        run.context()["payload"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("text"), text("mode"))
}

/// Fails as the mode wants it.
fn fail(mode: &str) -> Result<()> {
    match mode {
        "handled" => Err(Error::not_found("ticket not found").with_context("ticket", 7)),
        "boom" => Err(Error::internal("secret internals")),
        _ => Ok(()),
    }
}

fn structured(value: Value) -> RunResult {
    RunResult::text("").with_structured(value)
}

impl Agent for Triage {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(self.0, "Sorts tickets by urgency").not_exposed()
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        let (text, mode) = ticket(&run);
        fail(&mode)?;
        match mode.as_str() {
            "badout" => return Ok(structured(json!({ "priority": "urgent" }))),
            "empty" => return Ok(RunResult::text("")),
            "param" => {
                let parameter = json!({ "parameter": run.context()["parameter"] });
                let told = json!({ "priority": "low", "reason": parameter.to_string() });
                return Ok(structured(told));
            }
            _ => {}
        }
        let request = ModelRequest::new(vec![Item::user(text)]);
        let answer = run.generate(MODEL, &request).await?.text_content();
        Ok(structured(json!({ "priority": "high", "reason": answer })))
    }
}

impl Agent for Support {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("supportAgent", "Answers tickets").not_exposed()
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        let (text, mode) = ticket(&run);
        fail(&mode)?;
        let request = ModelRequest::new(vec![Item::user(text)]);
        let answer = if mode == "silent" {
            let mut chunks = run.generate_chunks(MODEL, request).await?;
            let mut answer = String::new();
            while let Some(chunk) = chunks.next().await {
                if let Chunk::Text { delta } = chunk? {
                    answer.push_str(&delta);
                }
            }
            answer
        } else {
            run.generate(MODEL, &request).await?.text_content()
        };
        if mode == "late" {
            return Err(Error::internal("late failure"));
        }
        Ok(structured(json!({ "answer": answer })))
    }
}

impl Agent for Harness {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("harnessAgent", "Looks tickets up")
            .with_tool("lookup")
            .not_exposed()
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        let (text, _) = ticket(&run);
        for delta in ["hel", "lo"] {
            run.say(delta).await?;
        }
        run.call_tool("lookup", json!({ "q": text })).await?;
        Ok(structured(json!({ "answer": format!("echo {text}") })))
    }
}

impl Tool for Lookup {
    fn info(&self) -> ToolInfo {
        let schema = json!({ "type": "object", "properties": { "q": { "type": "string" } } });
        ToolInfo::of_schema("lookup", "Looks something up", schema)
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(json!({ "hits": 1 }))
    }
}

impl Agent for Long {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(self.0, "Sorts tickets, in its own time").not_exposed()
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        let (text, mode) = ticket(&run);
        if mode == "fail" {
            return Err(Error::internal("worker exploded"));
        }
        run.sleep(Duration::from_millis(300)).await?;
        let reason = format!("async {text}");
        Ok(structured(json!({ "priority": "low", "reason": reason })))
    }
}

impl Agent for Desk {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("desk", "Asks `triageTicket.1`").with_agent("triageTicket.1")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let task = input.last().map(Item::text).unwrap_or_default();
        run.run_agent("triageTicket.1", task).await
    }
}
