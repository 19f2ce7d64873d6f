//! What a run uses: tokens, and what they cost by the prices of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use mortise_plugin_api::{Chunk, ChunkStream, Result, TotalUsage, Usage};
use serde::{Deserialize, Serialize};

use super::active::ActiveRun;
use super::engine::Engine;
use super::models::ModelEntry;
use super::quota;
use crate::config::{Money, Price};
use crate::store::{Booking, Used};

/// What was used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Spent {
    pub(crate) tokens: Usage,
    /// `None` as long as no model had a price.
    pub(crate) cost: Option<Money>,
}

/// What the models cost, by `instance/model`.
#[derive(Debug, Default)]
pub(crate) struct Prices(BTreeMap<String, Price>);

/// What an answer uses: charged when it is over, however it ends.
pub(crate) struct Bill {
    engine: Arc<Engine>,
    run: Arc<ActiveRun>,
    model: String,
    label: Arc<str>,
    tokens: Usage,
}

// === impl Bill ===

impl Bill {
    /// A model is about to be asked.
    ///
    /// # Errors
    /// `RATE_LIMITED` when the owner of the run may use no more today.
    pub(crate) fn open(
        engine: &Arc<Engine>,
        run: &Arc<ActiveRun>,
        model: &ModelEntry,
    ) -> Result<Self> {
        if let Some(quotas) = &engine.quotas {
            quotas.check(&run.owner, engine.clock.now_millis())?;
        }
        run.meters.model_asked(&model.label);
        Ok(Self {
            engine: Arc::clone(engine),
            run: Arc::clone(run),
            model: model.name.clone(),
            label: Arc::clone(&model.label),
            tokens: Usage::default(),
        })
    }

    /// What a chunk says of the whole answer.
    pub(crate) fn note(&mut self, chunk: &Chunk) {
        if let Chunk::Usage { usage } = chunk {
            self.tokens = *usage;
        }
    }

    /// Chunks that nobody here looks at.
    pub(crate) fn watch(mut self, stream: ChunkStream) -> ChunkStream {
        ChunkStream::new(stream.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                self.note(chunk);
            }
        }))
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        let spent = self
            .engine
            .charge(&self.run, Some(&self.model), &self.tokens);
        self.run
            .meters
            .used(Some(&self.label), &spent.tokens, spent.price());
    }
}

// === impl Engine ===

impl Engine {
    /// A model has answered: counts it for the run, and for its owner's day.
    pub(crate) fn charge(&self, run: &ActiveRun, model: Option<&str>, tokens: &Usage) -> Spent {
        let spent = Spent {
            tokens: *tokens,
            cost: model.and_then(|model| self.prices.cost(model, tokens)),
        };
        if spent == Spent::default() {
            return spent;
        }
        run.spend(spent);
        let now = self.clock.now_millis();
        let used = spent.used();
        if let Some(quotas) = &self.quotas {
            quotas.charge(&run.owner, used, now);
        }
        self.store.book(Booking {
            owner: Arc::clone(&run.owner),
            day: quota::day(now),
            used,
        });
        spent
    }
}

// === impl Prices ===

impl Prices {
    pub(crate) fn new(prices: BTreeMap<String, Price>) -> Self {
        Self(prices)
    }

    /// What an answer cost; rounded up to a billionth.
    fn cost(&self, model: &str, tokens: &Usage) -> Option<Money> {
        let price = self.0.get(model)?;
        let input = tokens.input_tokens.unwrap_or_default();
        let cached = tokens.cached_input_tokens.unwrap_or_default().min(input);
        let output = tokens.output_tokens.unwrap_or_default();
        let of = |tokens: u64, price: Money| u128::from(tokens) * u128::from(price.billionths());
        let sum = of(input - cached, price.input)
            + of(cached, price.cached_input.unwrap_or(price.input))
            + of(output, price.output);
        let billionths = u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Some(Money::from_billionths(billionths))
    }
}

// === impl Spent ===

impl Spent {
    pub(crate) fn add(&mut self, other: Self) {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(
                one.unwrap_or_default()
                    .saturating_add(other.unwrap_or_default()),
            ),
        };
        let (own, more) = (&mut self.tokens, other.tokens);
        own.input_tokens = sum(own.input_tokens, more.input_tokens);
        own.output_tokens = sum(own.output_tokens, more.output_tokens);
        own.total_tokens = sum(own.total_tokens, more.total_tokens);
        own.reasoning_tokens = sum(own.reasoning_tokens, more.reasoning_tokens);
        own.cached_input_tokens = sum(own.cached_input_tokens, more.cached_input_tokens);
        if let Some(cost) = other.cost {
            *self.cost.get_or_insert_default() += cost;
        }
    }

    /// The cost in whole units of the currency.
    pub(crate) fn price(self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "sums of metrics are never exact"
        )]
        self.cost.map(|cost| cost.billionths() as f64 / 1e9)
    }

    /// As clients read it.
    pub(crate) fn total(self) -> TotalUsage {
        let mut total = TotalUsage::default();
        total.tokens = self.tokens;
        total.cost = self.cost.map(|cost| cost.to_string());
        total
    }

    /// The same, where there is anything to read.
    pub(crate) fn total_if_any(self) -> Option<TotalUsage> {
        (self != Self::default()).then(|| self.total())
    }

    /// As it counts for a day.
    fn used(self) -> Used {
        let input_tokens = self.tokens.input_tokens.unwrap_or_default();
        let output_tokens = self.tokens.output_tokens.unwrap_or_default();
        let sum = input_tokens.saturating_add(output_tokens);
        Used {
            runs: 0,
            input_tokens,
            output_tokens,
            total_tokens: self.tokens.total_tokens.unwrap_or(sum),
            cost: self.cost.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let price = Price {
            input: "0.40".parse().unwrap(),
            cached_input: Some("0.10".parse().unwrap()),
            output: "1.60".parse().unwrap(),
        };
        Prices::new(BTreeMap::from([("llm/mini".to_owned(), price)]))
    }

    fn tokens(input: u64, cached: Option<u64>, output: u64) -> Usage {
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cached_input_tokens: cached,
            ..Usage::default()
        }
    }

    #[test]
    fn an_answer_costs_what_its_tokens_cost() {
        let cost = |tokens| {
            let cost = prices().cost("llm/mini", &tokens);
            cost.unwrap().to_string()
        };
        assert_eq!(cost(tokens(1_000_000, None, 1_000_000)), "2");
        assert_eq!(cost(tokens(1_000_000, Some(500_000), 0)), "0.25");
        assert_eq!(cost(tokens(3, None, 5)), "0.0000092");
        // More in the cache than was read is not less than nothing.
        assert_eq!(cost(tokens(10, Some(20), 0)), "0.000001");
        assert_eq!(prices().cost("llm/other", &tokens(1, None, 1)), None);
    }

    #[test]
    fn a_sum_has_what_any_of_its_parts_has() {
        let mut sum = Spent::default();
        sum.add(Spent {
            tokens: tokens(1, None, 2),
            cost: None,
        });
        assert_eq!(sum.cost, None);
        sum.add(Spent {
            tokens: tokens(10, Some(5), 20),
            cost: Some("0.5".parse().unwrap()),
        });
        assert_eq!(sum.tokens, tokens(11, Some(5), 22));
        assert_eq!(sum.total().cost.unwrap(), "0.5");
        assert_eq!(sum.used().total_tokens, 33);
    }
}
