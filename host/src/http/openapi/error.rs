//! What makes a plugin's description of its endpoints unusable.

use std::sync::Arc;

use crate::schema::SchemaError;

/// A description that cannot be part of the document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error(
        "what the plugin {instance} says of {place} is no OpenAPI 3.1: {issue}; correct it in the \
         plugin, or leave it out"
    )]
    Invalid {
        instance: Arc<str>,
        /// `GET /path`, or `its components`.
        place: String,
        issue: String,
    },
    #[error("what the plugin {instance} says of {place} holds what is {source}")]
    Schema {
        instance: Arc<str>,
        place: String,
        #[source]
        source: SchemaError,
    },
    #[error(
        "the plugin {instance} describes the path parameter {name:?} of {place}, which has none of \
         that name"
    )]
    Parameter {
        instance: Arc<str>,
        place: String,
        name: String,
    },
    #[error("{first} and {second} both have the operationId {id:?}; give one of them another")]
    OperationId {
        id: String,
        first: String,
        second: String,
    },
    #[error(
        "two mounts of the plugin {instance} describe the component {name:?} differently; give one \
         of them another name"
    )]
    Component { instance: Arc<str>, name: String },
}
