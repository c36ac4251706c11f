//! Seals: a CRC-32 over the fields of each record, so that a flipped bit in the file is an error and not a different
//! scope, owner or end (ST-03). SQLite itself keeps no checksums of its pages. A seal guards against accidents, not
//! against somebody who can write the file.

use super::seal_fields::Fields;
use super::words::{annotations_number, origin_word, step_word};
use crate::mcp::ToolDefinition;
use crate::oauth::{
    AccessTokenRecord, AccountId, Client, CodeRecord, Exclusions, Grant, GrantId, GroupName, TenantId, Timestamp,
    TokenHash,
};
use crate::policy::QuotaUse;
use crate::store::catalogue_store::ToolRecord;
use crate::store::{
    Account, AccountStatus, Consent, ConsentKey, EndedActing, Ephemeral, LoginSession, MadeByTable, Quota, Result,
    SetupLink, Source, StoreError, TableMark,
};

/// A record that carries a seal.
pub(super) trait Sealed {
    /// Returns the seal over every field that affects a decision; counters and times of last use are left out.
    fn seal(&self) -> u32;
}

/// Returns the record if the stored seal matches it.
pub(super) fn opened<T: Sealed>(record: T, stored: u64, what: &str) -> Result<T> {
    if u64::from(record.seal()) == stored {
        Ok(record)
    } else {
        Err(StoreError::Corrupt(format!("{what} does not match its seal")))
    }
}

/// A client with its metadata as stored in the row.
pub(super) struct StoredClient<'c>(pub(super) &'c Client, pub(super) &'c str);

impl Sealed for StoredClient<'_> {
    fn seal(&self) -> u32 {
        let Self(client, metadata) = self;
        let fields = Fields::of("client")
            .text(client.tenant.as_str())
            .text(client.id.as_str())
            .text(origin_word(client.origin))
            .text(metadata)
            .optional(client.resource.as_ref().map(|r| r.as_str().as_bytes()))
            .number(client.disabled.into())
            .at(client.created_at);
        // `None` adds nothing, so that rows sealed before the age was stored keep their seal.
        let fields = match client.document {
            Some(age) => fields.at(age.fetched_at).at(age.fresh_until).source(age.source),
            None => fields,
        };
        let fields = fields.lifetimes(&client.lifetimes);
        let fields = fields.decision(client.decision.as_deref());
        client.secrets.iter().fold(fields, |f, s| f.bytes(s.hash.as_bytes()).optional_at(s.until)).finish()
    }
}

impl Sealed for Account {
    fn seal(&self) -> u32 {
        Fields::of("account")
            .text(self.tenant.as_str())
            .subject(&self.subject)
            .text(self.name.as_str())
            .optional(self.password.as_deref().map(str::as_bytes))
            .number((self.status == AccountStatus::Disabled).into())
            .at(self.created_at)
            .optional_at(self.password_set_at)
            .finish()
    }
}

impl Sealed for SetupLink {
    fn seal(&self) -> u32 {
        let fields = Fields::of("setup_link")
            .bytes(self.hash.as_bytes())
            .text(self.tenant.as_str())
            .text(self.subject.as_str())
            .at(self.expires_at);
        // An unknown time adds nothing, so that rows sealed before it was stored keep their seal.
        match self.made_at {
            Some(at) => fields.at(at),
            None => fields,
        }
        .finish()
    }
}

impl Sealed for LoginSession {
    fn seal(&self) -> u32 {
        Fields::of("login_session")
            .bytes(self.hash.as_bytes())
            .text(self.tenant.as_str())
            .text(self.subject.as_str())
            .at(self.authenticated_at)
            .at(self.idle_until)
            .at(Timestamp::default().plus(self.idle))
            .at(self.expires_at)
            .finish()
    }
}

