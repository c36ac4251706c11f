//! Definitions of tools: what a model is told of a tool, how two definitions differ, text in them that is aimed at a
//! model rather than at a person; and the resources that tools name.

mod definition;
mod difference;
mod suspicion;
mod ui;

pub use definition::ToolDefinition;
pub use difference::{Difference, differences, in_words};
pub use suspicion::suspicions;
pub use ui::{is_ui, ui_resources, ui_resources_as_sent};
