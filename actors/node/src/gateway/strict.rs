//! Parameters that a method does not have are refused: a misspelt one would be ignored, and its caller get an answer to
//! another question.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::{ErrorObjectOwned, Request};
use serde::de::IgnoredAny;
use tower::Layer;
use zklink_client::error::{code, error};
use zklink_client::parameters::parameters_of;

use crate::config::nearest;

/// Puts the check in front of the methods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strict;

impl<S> Layer<S> for Strict {
    type Service = StrictService<S>;

    fn layer(&self, inner: S) -> StrictService<S> {
        StrictService { inner }
    }
}

/// Methods behind the check.
#[derive(Clone)]
pub(super) struct StrictService<S> {
    inner: S,
}

/// What is wrong with the parameters of a call, beside what the method itself finds.
fn check(request: &Request<'_>) -> Result<(), ErrorObjectOwned> {
    let (method, Some(known)) = (&*request.method, parameters_of(&request.method)) else {
        return Ok(());
    };
    let Some(given) = request.params.as_ref().map(|params| params.get()) else { return Ok(()) };
    let hint = || match known {
        [] => format!("{method} takes no parameters"),
        known => format!("the parameters of {method} are {}", known.join(", ")),
    };
    if let Ok(named) = serde_json::from_str::<BTreeMap<Cow<'_, str>, IgnoredAny>>(given) {
        let Some(unknown) = named.keys().find(|name| !known.contains(&&***name)) else {
            return Ok(());
        };
        let near = nearest(unknown, known).map(|near| format!(": did you mean {near:?}?"));
        // The name is a stranger's, of any length.
        let unknown: String = unknown.chars().take(40).collect();
        let text = format!("there is no parameter {unknown:?}{}", near.unwrap_or_default());
        return Err(error(code::PARAMS, text, hint()));
    }
    match serde_json::from_str::<Vec<IgnoredAny>>(given) {
        Ok(listed) if listed.len() > known.len() => {
            let text = format!("{} parameters are too many", listed.len());
            Err(error(code::PARAMS, text, hint()))
        }
        _ => Ok(()),
    }
}

impl<S> RpcServiceT for StrictService<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + Clone
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let inner = self.inner.clone();
        async move {
            match check(&request) {
                Ok(()) => inner.call(request).await,
                Err(error) => MethodResponse::error(request.id, error),
            }
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let checked = |entry| match entry {
            Ok(BatchEntry::Call(call)) => match check(&call) {
                Ok(()) => Ok(BatchEntry::Call(call)),
                Err(error) => Err(BatchEntryErr::new(call.id, error)),
            },
            other => other,
        };
        self.inner.batch(Batch::from(batch.into_iter().map(checked).collect()))
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