impl Sealed for Ephemeral {
    fn seal(&self) -> u32 {
        let fields = Fields::of(self.key.kind.as_str())
            .bytes(self.key.hash.as_bytes())
            .bytes(self.browser.as_ref().map_or(&[], |browser| browser.as_bytes().as_slice()))
            .text(self.key.tenant.as_str())
            .optional(self.client.as_ref().map(|c| c.as_str().as_bytes()))
            .optional(self.body.as_deref().map(str::as_bytes))
            .text(step_word(self.step))
            .optional(self.session.as_ref().map(|s| s.as_bytes().as_slice()))
            .at(self.created_at)
            .at(self.expires_at);
        // An unknown source adds nothing, so that rows sealed before it was stored keep their seal. The host is left
        // out, because it affects only the share of room.
        if self.source == Source::UNKNOWN { fields } else { fields.text(&self.source.site.to_string()) }.finish()
    }
}

impl Sealed for Consent {
    fn seal(&self) -> u32 {
        Fields::of("consent")
            .text(self.key.tenant.as_str())
            .text(self.key.subject.as_str())
            .text(self.key.client.as_str())
            .text(self.key.resource.as_str())
            .text(&self.scopes.to_string())
            .bytes(self.client_fingerprint.as_bytes())
            .at(self.given_at)
            .at(self.expires_at)
            .exclusions(&self.exclusions)
            .finish()
    }
}

/// What a user left out for a client.
pub(super) struct RememberedExclusions {
    pub(super) key: ConsentKey,
    pub(super) exclusions: Exclusions,
}

impl Sealed for RememberedExclusions {
    fn seal(&self) -> u32 {
        Fields::of("left_out")
            .text(self.key.tenant.as_str())
            .text(self.key.subject.as_str())
            .text(self.key.client.as_str())
            .text(self.key.resource.as_str())
            .exclusions(&self.exclusions)
            .finish()
    }
}

impl Sealed for Grant {
    fn seal(&self) -> u32 {
        Fields::of("grants")
            .bytes(&self.id.0)
            .text(self.tenant.as_str())
            .text(self.client.as_str())
            .subject(&self.subject)
            .text(self.resource.as_str())
            .text(&self.scopes.to_string())
            .at(self.authenticated_at)
            .at(self.created_at)
            .at(self.expires_at)
            .at(self.idle_until)
            .number(self.may_refresh.into())
            .number(self.generation.into())
            .at(self.rotated_at)
            .optional_at(self.revoked_at)
            .first_use(self.first_use)
            .at_if(self.retried_at)
            .exclusions(&self.exclusions)
            .consented(self.consented_at)
            .key(self.key.as_deref())
            .by_assertion(self.by_assertion)
            .acting(self.acting)
            .signed_in_from(self.signed_in_from.as_deref())
            .workload(self.workload.as_deref())
            .finish()
    }
}

impl Sealed for CodeRecord {
    fn seal(&self) -> u32 {
        Fields::of("code")
            .bytes(self.hash.as_bytes())
            .text(self.tenant.as_str())
            .bytes(&self.grant.0)
            .text(self.client.as_str())
            .text(self.subject.as_str())
            .text(self.redirect.as_str())
            .number(self.redirect_was_sent.into())
            .optional(self.challenge.as_ref().map(|c| c.as_str().as_bytes()))
            .text(self.resource.as_str())
            .text(&self.scopes.to_string())
            .at(self.authenticated_at)
            .at(self.issued_at)
            .at(self.expires_at)
            .optional_at(self.used_at)
            .number(self.failures.into())
            .exclusions(&self.exclusions)
            .consented(self.consented_at)
            .signed_in_from(self.signed_in_from.as_deref())
            .finish()
    }
}

impl Sealed for AccessTokenRecord {
    fn seal(&self) -> u32 {
        Fields::of("access_token")
            .bytes(self.hash.as_bytes())
            .text(self.tenant.as_str())
            .bytes(&self.grant.0)
            .text(self.client.as_str())
            .subject(&self.subject)
            .text(self.resource.as_str())
            .text(&self.scopes.to_string())
            .at(self.issued_at)
            .at(self.expires_at)
            .generation(self.generation)
            .exclusions(&self.exclusions)
            .consented(self.consented_at)
            .acting(self.acting)
            .addresses(&self.addresses)
            .finish()
    }
}

