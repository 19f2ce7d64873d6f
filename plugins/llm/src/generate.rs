//! Asks until somebody answers: again after a while, and then the next one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ChunkStream, ModelRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::config::RetriesConfig;
use crate::failure::Failure;
use crate::target::{Plan, Target, Targets};
use crate::upstream::{NoAnswer, Upstream};

/// How many chunks may wait for the host.
const AHEAD: usize = 64;

/// An answer that a task reads. Dropping it ends the task and closes the connection.
struct Answer {
    chunks: mpsc::Receiver<Result<Chunk>>,
    /// That task alone.
    reading: JoinSet<()>,
}

/// Asks for an answer, and waits for its first piece.
///
/// A task of the library's own runtime asks, where connections and timers are: from the threads of
/// the host, each piece would go back and forth between threads several times.
pub(crate) async fn generate(
    targets: Arc<Targets>,
    run: RunContext,
    request: ModelRequest,
) -> Result<ChunkStream> {
    let (sender, chunks) = mpsc::channel(AHEAD);
    let asking = async move {
        match open(&targets, &run, &request).await {
            Ok(upstream) => upstream.send(&sender).await,
            // Whoever does not take it has gone.
            Err(error) => drop(sender.send(Err(error)).await),
        }
    };
    let mut reading = JoinSet::new();
    reading.spawn(asking.instrument(tracing::info_span!("generate")));
    let mut answer = Answer { chunks, reading };
    let first = answer.next().await.transpose()?;
    Ok(ChunkStream::new(stream::unfold(
        (first, answer),
        |(first, mut answer)| async move {
            let chunk = match first {
                Some(first) => Ok(first),
                None => answer.next().await?,
            };
            Some((chunk, (None, answer)))
        },
    )))
}

/// Asks for an answer. Nothing of one has been shown while anything is tried again.
async fn open(targets: &Targets, run: &RunContext, request: &ModelRequest) -> Result<Upstream> {
    let Plan {
        targets: order,
        options,
    } = targets.plan(&request.model)?;
    let mut order = order.iter().peekable();
    while let Some(target) = order.next() {
        let mut tries = 0;
        let failure = loop {
            let client = targets.client()?;
            let asked = Upstream::open(client, target, &options, request, &targets.timeouts).await;
            let failure = match asked {
                Ok(upstream) => return Ok(upstream),
                Err(NoAnswer::NotAsked(error)) => return Err(error),
                Err(NoAnswer::Failed(failure)) => failure,
            };
            let Some(wait) = wait(&failure, &targets.retries, tries) else {
                break failure;
            };
            failure.log(target, "it is asked again");
            tries += 1;
            run.sleep(wait).await?;
        };
        match order.peek() {
            Some(next) if failure.others_may_do_better() => {
                let next = name(next);
                failure.log(target, &format!("{next} is asked instead"));
            }
            _ => {
                failure.log(target, "the step fails");
                return Err(failure.into_error(target));
            }
        }
    }
    Err(Error::not_found("the model has nobody to be asked"))
}

/// How long to wait before the same is asked again; nothing where that would not help.
fn wait(failure: &Failure, retries: &RetriesConfig, tries: u32) -> Option<Duration> {
    if !failure.may_pass || tries >= retries.max {
        return None;
    }
    let backoff = retries
        .backoff
        .0
        .saturating_mul(2_u32.saturating_pow(tries));
    let backoff = backoff.min(retries.longest_wait.0);
    let wait = match failure.retry_after {
        Some(asked) if asked > retries.longest_wait.0 => return None,
        Some(asked) => asked,
        // Between half and all of it, so that many do not come back at once.
        None => backoff.mul_f64(0.5 + fastrand::f64() / 2.0),
    };
    Some(wait)
}

fn name(target: &Target) -> String {
    format!("{}/{}", target.provider.name, target.model)
}

// === impl Answer ===

impl Answer {
    async fn next(&mut self) -> Option<Result<Chunk>> {
        if let Some(chunk) = self.chunks.recv().await {
            return Some(chunk);
        }
        let error = self.reading.join_next().await?.err()?;
        Some(Err(Error::internal(format!(
            "reading the answer ended: {error}"
        ))))
    }
}
