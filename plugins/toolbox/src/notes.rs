//! `remember` and `recall`: notes in the state of the instance.

use mortise_plugin_api::prelude::*;

const KEY: &str = "notes";

/// The notes of one instance, shared by all its runs.
#[derive(Debug, Clone)]
pub(crate) struct Notebook {
    host: Host,
}

pub(crate) struct Remember {
    notebook: Notebook,
}

pub(crate) struct Recall {
    notebook: Notebook,
}

#[derive(Deserialize)]
struct Arguments {
    note: String,
}

// === impl Notebook ===

impl Notebook {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn notes(&self) -> Result<Option<Value>> {
        self.host.state_get(KEY).await
    }

    /// Adds a note and says how many there are now.
    async fn add(&self, note: &str) -> Result<usize> {
        let noted = self.host.state_update(KEY, |present| {
            let mut notes = listed(present);
            notes.push(note.into());
            Ok(Value::Array(notes))
        });
        Ok(listed(Some(noted.await?)).len())
    }
}

fn listed(notes: Option<Value>) -> Vec<Value> {
    match notes {
        Some(Value::Array(notes)) => notes,
        _ => Vec::new(),
    }
}

// === impl Remember ===

impl Remember {
    pub(crate) fn new(notebook: Notebook) -> Self {
        Self { notebook }
    }
}

impl Tool for Remember {
    fn info(&self) -> ToolInfo {
        let schema = json!({
            "type": "object",
            "properties": { "note": { "type": "string", "minLength": 1 } },
            "required": ["note"],
            "additionalProperties": false,
        });
        ToolInfo::of_schema("remember", "Keeps a note, once somebody approves", schema)
            .with_approval()
            .with_approval_meta(json!({ "risk": "low" }))
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        let Arguments { note } = read_arguments(arguments)?;
        let count = self.notebook.add(&note).await?;
        Ok(json!({ "remembered": note, "notes": count }))
    }
}

// === impl Recall ===

impl Recall {
    pub(crate) fn new(notebook: Notebook) -> Self {
        Self { notebook }
    }
}

impl Tool for Recall {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("recall", "Lists the notes, oldest first").idempotent()
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        let notes = listed(self.notebook.notes().await?);
        Ok(json!({ "notes": notes }))
    }
}
