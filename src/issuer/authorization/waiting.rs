//! The page of a sign-in whose client waits for an operator, or was rejected.

use super::interaction::AccessRequest;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::client::identity::display_name;
use crate::issuer::{AuthorizeRejection, IssuerRequest, View, WaitingView};
use crate::oauth::{Client, ClientStanding, OAuthError, Rule};
use crate::store::{Ephemeral, LoginSession};

/// What a client is told that may not be used here.
const REJECTED: &str = "the operator of this server has not let this application in";

/// What a client is told that waits for an operator.
const NOT_APPROVED: &str = "the operator of this server has not approved this application yet";

impl IssuerRequest<'_> {
    /// Returns what the page of a sign-in shows while its client may not be used, and lists the client as waiting;
    /// `None` if the client may be used, or the person may not use what it asks for. An operator is asked only for
    /// clients that somebody who has signed in can use.
    pub(in crate::issuer) async fn waiting_view(
        &self,
        interaction: &Ephemeral,
        asked: &AccessRequest,
        session: &LoginSession,
    ) -> Result<Option<View>, AuthorizeRejection> {
        let (client, standing) = (&asked.client, self.policy.standing(&asked.client));
        if standing == ClientStanding::Approved || self.may_approve(&session.subject, asked).await?.is_none() {
            return Ok(None);
        }
        let account =
            self.services.store.find_account(&self.tenant, &session.subject).await.or_unavailable(self).await?;
        let (Some(account), Some(upstream)) = (account, self.policy.upstream(asked.request.resource())) else {
            return Ok(None);
        };
        if standing == ClientStanding::Undecided {
            self.list_as_waiting(client, Some(session)).await?;
        }
        let end = interaction.created_at.plus(self.policy.config.login.interaction);
        Ok(Some(View::Waiting(WaitingView {
            client_name: display_name(client),
            client_has_name: client.metadata.client_name.is_some(),
            client_id: client.id.as_str().to_owned(),
            resource_name: upstream.display_name.clone(),
            account: account.name.to_string(),
            rest: (standing == ClientStanding::Undecided).then(|| end.since(self.now())),
        })))
    }
}

/// Returns what a client is told that may not be used; `None` for one that may.
pub(super) fn not_let_in(client: &Client, standing: ClientStanding) -> Option<OAuthError> {
    let (rule, words) = match standing {
        ClientStanding::Approved => return None,
        ClientStanding::Undecided => (Rule::ClientWaits, NOT_APPROVED),
        ClientStanding::Rejected => (Rule::ClientRejected, REJECTED),
    };
    Some(OAuthError::new(rule, words).came("client_id", client.id.as_str()))
}
