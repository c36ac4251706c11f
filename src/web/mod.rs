//! The small HTTP vocabulary of the faces: bodies, replies, cookies, CSRF, CORS, the caller's address, HTTP/2 frames;
//! and what pages are made with (`pages`).
//!
//! It makes no decisions: which path sets which cookie, and which limits apply, is up to the faces. It knows nothing of
//! OAuth. Start with `reply.rs`.

mod body;
mod control_frames;
pub mod cookie;
pub mod cors;
mod csrf;
pub mod frames;
mod go_on;
mod pace;
pub mod pages;
pub mod peer;
pub mod reply;
mod request_body;
mod request_id;

pub use body::{Body, BodyError, detached, read_bounded};
pub use control_frames::ControlFrames;
pub use csrf::{FormKey, is_cross_site};
pub use go_on::GoOn;
pub use pace::{Pace, Paced};
pub use request_body::{BodyListener, LEFT_BYTES, LEFT_TIME, RequestBody};
pub use request_id::{Digits, RequestId};

/// Why a request was refused, in one word for the access log; stored in the response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub &'static str);

/// A response of any face.
pub type Response = http::Response<Body>;
