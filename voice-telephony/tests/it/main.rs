//! Behaviour of this crate as its users see it; one module a behaviour.

mod signatures;
//mod streams;
//mod webhooks;
