//! What pages of every face are made with: the layout around their content, the fields of their responses, style sheet and
//! logo.
//!
//! What a page says and where its forms lead is for the faces to say, in templates that extend `layout.html`; askama escapes
//! every value, and there is no script. That a form is one of ours is checked by `FormKey` and `is_cross_site` of `web`.
//! Start with `frame.rs` and `respond.rs`.

mod assets;
mod frame;
mod respond;
mod span;

pub use assets::{ASSETS, asset};
pub use frame::Frame;
pub use respond::{FormTarget, respond};
pub use span::in_words;
