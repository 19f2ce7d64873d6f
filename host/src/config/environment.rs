//! The environment variables, as an argument: tests bring their own.

use std::{collections::BTreeMap, ffi::OsString};

/// The variables that a process was started with.
pub trait Environment {
    /// The value of one variable.
    fn get(&self, name: &str) -> Option<OsString>;

    /// All variables.
    fn vars(&self) -> Vec<(OsString, OsString)>;

    /// What errors call a variable: where its value was said.
    fn source(&self, name: &str) -> String {
        format!("the variable {name}")
    }
}

/// The variables of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

impl Environment for BTreeMap<String, OsString> {
    fn get(&self, name: &str) -> Option<OsString> {
        BTreeMap::get(self, name).cloned()
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        self.iter()
            .map(|(name, value)| (name.into(), value.clone()))
            .collect()
    }
}
