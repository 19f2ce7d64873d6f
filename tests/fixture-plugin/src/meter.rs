//! Reports the numbers that clients send.

use mortise_plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    kind: Kind,
    name: String,
    value: f64,
    #[serde(default)]
    labels: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Count,
    Gauge,
    Record,
}

pub(crate) fn mount(host: &Host) -> Mount {
    let host = host.clone();
    Mount::at_base()
        .endpoint(Endpoint::post("/meter", move |call| report(host.clone(), call)).public())
}

async fn report(host: Host, call: EndpointCall) -> Result<Response> {
    let numbers: Vec<Number> = call.body.json().await?;
    for number in &numbers {
        let labels = number.labels.iter();
        let labels: Vec<(&str, &str)> = labels
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let report = match number.kind {
            Kind::Count => Host::count,
            Kind::Gauge => Host::gauge,
            Kind::Record => Host::record,
        };
        report(&host, &number.name, number.value, &labels);
    }
    Ok(Response::new(204))
}
