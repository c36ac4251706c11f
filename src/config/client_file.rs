//! The mirror of gateway.toml for clients and accounts that the file describes, for those who rebuild a gateway from
//! files.

use super::file_words::SecretMethod;
use super::table::table;
use crate::oauth::Lifetime;

table! {
    /// A client that the file describes, instead of `mcpgate client add`. A start, a reload and `mcpgate apply` make
    /// what is in the store like it (docs/operations.md, "Clients and accounts as files"): the file wins.
    WrittenClient at "client" repeated {
        /// Its `client_id`: 1 to 64 of `a-z`, `A-Z`, `0-9` and `.-_`, not beginning as the ids that the gateway gives
        /// (`brand` and `_`). A client with the grant `client_credentials` acts under this name, so it is lower case.
        id: String = required;
        /// Its display name; by default the id.
        name: String = none;
        /// Where codes may be sent. One that is removed is refused from then on.
        redirect_uris: Vec<String> = [];
        /// Its secret, as `"${file:PATH}"` or `"${NAME}"`: 32 to 256 printable characters without blanks, such as
        /// those of `openssl rand -hex 32`. Another one replaces it; the replaced one stays valid for
        /// `tokens.secret_overlap`. Without secret and keys the client is public.
        secret: String = none;
        /// How a client with a secret authenticates.
        auth_method: SecretMethod = "client_secret_basic";
        /// Its public keys, as a JSON Web Key Set (`"${file:PATH}"`); it then authenticates by `private_key_jwt`.
        jwks: String = none;
        /// The https URL where it publishes them instead.
        jwks_uri: String = none;
        /// The grant types that it may use.
        grants: Vec<String> = ["authorization_code", "refresh_token"];
        /// The groups for whose members it may get tokens while they are absent (RFC 7523 2.1). It needs keys of its
        /// own.
        may_act_for: Vec<String> = [];
        /// The scopes that it may be granted at most; all by default. A client that gets tokens
        /// without asking a person needs some.
        scopes: Vec<String> = [];
        /// The name of the one upstream that it may use. Another one ends its sessions at the former.
        upstream: String = none;
        /// Lifetime of its access tokens, if it differs from that of all clients: at most `tokens.access_longest`.
        access_lifetime: Lifetime = none, "1m" to "24h";
        /// Lifetime of its refresh tokens unless they are used.
        refresh_idle: Lifetime = none, "1h" to "365d";
        /// Lifetime of its refresh tokens in any case: at most `tokens.refresh_longest`.
        refresh_absolute: Lifetime = none, "1h" to "365d";
        /// Whether it is the server behind the upstream, which asks the gateway about tokens (RFC 7662).
        resource_server: bool = false;
        /// Whether it is disabled. If this is not written, `mcpgate client disable` and `enable` decide.
        disabled: bool = none;
        /// Whether the table may take over a client that it has not made; the id may then be one that the gateway gave.
        adopt: bool = false;
        /// Whether the client is removed, with all access granted to it. A table that is simply gone removes nothing.
        removed: bool = false;
    }
}

table! {
    /// An account that the file describes, instead of `mcpgate user add`.
    WrittenAccount at "account" repeated {
        /// Its subject, by which upstreams and the audit trail know it: 1 to 64 of `a-z`, `A-Z`, `0-9` and `.-_`, not
        /// beginning as the ids that the gateway gives (`user_`, or `brand` and `_`). One that was taken over keeps
        /// the subject that it has.
        id: String = required;
        /// Its login name; by default the id. Another one renames the account.
        name: String = none;
        /// The password that it begins with: its argon2id hash, as the store keeps it, or the password itself as
        /// `"${file:PATH}"` or `"${NAME}"`. It is set when the account is made, and again only by
        /// `mcpgate apply --reset-password`.
        password: String = none;
        /// Groups that it is a member of, as in `[[group]]`.
        groups: Vec<String> = [];
        /// Whether it is disabled. If this is not written, `mcpgate user disable` and `enable` decide.
        disabled: bool = none;
        /// Whether the table may take over an account that it has not made, which has the login name.
        adopt: bool = false;
        /// Whether the account is removed; nobody else can get its login name. A table that is simply gone removes
        /// nothing.
        removed: bool = false;
    }
}
