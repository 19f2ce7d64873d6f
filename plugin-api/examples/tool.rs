//! A tool with arguments, configuration, state, and an approval for expensive calls.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::testing::FakeHost;

/// The `config` table of the plugin's entry.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// What may be spent without asking anybody.
    pocket_money: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { pocket_money: 10 }
    }
}

struct Shop {
    config: Config,
    host: Host,
}

impl Plugin for Shop {
    type Config = Config;
    const NAME: &'static str = "shop";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRANTS: &'static [&'static str] = &["state"];

    fn create(config: Config, host: Host) -> Result<Self> {
        Ok(Self { config, host })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.tool(Buy {
            config: self.config.clone(),
            host: self.host.clone(),
        });
    }
}

struct Buy {
    config: Config,
    host: Host,
}

/// What is bought.
#[derive(Deserialize, JsonSchema)]
struct Purchase {
    /// The thing.
    thing: String,
    /// Its price.
    price: u64,
}

impl Tool for Buy {
    fn info(&self) -> ToolInfo {
        ToolInfo::new::<Purchase>("buy", "Buys something").with_approval_per_call()
    }

    async fn approval(&self, _run: RunContext, arguments: Value) -> Result<ApprovalDecision> {
        let purchase: Purchase = read_arguments(arguments)?;
        let needed = purchase.price > self.config.pocket_money;
        Ok(ApprovalDecision::required(needed).with_meta(json!({ "price": purchase.price })))
    }

    async fn call(&self, run: RunContext, arguments: Value) -> Result<Value> {
        let Purchase { thing, price } = read_arguments(arguments)?;
        if price == 0 {
            return Err(Error::invalid("nothing is free"));
        }
        run.emit_data(None, json!({ "buying": thing })).await?;
        // Calls come at the same time: none of them may be forgotten.
        let add = |spent: Option<Value>| {
            let spent = spent.and_then(|spent| spent.as_u64()).unwrap_or(0);
            Ok(json!(spent + price))
        };
        let spent = self.host.state_update("spent", add).await?;
        Ok(json!({ "bought": thing, "spent": spent }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let host = FakeHost::new("shop");
    let shop = host.load::<Shop>(json!({ "pocket_money": 5 }))?;

    let book = json!({ "thing": "book", "price": 8 });
    assert_eq!(
        shop.approval("buy", book.clone()).await?.required,
        Some(true)
    );
    assert_eq!(shop.call_tool("buy", book).await?["spent"], 8);
    assert_eq!(host.state("spent"), Some(json!(8)));

    let free = json!({ "thing": "air", "price": 0 });
    let refused = shop.call_tool("buy", free).await;
    assert!(refused.is_err_and(|error| error.code() == Some("VALIDATION_FAILED")));

    // An integer to the schema, and no `u64`: the model reads why.
    let odd = json!({ "thing": "pen", "price": 2.0 });
    let refused = shop.call_tool("buy", odd).await;
    assert!(refused.is_err_and(|error| error.message().contains("/price: invalid type")));

    let misspelt = host.load::<Shop>(json!({ "poket_money": 5 }));
    assert!(misspelt.is_err());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
