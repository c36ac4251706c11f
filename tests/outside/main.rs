//! Tests from outside: the real binary as a separate process, over TLS, attacked as the threat model describes. Test
//! names contain the ids of that model; docs/threat-model.md lists them. A failure means that a stranger, a client or
//! an upstream can do something that the model says they cannot.

#[cfg(test)]
mod accepting;
#[cfg(test)]
mod aliases;
mod api_keys;
mod approval;
#[cfg(test)]
mod authorize;
#[cfg(test)]
mod bearer;
#[cfg(test)]
mod behind_proxies;
#[cfg(test)]
mod below_a_path;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod diagnosis;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod early_answers;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod emergency;
#[cfg(test)]
mod expect;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod http2;
mod http2_bodies;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod known_tools;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod life;
#[cfg(test)]
mod load;
#[cfg(test)]
mod login;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod many_tokens;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod presets;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod publishers;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod recipes;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reloads;
#[cfg(test)]
mod resumption;
#[cfg(test)]
mod rmcp;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod step_up;
#[cfg(test)]
mod streams;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod two_ports;
#[cfg(test)]
mod unknown_server;
