//! Asks until somebody answers: again after a while, and then the next one.

use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ChunkStream, ModelRequest};

use crate::config::RetriesConfig;
use crate::failure::Failure;
use crate::target::{Plan, Target, Targets};
use crate::upstream::{NoAnswer, Upstream};

/// Asks for an answer. Nothing of one has been shown while anything is tried again.
pub(crate) async fn generate(
    targets: &Targets,
    run: &RunContext,
    request: &ModelRequest,
) -> Result<ChunkStream> {
    let Plan {
        targets: order,
        options,
    } = targets.plan(&request.model)?;
    let mut order = order.iter().peekable();
    while let Some(target) = order.next() {
        let mut tries = 0;
        let failure = loop {
            let client = targets.client()?;
            let asked =
                Upstream::open(client, run, target, &options, request, &targets.timeouts).await;
            let failure = match asked {
                Ok(upstream) => return Ok(upstream.into_chunks()),
                Err(NoAnswer::Ended(error)) => return Err(error),
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
