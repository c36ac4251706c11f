//! The mirror of `[[upstream.rule]]` in gateway.toml.

use toml::de::DeValue;

use super::problem::Setting;
use super::table::{Section, table};
use super::value::{Readable, words};
use crate::policy::{Annotation, ArgumentNumber, Scalar};

/// A rule with the conditions on arguments below it.
#[derive(Debug)]
pub(super) struct WrittenRule {
    pub(super) rule: Rule,
    pub(super) arguments: Vec<Argument>,
}

impl WrittenRule {
    /// Reads the rules of an upstream; `None` only when a default is declared wrongly.
    pub(super) fn all(upstream: &mut Section<'_, '_>) -> Option<Vec<Self>> {
        let mut rules = Vec::new();
        for mut section in upstream.tables("rule") {
            rules.push(Self::read(&mut section)?);
            section.finish();
        }
        Some(rules)
    }

    /// Reads a rule; `None` only when a default is declared wrongly.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let mut arguments = Vec::new();
        for mut argument in section.tables("arguments") {
            arguments.push(Argument::read(&mut argument)?);
            argument.finish();
        }
        Some(Self { rule: Rule::read(section)?, arguments })
    }

    /// Returns a key to which a fault of the rule as a whole is tied.
    pub(super) fn place(&self) -> Option<&Setting<EffectWord>> {
        self.rule.effect.as_ref()
    }
}

table! {
    /// A rule of the upstream above, which narrows what scopes open: a request passes if a scope of its token opens it,
    /// no deny rule matches it, and, where the upstream has allow rules, one of these matches. Their order means
    /// nothing. A rule matches where each of its lists does that is not empty. `docs/rules.md` explains them. The
    /// handshake, notifications and answers are never refused by rules.
    Rule at "upstream.rule" repeated {
        /// What the rule does with what it matches.
        effect: EffectWord = required;
        /// Operations, each written as in `allow` of a scope; by default any. A deny rule also matches paths and URIs
        /// that are written otherwise (case, percent-encoding, parameters).
        operations: Vec<String> = [];
        /// Calls of tools that say one of these of themselves; a tool of which nothing is known counts as destructive,
        /// dealing with an open world, and not read-only.
        annotations: Vec<Annotation> = [];
        /// Client ids, exactly.
        clients: Vec<String> = [];
        /// How the client became known: `manual` by an operator, `registered` by itself, or by a `metadata_document`.
        client_kinds: Vec<ClientKind> = [];
        /// Login names of accounts.
        users: Vec<String> = [];
        /// Groups that the user is in.
        groups: Vec<String> = [];
        /// Scopes that the token has, itself or by inclusion.
        scopes: Vec<String> = [];
        /// What the rule is for. The access log has it, and callers whom the rule refuses only certain arguments, or
        /// something that is in no list, are told it.
        reason: String = "";
    }
}

table! {
    /// A condition on an argument of the call of a tool or prompt; a rule with several matches where all hold. A deny
    /// rule also matches where a condition cannot be judged: half of a surrogate pair in the string, or a message of
    /// more than 256 KiB.
    Argument at "upstream.rule.arguments" repeated {
        /// Where the argument is: a JSON pointer (RFC 6901) such as `/path` or `/items/0/amount`.
        pointer: String = required;
        /// It is this string, number or boolean.
        equals: Scalar = none;
        /// It is one of these.
        one_of: Vec<Scalar> = none;
        /// It is a string like this, where `*` is any characters.
        pattern: String = none;
        /// It is a number, at least this.
        min: ArgumentNumber = none;
        /// It is a number, at most this.
        max: ArgumentNumber = none;
        /// `true`: it is there, whatever it is.
        present: bool = false;
        /// `true`: it is not there.
        absent: bool = false;
    }
}

words! {
    /// What a rule does.
    EffectWord {
        /// Where there are such rules, one must match.
        Allow = "allow",
        /// What matches is refused.
        Deny = "deny",
    }
}

words! {
    /// How a client became known.
    ClientKind {
        /// An operator added it.
        Manual = "manual",
        /// It registered itself.
        Registered = "registered",
        /// A metadata document describes it.
        MetadataDocument = "metadata_document",
    }
}

impl Readable for Annotation {
    fn kind() -> String {
        "one of `\"readOnly\"`, `\"destructive\"`, `\"openWorld\"`".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().and_then(Self::parse)
    }
}

impl Readable for ArgumentNumber {
    fn kind() -> String {
        "a number".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        if let Some(whole) = value.as_integer() {
            return i64::from_str_radix(whole.as_str(), whole.radix()).ok().map(Self::whole);
        }
        value.as_float().and_then(|near| near.as_str().parse().ok()).and_then(Self::near)
    }
}

impl Readable for Scalar {
    fn kind() -> String {
        "a string, a number, or true or false".into()
    }
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_str().map(|text| Self::Text(text.to_owned()));
        text.or_else(|| value.as_bool().map(Self::Flag)).or_else(|| ArgumentNumber::read(value).map(Self::Number))
    }
}
