//! The recipes of docs/recipes: every request in the documentation of the service that a recipe stands for, literally
//! and in order. The texts in quotes are from there; placeholders in them get values.

mod conexor;
mod curl;
mod mcpify;
mod n8n_bridge;
mod payu;
mod razorpay;
mod rebuild;
mod recipe;