/// An account's membership of a group.
pub(super) struct GroupMember {
    pub(super) tenant: TenantId,
    pub(super) subject: AccountId,
    pub(super) group: GroupName,
}

impl Sealed for GroupMember {
    fn seal(&self) -> u32 {
        let fields = Fields::of("group_member").text(self.tenant.as_str());
        fields.text(self.subject.as_str()).text(self.group.as_str()).finish()
    }
}

/// The mark of what a table of the configuration file has made.
pub(super) struct MarkRow {
    pub(super) tenant: TenantId,
    pub(super) mark: TableMark,
}

impl Sealed for MarkRow {
    fn seal(&self) -> u32 {
        let fields = Fields::of("table_mark").text(self.tenant.as_str()).text(&self.mark.id);
        match &self.mark.made {
            MadeByTable::Account(subject) => fields.text("account").text(subject.as_str()),
            MadeByTable::Client(id) => fields.text("client").text(id.as_str()),
        }
        .finish()
    }
}

/// A tool of an upstream.
pub(super) struct StoredTool<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) upstream: &'a str,
    pub(super) tool: &'a ToolRecord,
}

impl Sealed for StoredTool<'_> {
    fn seal(&self) -> u32 {
        let hash = |definition: &Option<ToolDefinition>| definition.as_ref().map(|d| d.hash().to_vec());
        Fields::of("tool")
            .text(self.tenant.as_str())
            .text(self.upstream)
            .text(&self.tool.name)
            .number(annotations_number(self.tool.said.last).into())
            .number(annotations_number(self.tool.said.most_dangerous).into())
            .optional(hash(&self.tool.listed).as_deref())
            .optional(hash(&self.tool.pinned).as_deref())
            .at_if(self.tool.said.milder_since)
            .finish()
    }
}

/// When the tools of an upstream were listed and pinned, and what else it listed.
pub(super) struct CatalogueRow<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) upstream: &'a str,
    pub(super) listed_at: Option<Timestamp>,
    pub(super) pinned_at: Option<Timestamp>,
    /// As the row holds them.
    pub(super) names: Option<&'a str>,
}

impl Sealed for CatalogueRow<'_> {
    fn seal(&self) -> u32 {
        let fields = Fields::of("catalogue").text(self.tenant.as_str()).text(self.upstream);
        let fields = fields.optional_at(self.listed_at).optional_at(self.pinned_at);
        // `None` adds nothing, so that rows sealed before names were stored keep their seal.
        let fields = if let Some(names) = self.names { fields.text(names) } else { fields };
        fields.finish()
    }
}

/// A count of uses.
pub(super) struct StoredUse<'a> {
    pub(super) quota: &'a Quota,
    pub(super) counted: &'a QuotaUse,
}

impl Sealed for StoredUse<'_> {
    fn seal(&self) -> u32 {
        let Self { quota, counted } = self;
        Fields::of("quota")
            .text(quota.tenant.as_str())
            .text(&quota.upstream)
            .text(&quota.limit)
            .at(counted.day)
            .text(&counted.holder.to_stored())
            .number(counted.used)
            .finish()
    }
}

/// An access token issued with a lost answer.
pub(super) struct VoidToken {
    pub(super) hash: TokenHash,
    pub(super) tenant: TenantId,
    pub(super) grant: GrantId,
    pub(super) expires_at: Timestamp,
}

impl Sealed for VoidToken {
    fn seal(&self) -> u32 {
        Fields::of("void_token")
            .bytes(self.hash.as_bytes())
            .text(self.tenant.as_str())
            .bytes(&self.grant.0)
            .at(self.expires_at)
            .finish()
    }
}

impl Sealed for EndedActing {
    fn seal(&self) -> u32 {
        let fields = Fields::of("ended_acting").text(self.tenant.as_str()).text(self.subject.as_str());
        fields.text(self.client.as_str()).at(self.at).finish()
    }
}
