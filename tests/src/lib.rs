//! Tests over HTTP, through real libraries; see `it/`.
