//! Definitions of tools: what a model is told of a tool, how two definitions differ, and text in them that is aimed at
//! a model rather than at a person.

mod definition;
mod difference;
mod suspicion;

pub use definition::ToolDefinition;
pub use difference::{Difference, differences, in_words};
pub use suspicion::suspicions;
