//! A text that grows: what of it can be shown, and what a rule may still find.
//!
//! Whatever pieces a text comes in, what is shown of it is the same in the end.

use std::sync::Arc;

use crate::config::Action;
use crate::finder::Finder;
use crate::rule::{Blocked, Rule, What};

/// A text on its way through rules, one after the other.
#[derive(Debug)]
pub(crate) struct Chain {
    /// How many characters there were so far.
    count: usize,
    limits: Vec<(usize, Arc<Rule>)>,
    scanners: Vec<Scanner>,
}

/// A text on its way through one rule.
#[derive(Debug)]
struct Scanner {
    rule: Arc<Rule>,
    text: String,
    /// Everything before this is decided.
    decided: usize,
    /// From here on to the end, the text has only characters of what the rule finds.
    run: usize,
}

/// How much of what is decided is kept: a rule looks at the character before what it finds.
const CONTEXT: usize = 4;

// === impl Chain ===

impl Chain {
    /// A text that has `count` characters before it.
    pub(crate) fn new(rules: impl IntoIterator<Item = Arc<Rule>>, count: usize) -> Self {
        let mut chain = Self {
            count,
            limits: Vec::new(),
            scanners: Vec::new(),
        };
        for rule in rules {
            match rule.what {
                What::Longer(limit) => chain.limits.push((limit, rule)),
                What::Found(_) => chain.scanners.push(Scanner::new(rule)),
            }
        }
        chain
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// More of the text; what can be shown by now.
    pub(crate) fn push(&mut self, more: &str) -> Result<String, Blocked> {
        self.count += more.chars().count();
        for (limit, rule) in &self.limits {
            if self.count > *limit {
                return Err(Blocked(Arc::clone(rule)));
            }
        }
        let mut text = more.to_owned();
        for scanner in &mut self.scanners {
            text = scanner.push(&text)?;
        }
        Ok(text)
    }

    /// The text is over; the rest of it.
    pub(crate) fn finish(mut self) -> Result<String, Blocked> {
        let mut rest = String::new();
        for scanner in &mut self.scanners {
            let mut text = scanner.push(&rest)?;
            text.push_str(&scanner.decide(scanner.text.len())?);
            rest = text;
        }
        Ok(rest)
    }
}

// === impl Scanner ===

impl Scanner {
    fn new(rule: Arc<Rule>) -> Self {
        Self {
            rule,
            text: String::new(),
            decided: 0,
            run: 0,
        }
    }

    fn push(&mut self, more: &str) -> Result<String, Blocked> {
        let What::Found(finder) = &self.rule.what else {
            return Ok(more.to_owned());
        };
        let before = self.text.len();
        self.text.push_str(more);
        let last_foreign = more
            .char_indices()
            .rev()
            .find(|&(_, character)| !finder.may_hold(character));
        if let Some((at, character)) = last_foreign {
            self.run = before + at + character.len_utf8();
        }
        let until = self.settled(finder);
        let shown = self.decide(until)?;
        self.forget();
        Ok(shown)
    }

    /// Before this, nothing begins that more of the text could change.
    fn settled(&self, finder: &Finder) -> usize {
        // What begins before the run ends before it, and the character behind it is there too.
        let Some(reach) = finder.reach() else {
            return self.run;
        };
        let mut border = self.text.len().saturating_sub(reach + CONTEXT);
        while !self.text.is_char_boundary(border) {
            border -= 1;
        }
        self.run.max(border)
    }

    /// Decides everything that begins before `until`.
    fn decide(&mut self, until: usize) -> Result<String, Blocked> {
        let mut shown = String::new();
        if until <= self.decided {
            return Ok(shown);
        }
        let What::Found(finder) = &self.rule.what else {
            return Ok(shown);
        };
        while let Some(found) = finder.find(&self.text, self.decided) {
            if found.start >= until {
                break;
            }
            if self.rule.action == Action::Block {
                return Err(Blocked(Arc::clone(&self.rule)));
            }
            shown.push_str(&self.text[self.decided..found.start]);
            shown.push_str(&self.rule.replacement);
            self.decided = found.end;
        }
        if until > self.decided {
            shown.push_str(&self.text[self.decided..until]);
            self.decided = until;
        }
        Ok(shown)
    }

    /// Lets go of what is decided, but for the last of it.
    fn forget(&mut self) {
        const WORTH_IT: usize = 4096;
        if self.decided < WORTH_IT {
            return;
        }
        let mut keep = self.decided - CONTEXT;
        while !self.text.is_char_boundary(keep) {
            keep -= 1;
        }
        self.text.drain(..keep);
        self.decided -= keep;
        self.run = self.run.saturating_sub(keep);
    }
}

#[cfg(test)]
mod tests;
