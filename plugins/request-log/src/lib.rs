//! Structured log entries for requests, runs, steps, model and tool calls.
