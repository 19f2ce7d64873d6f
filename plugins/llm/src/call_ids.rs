//! Ids of the calls in one answer: one each, whatever the provider gives. The host makes them
//! unique in their run.

use std::collections::HashSet;

/// The ids that were given out.
#[derive(Debug, Default)]
pub(crate) struct CallIds(HashSet<String>);

// === impl CallIds ===

impl CallIds {
    /// The id of the next call. `given` is the provider's, where it has one.
    pub(crate) fn next(&mut self, given: Option<&str>) -> String {
        let base = match given {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => format!("call_{}", self.0.len()),
        };
        let mut id = base.clone();
        let mut number = 2;
        while !self.0.insert(id.clone()) {
            id = format!("{base}_{number}");
            number += 1;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_calls_have_one_id() {
        let mut ids = CallIds::default();
        let given = [Some("a"), Some("a"), None, Some(""), Some("call_2")];
        let own: Vec<_> = given.into_iter().map(|it| ids.next(it)).collect();
        assert_eq!(own, ["a", "a_2", "call_2", "call_3", "call_2_2"]);
    }
}
