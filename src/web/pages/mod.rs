//! What the pages of every face have in common: layout, response headers, style sheet and logo.
//!
//! The content of a page and the targets of its forms are up to the faces, in templates that extend `layout.html`;
//! askama escapes every value, and there are no scripts. `FormKey` and `is_cross_site` of `web` check that a form is
//! ours. Start with `frame.rs` and `respond.rs`.

mod assets;
mod frame;
mod respond;
mod span;

pub use assets::{ASSETS, asset};
pub use frame::Frame;
pub use respond::{FormTarget, respond};
pub use span::in_words;
