//! Names of tools, as providers take them: letters, digits, dashes and underscores, at most 64.

use std::collections::{HashMap, HashSet};

use mortise_plugin_api::ToolSpec;

const LONGEST: usize = 64;

/// Which tool has which name on the wire.
#[derive(Debug, Default)]
pub(crate) struct Names {
    wire: HashMap<String, String>,
    own: HashMap<String, String>,
}

// === impl Names ===

impl Names {
    pub(crate) fn new(tools: &[ToolSpec]) -> Self {
        let mut names = Self::default();
        let mut taken = HashSet::new();
        // Names that can stay do, whatever others become.
        let (fitting, others): (Vec<_>, Vec<_>) = tools
            .iter()
            .map(|tool| &tool.name)
            .partition(|name| plain(name) == **name);
        for name in fitting.into_iter().chain(others) {
            let plain = plain(name);
            let mut wire = plain.clone();
            let mut number = 2;
            while !taken.insert(wire.clone()) {
                let end = format!("_{number}");
                let kept = plain.len().min(LONGEST - end.len());
                wire = format!("{}{end}", &plain[..kept]);
                number += 1;
            }
            names.own.insert(wire.clone(), name.clone());
            names.wire.insert(name.clone(), wire);
        }
        names
    }

    /// The name that a provider is told; of a tool that is not offered any more, too.
    pub(crate) fn on_the_wire(&self, name: &str) -> String {
        self.wire.get(name).cloned().unwrap_or_else(|| plain(name))
    }

    /// The tool that a provider means.
    pub(crate) fn meant(&self, wire: &str) -> String {
        self.own.get(wire).map_or(wire, String::as_str).to_owned()
    }
}

/// The name with an underscore for whatever may not be in it.
pub(crate) fn plain(name: &str) -> String {
    let fits = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    let plain: String = name
        .chars()
        .map(|it| if fits(it) { it } else { '_' })
        .take(LONGEST)
        .collect();
    if plain.is_empty() {
        "_".to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_name_of_its_own_on_the_wire() {
        let long = "x".repeat(70);
        let tools = ["a.b", "a_b", "a/b", "clock", &long].map(|name| ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            schema: serde_json::Value::Null,
        });
        let names = Names::new(&tools);
        assert_eq!(names.on_the_wire("a_b"), "a_b");
        assert_eq!(names.on_the_wire("a.b"), "a_b_2");
        assert_eq!(names.on_the_wire("a/b"), "a_b_3");
        for tool in &tools {
            let wire = names.on_the_wire(&tool.name);
            assert!(wire.len() <= LONGEST, "{wire}");
            assert_eq!(names.meant(&wire), tool.name);
        }
        assert_eq!(names.meant("unknown"), "unknown");
    }
}
