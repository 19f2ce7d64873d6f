//! Libraries: loading them, and what they offer as plain async Rust traits.
//!
//! Only this folder sees the types that cross. Whatever is above works with the traits of
//! [`capability`] and cannot tell a library from a linked-in plugin.
//!
//! A library on its way in: `image.rs` reads and opens the file, `elf.rs` and `compat.rs` say
//! whether it may be opened, `loader.rs` makes instances of it, `catalog.rs` says whether what
//! they offer fits together. A call on its way out: `adapter/` turns the plain traits into what
//! crosses, `bridge/` is what the plugin may call in turn.

mod adapter;
mod breaker;
mod bridge;
pub(crate) mod capability;
mod catalog;
mod compat;
mod elf;
mod error;
mod image;
mod instance;
mod linked;
mod loader;
mod names;
mod proxies;
pub(crate) mod request;
pub(crate) mod routes;
mod sealed;
mod settings;
mod telemetry;
mod watchdog;

#[cfg(test)]
mod tests;

pub(crate) use self::bridge::HostApiSlot;
pub(crate) use self::error::{LoadError, LoadErrors, in_one_line};
pub(crate) use self::instance::{Instance, SWITCHED_OFF, shutdown_all, start_all};
pub(crate) use self::linked::LinkedPlugin;
pub(crate) use self::loader::{HostParts, Loaded, load};
pub(crate) use self::proxies::Proxies;
