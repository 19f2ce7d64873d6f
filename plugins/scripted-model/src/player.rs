//! Plays a plan: says its chunks, keeps its waits, and stops as soon as the run is cancelled.

use futures_util::stream;
use mortise_plugin_api::prelude::*;

use crate::plan::{Plan, Step};
use crate::probe::CountedCall;

struct Playing {
    steps: std::vec::IntoIter<Step>,
    run: RunContext,
    // Gone once the call has ended; dropped before that, it counts as aborted.
    counted: Option<CountedCall>,
}

/// The chunks of a plan, in their time.
pub(crate) fn play(plan: Plan, run: RunContext, counted: CountedCall) -> ChunkStream {
    let playing = Playing {
        steps: plan.steps.into_iter(),
        run,
        counted: Some(counted),
    };
    ChunkStream::new(stream::unfold(playing, |mut playing| async move {
        let chunk = playing.next().await?;
        Some((chunk, playing))
    }))
}

// === impl Playing ===

impl Playing {
    async fn next(&mut self) -> Option<Result<Chunk>> {
        loop {
            if self.run.is_cancelled() {
                return self.abort();
            }
            match self.steps.next()? {
                Step::Wait(duration) => {
                    if self.run.sleep(duration).await.is_err() {
                        return self.abort();
                    }
                }
                Step::Say(chunk) => {
                    // Whoever reads the last chunk need not ask whether there is another one.
                    if self.steps.len() == 0 {
                        self.finish();
                    }
                    return Some(Ok(chunk));
                }
                Step::Fail(error) => {
                    self.finish();
                    self.steps = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }

    fn finish(&mut self) {
        if let Some(counted) = self.counted.take() {
            counted.finish();
        }
    }

    // Fails once; after that, and after an answer that was complete, there is nothing more to say.
    fn abort(&mut self) -> Option<Result<Chunk>> {
        self.steps = Vec::new().into_iter();
        drop(self.counted.take()?);
        Some(Err(Error::aborted("the model call was aborted")))
    }
}
