//! Clients about which an operator decides (`registration.mode = "approval"`): how one stands, who wants one that is
//! not decided about, and how operators are told.

use crate::config::WhoRegisters;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::limits::throttle::source_of;
use crate::issuer::policy::Policy;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AuthenticatedClient, Client, ClientStanding, Digest, GrantType, Lifetime, OAuthError, Rule, SeenClient, TenantId,
};
use crate::store::{
    AuditEvent, AuditRow, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, Insertion,
    LoginSession,
};

/// How many clients may be listed as waiting. Those that people want and those that ask for themselves are counted
/// apart, so that nobody without an account takes the room of somebody who has one. A sign-in that still waits lists
/// its client again if it was removed from a full list.
const WAITING: EphemeralLimits = EphemeralLimits { of_host: 20, of_site: 80, of_session: 20, in_all: 500 };

/// How long a client is listed after somebody wanted it. It is kept for as long, even if it was never used.
const LISTED: Lifetime = Lifetime::from_secs(7 * 24 * 3600);

/// Who wants a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::issuer) enum WantedBy {
    /// A person, to sign in with it.
    Person,
    /// The client, to act for itself.
    Itself,
}

impl Policy {
    /// Returns whether a client may be used, as far as an operator decides about each.
    pub(in crate::issuer) fn standing(&self, client: &Client) -> ClientStanding {
        if self.config.registration.who == WhoRegisters::Approved {
            client.standing()
        } else {
            ClientStanding::Approved
        }
    }
}

impl IssuerRequest<'_> {
    /// Lists a client as waiting: the person of a session wants it, or it asks for itself. Tells operators, unless it
    /// is listed already.
    pub(in crate::issuer) async fn list_as_waiting(
        &self,
        client: &Client,
        session: Option<&LoginSession>,
    ) -> Result<(), StoreFailed> {
        let by = if session.is_some() { WantedBy::Person } else { WantedBy::Itself };
        let (key, now) = (request_key(&self.tenant, client, by), self.now());
        if self.services.store.find_ephemeral(&key, now).await.or_unavailable(self).await?.is_some() {
            return Ok(());
        }
        let request = Ephemeral {
            key,
            browser: None,
            client: Some(client.id.clone()),
            body: session.map(|session| session.subject.as_str().to_owned()),
            step: EphemeralStep::Consent,
            session: session.map(|session| session.hash),
            source: source_of(self.caller),
            created_at: now,
            expires_at: now.plus(LISTED),
        };
        match self.services.store.put_ephemeral(request, WAITING).await.or_unavailable(self).await? {
            Insertion::Inserted => self.tell_operators(client, session).await,
            Insertion::Exists | Insertion::Full | Insertion::Same => {}
        }
        Ok(())
    }

    async fn tell_operators(&self, client: &Client, session: Option<&LoginSession>) {
        let row = match session {
            Some(session) => self.audit_by(&session.subject, AuditEvent::ClientWaits),
            None => self.audit(AuditEvent::ClientWaits),
        };
        let Some(row) = self.admit_row(AuditRow { client: Some(client.id.clone()), ..row }) else { return };
        let uris: Vec<_> = client.metadata.redirect_uris.texts().collect();
        let subject = session.map(|session| session.subject.as_str()).unwrap_or_default();
        tracing::warn!(
            client = client.id.as_str(),
            name = client.metadata.client_name.as_deref().unwrap_or_default(),
            redirect_uris = uris.join(" "),
            subject,
            approve = decision_command("approve", client),
            reject = decision_command("reject", client),
            "an application waits for approval"
        );
        self.append(row).await;
    }

    /// Refuses a token request of a client that may not be used, unless a session of it goes on: one that it does not
    /// refresh with keys that nobody has approved.
    pub(in crate::issuer) async fn expect_approval(
        &self,
        client: &AuthenticatedClient,
        by: GrantType,
    ) -> Result<(), TokenRejection> {
        let standing = self.policy.standing(client);
        let decision = client.decision.as_ref().filter(|_| client.by_assertion());
        let has_unseen_keys = || decision.is_some_and(|decision| decision.is_for_other_keys(&client.metadata));
        let words = match standing {
            ClientStanding::Approved => return Ok(()),
            ClientStanding::Undecided | ClientStanding::Rejected
                if by == GrantType::RefreshToken && !has_unseen_keys() =>
            {
                return Ok(());
            }
            ClientStanding::Undecided => "the operator of this server has not approved this client as it is now",
            ClientStanding::Rejected => "the operator of this server has rejected this client",
        };
        if standing == ClientStanding::Undecided {
            self.list_as_waiting(client, None).await?;
        }
        let error = OAuthError::new(Rule::ClientNotApproved, words).came("client_id", client.id.as_str());
        Err(self.refuse_token(AuditEvent::TokenRefused, client, error).await)
    }
}

/// Returns the key by which a client waits, as it is now: once it has changed, it waits anew.
pub(in crate::issuer) fn request_key(tenant: &TenantId, client: &Client, by: WantedBy) -> EphemeralKey {
    let seen = SeenClient::of(&client.metadata);
    let text = format!("{by:?} {} {}", seen.mark(), client.id.as_str());
    EphemeralKey { tenant: tenant.clone(), kind: EphemeralKind::ClientRequest, hash: Digest::of(text.as_bytes()) }
}

/// Returns the command by which an operator decides about a client as it is now.
pub(in crate::issuer) fn decision_command(decision: &str, client: &Client) -> String {
    let mark = SeenClient::of(&client.metadata).mark();
    format!("mcpgate client {decision} {} --hash {mark}", shell_word(client.id.as_str()))
}

/// Quotes a text for a shell. The URL of a document, which its publisher chooses, can contain `$(…)`.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:%@+,=~".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn rg_18_the_url_of_a_document_runs_nothing_in_the_command_that_an_operator_copies() {
        for plain in ["mcp_client_0a", "https://app.example/client.json", "https://app.example:8443/a%20b/~c"] {
            assert_eq!(shell_word(plain), plain);
        }
        for (url, quoted) in [
            ("https://evil.example/$(reboot)", "'https://evil.example/$(reboot)'"),
            ("https://evil.example/a;reboot", "'https://evil.example/a;reboot'"),
            ("https://evil.example/'&reboot&'", r"'https://evil.example/'\''&reboot&'\'''"),
            ("https://evil.example/~/*!", "'https://evil.example/~/*!'"),
        ] {
            assert_eq!(shell_word(url), quoted);
        }
    }
}
