//! Mounts of libraries.

use std::sync::Arc;

use mortise_plugin_abi::MountObject;
use mortise_plugin_api::ffi::convert;
use mortise_plugin_api::{Body, GuardVerdict, MountInfo, Response, Result, RouteError};

use super::kept;
use crate::plugin::bridge;
use crate::plugin::capability::{BoxFuture, MountCapability};
use crate::plugin::error::LoadError;
use crate::plugin::instance::Instance;
use crate::plugin::request::RequestView;

pub(in crate::plugin) struct MountAdapter {
    info: MountInfo,
    object: MountObject,
    instance: Arc<Instance>,
}

// === impl MountAdapter ===

impl MountAdapter {
    pub(in crate::plugin) fn new(
        object: MountObject,
        instance: Arc<Instance>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            info: super::info(instance.name(), "a mount", &object.info())?,
            object,
            instance,
        })
    }
}

impl MountCapability for MountAdapter {
    fn info(&self) -> &MountInfo {
        &self.info
    }

    fn authenticate(&self, request: &Arc<RequestView>) -> BoxFuture<'static, Result<GuardVerdict>> {
        self.instance.call(
            "mount.authenticate",
            || {
                let request = request.shared();
                Ok(self.object.authenticate(request))
            },
            kept::verdict,
        )
    }

    fn render_error(&self, error: &RouteError) -> Result<Response> {
        self.instance.call_now("mount.render_error", || {
            let response = self.object.render_error(convert::to_json(error)?);
            let response = convert::result_from_abi(response)?;
            Ok(kept::response(&self.instance, response))
        })
    }

    fn handle(
        &self,
        endpoint: usize,
        request: &Arc<RequestView>,
        body: Body,
    ) -> BoxFuture<'static, Result<Response>> {
        self.instance.call(
            "mount.handle",
            || {
                let request = request.shared();
                let body = bridge::body_object(body, self.instance.runtime());
                Ok(self.object.handle(endpoint, request, body))
            },
            |instance, response| Ok(kept::response(instance, response)),
        )
    }
}
