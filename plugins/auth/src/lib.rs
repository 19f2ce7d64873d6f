//! API keys for Mortise: a guard that knows each key's subject.
