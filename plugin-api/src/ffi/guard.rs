//! Containment: a panic becomes an error value on the side where it happened.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use super::abi::{AbiError, AbiFuture, AbiResult};
use super::{convert, telemetry};
use crate::backend::BoxFuture;
use crate::error::{Error, Result};
use crate::runtime;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls, and answers a panic with an error that has its message and place.
#[inline]
pub fn guarded<T>(call: impl FnOnce() -> T) -> Result<T> {
    // One access to the thread's storage, which is a call in a library.
    let caught = DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        let caught = panic::catch_unwind(AssertUnwindSafe(call));
        depth.set(depth.get() - 1);
        caught
    });
    caught.map_err(panicked)
}

#[cold]
fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let told = LAST.take();
    let message = told.unwrap_or_else(|| payload_text(payload.as_ref()).to_owned());
    // The payload is the author's value: even its drop may panic.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        #[expect(
            clippy::mem_forget,
            reason = "a value whose drop panics twice is better leaked"
        )]
        std::mem::forget(second);
    }
    Error::new(Error::PANIC, message).with_retryable(false)
}

/// Keeps what panics off the standard error. Under [`guarded`] it is told in the error; elsewhere,
/// as in a task that the plugin has spawned, it is logged.
pub fn install_panic_hook(plugin: &'static str) {
    static INSTALLED: Once = Once::new();
    #[expect(
        clippy::print_stderr,
        reason = "the process may end before anything is logged"
    )]
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_guarded = DEPTH.get() > 0;
            if !is_guarded && !telemetry::is_bridged() {
                return previous(info);
            }
            let place = info.location().map_or_else(String::new, |place| {
                format!(" at {}:{}:{}", place.file(), place.line(), place.column())
            });
            let text = payload_text(info.payload());
            if is_guarded {
                let told = format!("panicked{place}: {text}");
                if let Some(first) = LAST.replace(Some(told)) {
                    // One that leaves a drop while another unwinds ends the process, and nobody
                    // reads the error any more.
                    eprintln!("the plugin {plugin} {first}");
                    previous(info);
                }
            } else {
                tracing::error!(plugin, "a task of the plugin panicked{place}: {text}");
            }
        }));
    });
}

/// Turns a future of the author's into one that may cross.
pub fn future<T, U>(
    future: BoxFuture<'static, Result<T>>,
    convert: impl Fn(T) -> Result<U> + Send + Unpin + 'static,
) -> AbiFuture<AbiResult<U>>
where
    T: 'static,
    U: 'static,
{
    AbiFuture::new(Guarded {
        inner: Some(future),
        convert,
    })
}

/// Calls and converts, for what crosses at once.
pub fn call<T>(call: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    match guarded(call).and_then(|result| result) {
        Ok(value) => AbiResult::ROk(value),
        Err(error) => AbiResult::RErr(convert::error_to_abi(error)),
    }
}

/// A value of the author's whose drop may panic.
pub struct Safe<T>(ManuallyDrop<T>);

impl<T> Safe<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T> Deref for Safe<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Safe<T> {
    /// The value, for changing it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Safe<T> {
    #[expect(unsafe_code, reason = "the value is dropped by hand, under a guard")]
    fn drop(&mut self) {
        let value = &mut self.0;
        // SAFETY: this is the drop of the owner, after which nobody can see the value.
        let dropped = guarded(|| runtime::entered(|| unsafe { ManuallyDrop::drop(value) }));
        if let Err(error) = dropped {
            tracing::error!(error = error.message(), "a drop in a plugin panicked");
        }
    }
}

/// A future that is polled and dropped under a guard, with the image's runtime at hand.
struct Guarded<T, C> {
    inner: Option<BoxFuture<'static, Result<T>>>,
    convert: C,
}

impl<T, U, C> Future for Guarded<T, C>
where
    C: Fn(T) -> Result<U> + Unpin,
{
    type Output = AbiResult<U>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(AbiResult::RErr(polled_after_end()));
        };
        let polled = guarded(|| runtime::entered(|| inner.as_mut().poll(context)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(panic) => Err(panic),
        };
        let ended = self.inner.take();
        let dropped = guarded(|| runtime::entered(|| drop(ended)));
        let value = result.and_then(|value| guarded(|| (self.convert)(value))?);
        Poll::Ready(match (value, dropped) {
            (Ok(value), Ok(())) => AbiResult::ROk(value),
            (Err(error), _) | (Ok(_), Err(error)) => AbiResult::RErr(convert::error_to_abi(error)),
        })
    }
}

impl<T, C> Drop for Guarded<T, C> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else {
            return;
        };
        if let Err(error) = guarded(|| runtime::entered(|| drop(inner))) {
            tracing::error!(error = error.message(), "a drop in a plugin panicked");
        }
    }
}

fn polled_after_end() -> AbiError {
    convert::error_to_abi(Error::internal("polled after it had ended"))
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_message_and_place() {
        install_panic_hook("guard");
        let error = guarded(|| panic!("the shelf is empty")).unwrap_err();
        assert!(error.is_panic());
        assert!(error.message().contains("guard.rs"), "{error}");
        assert!(error.message().ends_with("the shelf is empty"), "{error}");
    }

    #[test]
    fn a_payload_whose_drop_panics_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        install_panic_hook("guard");
        let error = guarded(|| panic::panic_any(Bomb)).unwrap_err();
        assert!(error.is_panic());
    }

    #[test]
    fn a_drop_that_panics_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        install_panic_hook("guard");
        drop(Safe::new(Bomb));
    }
}
