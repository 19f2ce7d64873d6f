//! Comparison harness.
