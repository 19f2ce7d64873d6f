//! Futures of the host that plugins poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use mortise_plugin_abi::{AbiFuture, AbiResult};
use mortise_plugin_api::ffi::{convert, guard};
use mortise_plugin_api::{Error, Result};
use tokio::runtime::Handle;

use crate::plugin::capability::BoxFuture;

/// A future that is polled and dropped under a guard, with the host's runtime at hand.
struct OnHost<T> {
    /// `None` once it is over.
    inner: Option<BoxFuture<'static, T>>,
    runtime: Handle,
    on_panic: fn(Error) -> T,
}

/// Calls with the host's runtime at hand, also on a thread of a plugin.
pub(super) fn entered<T>(runtime: &Handle, call: impl FnOnce() -> T) -> T {
    if Handle::try_current().is_ok() {
        return call();
    }
    let _entered = runtime.enter();
    call()
}

/// A future whose result crosses.
pub(super) fn answer<T: 'static>(
    runtime: &Handle,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> AbiFuture<AbiResult<T>> {
    let inner = async move {
        match future.await {
            Ok(value) => AbiResult::ROk(value),
            Err(error) => failed(error),
        }
    };
    AbiFuture::new(OnHost {
        inner: Some(Box::pin(inner)),
        runtime: runtime.clone(),
        on_panic: failed,
    })
}

/// A future that only comes to pass.
pub(super) fn moment(
    runtime: &Handle,
    future: impl Future<Output = ()> + Send + 'static,
) -> AbiFuture<()> {
    AbiFuture::new(OnHost {
        inner: Some(Box::pin(future)),
        runtime: runtime.clone(),
        on_panic: log_panic,
    })
}

fn failed<T>(error: Error) -> AbiResult<T> {
    AbiResult::RErr(convert::error_to_abi(not_its_own(error)))
}

/// A panic elsewhere, as the plugin at hand sees it. It will often hand the error on, and must
/// not be taken for the one that panicked.
pub(super) fn not_its_own(error: Error) -> Error {
    if error.is_panic() {
        Error::internal(error.message())
    } else {
        error
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the type of `on_panic`")]
fn log_panic(error: Error) {
    tracing::error!(
        "the server panicked in a plugin's call: {}",
        error.message()
    );
}

// === impl OnHost ===

impl<T> Future for OnHost<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            let error = Error::internal("polled after it had ended");
            return Poll::Ready((this.on_panic)(error));
        };
        let polled = guard::guarded(|| entered(&this.runtime, || inner.as_mut().poll(context)));
        let value = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => value,
            Err(panic) => (this.on_panic)(panic),
        };
        this.drop_inner();
        Poll::Ready(value)
    }
}

impl<T> OnHost<T> {
    fn drop_inner(&mut self) {
        if let Some(inner) = self.inner.take()
            && let Err(error) = guard::guarded(|| entered(&self.runtime, || drop(inner)))
        {
            log_panic(error);
        }
    }
}

impl<T> Drop for OnHost<T> {
    fn drop(&mut self) {
        self.drop_inner();
    }
}
