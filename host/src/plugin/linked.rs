//! Plugins that are linked into the program: the very same path, without a library.

use std::sync::Arc;

use mortise_plugin_abi::stable::RString;
use mortise_plugin_abi::{AbiResult, CreateRequest, PluginObject};
use mortise_plugin_api::Plugin;
use mortise_plugin_api::ffi::{self, Manifest};
use serde_json::Value;

use super::image::Image;

/// An instance of a plugin that is part of this program.
#[derive(Debug)]
pub(crate) struct LinkedPlugin {
    pub(super) name: String,
    pub(super) config: Value,
    pub(super) code: Code,
}

/// The functions of a plugin, wherever they are from.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) manifest: Arc<Manifest>,
    pub(super) config_schema: extern "C" fn() -> RString,
    pub(super) create: extern "C" fn(CreateRequest) -> AbiResult<PluginObject>,
    /// Where they are mapped; `None` for those of this program.
    pub(super) image: Option<Arc<Image>>,
}

// === impl LinkedPlugin ===

impl LinkedPlugin {
    /// An instance of `P` under this name, with this configuration.
    pub(crate) fn of<P: Plugin>(name: impl Into<String>, config: Value) -> Self {
        Self {
            name: name.into(),
            config,
            code: Code {
                manifest: Arc::new(Manifest::of::<P>()),
                config_schema: ffi::config_schema::<P>,
                create: ffi::create::<P>,
                image: None,
            },
        }
    }
}

// === impl Code ===

impl Code {
    pub(super) fn of_image(image: Arc<Image>) -> Self {
        Self {
            manifest: Arc::clone(&image.manifest),
            config_schema: image.module.config_schema(),
            create: image.module.create(),
            image: Some(image),
        }
    }
}
