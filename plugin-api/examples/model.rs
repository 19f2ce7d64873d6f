//! A model: it answers word by word, and calls the first tool it is offered when asked to.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::testing::FakeHost;

struct Parrots;

impl Plugin for Parrots {
    type Config = NoConfig;
    const NAME: &'static str = "parrots";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.model(Parrot);
    }
}

/// `model = "parrots/grey"` in an agent's configuration.
struct Parrot;

impl Model for Parrot {
    fn info(&self) -> ModelInfo {
        let capabilities = ModelCapabilities::default().without_structured_output();
        ModelInfo::new("grey").with_capabilities(capabilities)
    }

    async fn generate(&self, _run: RunContext, request: ModelRequest) -> Result<ChunkStream> {
        let prompt = request.prompt();
        if prompt.is_empty() {
            return Err(Error::upstream("the parrot heard nothing"));
        }
        if let (Some(tool), true) = (request.tools.first(), prompt.contains("please")) {
            return Ok(ChunkStream::from_chunks([
                Chunk::tool_call_start("call_1", &tool.name),
                Chunk::tool_call_arguments("call_1", "{}"),
                Chunk::tool_call_end("call_1"),
                Chunk::finish(FinishReason::ToolCalls),
            ]));
        }
        let words: Vec<Chunk> = prompt.split_inclusive(' ').map(Chunk::text).collect();
        let end = [
            Chunk::Usage {
                usage: Usage {
                    output_tokens: Some(words.len() as u64),
                    ..Usage::default()
                },
            },
            Chunk::finish(FinishReason::Stop),
        ];
        Ok(ChunkStream::from_chunks(words.into_iter().chain(end)))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let plugin = FakeHost::new("parrots").load::<Parrots>(json!({}))?;

    let heard = ModelRequest::new(vec![Item::user("pretty polly")]);
    let chunks: Vec<Chunk> = plugin
        .generate("grey", heard)
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    assert_eq!(chunks[..2], [Chunk::text("pretty "), Chunk::text("polly")]);
    assert_eq!(chunks.last(), Some(&Chunk::finish(FinishReason::Stop)));

    let nothing = plugin.generate("grey", ModelRequest::new(vec![])).await;
    assert!(nothing[0].as_ref().is_err_and(Error::is_retryable));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
