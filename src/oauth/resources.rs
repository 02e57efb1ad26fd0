//! The one or several resources that a layer guards.

use std::sync::Arc;

use crate::oauth::ResolveResource;

/// One resource, or several of which each request is for one.
#[derive(Clone)]
pub(crate) enum Resources<T> {
    /// One resource, with what a layer prepares for it.
    One(T),
    /// Several resources. The resolver picks one by the request.
    ByRequest(Arc<dyn ResolveResource>),
}
