//! Jobs as services of the host, beside those of the runtime.

use std::sync::Arc;

use mortise_plugin_api::{Error, JobRequest, Limit, Principal, Result, Taken};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Jobs;
use crate::plugin::capability::{BoxFuture, HostApi};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfJob {
    job_id: String,
    /// For whom.
    #[serde(default)]
    principal: Option<Arc<Principal>>,
}

// === impl Jobs ===

impl HostApi for Jobs {
    fn call(
        &self,
        instance: Arc<str>,
        service: String,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value>> {
        if !service.starts_with("jobs.") {
            return self.runtime.call(instance, service, payload);
        }
        let jobs = self.unrestricted();
        Box::pin(async move { jobs.serve(&instance, &service, payload).await })
    }

    fn take(&self, instance: &str, key: &str, limit: Limit, count: u32) -> Result<Taken> {
        self.runtime.take(instance, key, limit, count)
    }
}

impl Jobs {
    async fn serve(&self, instance: &str, service: &str, payload: Value) -> Result<Value> {
        match service {
            "jobs.enqueue" => {
                let request: JobRequest = read(payload)?;
                let job = self.enqueue(request, Some(instance)).await?;
                Ok(serde_json::to_value(job)?)
            }
            "jobs.get" => {
                let OfJob { job_id, .. } = read(payload)?;
                Ok(serde_json::to_value(self.job(&job_id).await?)?)
            }
            "jobs.list" => Ok(serde_json::to_value(self.list(read(payload)?).await?)?),
            "jobs.cancel" => {
                let OfJob { job_id, principal } = read(payload)?;
                let by = principal
                    .unwrap_or_else(|| Arc::new(Principal::new(instance).with_tenant("plugins")));
                Ok(self.cancel(&job_id, &by).await?.into())
            }
            other => Err(Error::unavailable(format!(
                "this server has no service '{other}'"
            ))),
        }
    }
}

fn read<T: DeserializeOwned>(payload: Value) -> Result<T> {
    serde_json::from_value(payload).map_err(|error| {
        Error::bad_request(format!("the payload is not what is expected: {error}"))
    })
}
