//! A model that answers from a script: no key, no network.
