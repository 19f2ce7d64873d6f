//! Libraries: loading them, and what they offer as plain async Rust traits.
//!
//! Only this folder sees the types that cross. Whatever is above works with the traits of
//! [`capability`] and cannot tell a library from a linked-in plugin.

pub(crate) mod capability;
pub(crate) mod request;
