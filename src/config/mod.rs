//! What the operator has configured: checked, typed, immutable.
//!
//! `Config::load` combines a file and the command line, and returns either a configuration in which every rule holds or
//! all problems at once. Nothing here opens a socket or a store, and nothing is global: `server` passes each part to
//! where it is needed. It uses the types of `oauth`.
//!
//! Start with `file.rs` and `policy_file.rs`, which declare the keys, and `settings.rs` and `policy.rs`, the result.
//! `table.rs` and `value.rs` read a file, `load.rs` combines it with the command line, and the files named after a
//! table contain its rules.

mod accounts;
mod alias;
mod check;
mod client_file;
mod client_rules;
mod clients;
mod data_only;
mod declared;
mod default_file;
mod document;
mod field_name;
mod file;
mod file_trust;
mod file_words;
mod groups;
mod idle_rules;
mod limit_file;
mod limits;
mod listener;
mod listener_file;
mod load;
mod login;
mod overrides;
mod own_listener;
mod policy;
mod policy_file;
mod problem;
mod reference;
mod reload;
mod reserved_path;
mod rule_file;
mod rules;
mod scope_lists;
mod scopes;
mod secret_source;
mod settings;
mod shared_resource;
mod table;
mod table_id;
mod taken_paths;
mod title;
mod tokens;
mod unknown_server;
mod upstream;
mod upstream_file;
mod upstream_headers;
mod value;
mod warnings;
mod well_known;
mod workload;
mod workload_file;
mod workload_policy;
mod written_patterns;

pub use declared::{DeclaredAccount, DeclaredClient, FirstPassword, RecordTable, Wish};
pub use default_file::{FILE_VARIABLE, SYSTEM_FILE, file_of_environment, file_of_system, roots_of_environment};
pub use overrides::Overrides;
pub use policy::{
    AuditPolicy, Limits, LogConfig, LoginPolicy, Logo, LogoKind, MetadataDocumentConfig, MetadataDocumentMode,
    OutboundConfig, PageLinks, Rates, RegistrationConfig, Timeouts, TokenPolicy, WhoRegisters,
};
pub use problem::Problem;
pub use reference::{keys, reference};
pub use settings::{
    Config, Listener, MinimumKeyBits, OwnListener, PathAlias, PinMode, ScopeConfig, StaticAnswer, TlsConfig,
    UpstreamConfig, UpstreamKind, WrittenPattern,
};
pub use value::duration;
pub use workload_policy::{IssuerKeys, KeyPlace, WorkloadConfig};
