//! The small HTTP vocabulary of the faces: bodies, replies, cookies, CSRF, CORS, the peer's address, rates.

mod body;

pub use body::{Body, BodyError, read_bounded};

/// A response of any face.
pub type Response = http::Response<Body>;
