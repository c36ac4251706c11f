//! The serde mirror of gateway.toml; unknown keys refused.
