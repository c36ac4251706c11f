//! The JWT bearer grant (RFC 7523 2.1) of a client that acts for a person who is absent, as the operator allowed it.

use crate::config::UpstreamConfig;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, AccountId, ActingFor, AssertionRequest, AuthenticatedClient, ClientOrigin, Form, Grant,
    GrantAssertion, GrantId, LoginName, OAuthError, Rule, ScopeSet, SingleGrant, Subject, TokenResponse,
};
use crate::store::{Account, AccountStatus, AuditEvent, AuditRow, ConsentKey, IssueFor, IssueToClient, NewAccessToken};
use crate::telemetry::ControlEvent;

/// What the client is told, whatever it is about the person: it must not learn who has an account here.
const NOBODY: &str = "this client may act for no person with this login name at this resource: there is none, they are \
                      not among those it may act for, or it was ended";

/// A person, and what the client may do for them.
struct PersonFound {
    account: Account,
    granted: super::client_credentials::GrantedScopes,
    scopes: ScopeSet,
}

impl IssuerRequest<'_> {
    /// Answers a token request of a client that acts for a person.
    pub(in crate::issuer) async fn issue_for_person(
        &self,
        client: &AuthenticatedClient,
        form: &Form,
        request: AssertionRequest,
    ) -> Result<TokenResponse, TokenRejection> {
        let refused = AuditEvent::TokenRefused;
        if client.origin != ClientOrigin::Manual || client.metadata.may_act_for.is_empty() || !client.by_assertion() {
            let words = "the operator of this server does not let the client act for people";
            let error = OAuthError::new(Rule::ActingNotAllowed, words).came("client_id", client.id.as_str());
            return Err(self.refuse_token(refused, client, error).await);
        }
        let acting = self.proved_assertion(client, &request.assertion).await?;
        let policy = self.policy.request();
        let resource = match policy.resource(form, client) {
            Ok((resource, ..)) => resource,
            Err(error) => return Err(self.refuse_token(refused, client, error).await),
        };
        let upstream = self.policy.upstream(resource);
        let granted = upstream.and_then(|upstream| Some((upstream, self.granted_by_operator(client, upstream)?)));
        // What the client may not do for anybody says nothing about a person.
        let Some((upstream, _)) = granted
            .filter(|(_, granted)| request.scopes.as_ref().is_none_or(|asked| !asked.intersection(granted).is_empty()))
        else {
            let error = OAuthError::new(Rule::NothingGranted, "the client was granted none of these scopes");
            let error = error.came("scope", form.get("scope").unwrap_or_default());
            return Err(self.refuse_token(refused, client, error).await);
        };
        self.use_assertion_once(client, &acting).await?;
        let named = request.assertion.signed().unproved().subject().unwrap_or_default();
        let found = match self.person_to_act_for(client, upstream, (acting.person, request.scopes)).await? {
            Some(found) => found,
            None => return Err(self.refuse_person(client, (Rule::ActingForNobody, named), None).await),
        };
        let subject = found.account.subject.id().clone();
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let issue = self.issue_for(client, upstream, (found, access.hash())).await?;
        // It was enabled when it was found.
        let Some(issued) = self.services.store.issue_to_client(issue).await.or_unavailable(self).await? else {
            return Err(self.refuse_person(client, (Rule::ActingEnded, named), Some(subject)).await);
        };
        self.metrics.control(ControlEvent::TokenIssued);
        Ok(self.respond(access, &issued.grant, *issued.token))
    }

    /// Checks an assertion and its signature; returns for whom the client wants to act.
    async fn proved_assertion(
        &self,
        client: &AuthenticatedClient,
        assertion: &GrantAssertion,
    ) -> Result<ActingFor, TokenRejection> {
        let refused = AuditEvent::TokenRefused;
        if let Err(error) = assertion.check(&client.id, &self.policy.config.public_url, self.now()) {
            return Err(self.refuse_token(refused, client, error).await);
        }
        let keys = Box::pin(self.keys_of(client, assertion.signed())).await?;
        // Fetching keys may have taken seconds, which `now` includes.
        let proved = assertion.check(&client.id, &self.policy.config.public_url, self.now());
        match proved.and_then(|()| assertion.verify(&client.id, &keys)) {
            Ok(acting) => Ok(acting),
            Err(error) => Err(self.refuse_token(refused, client, error).await),
        }
    }

    /// Uses an assertion up. It stays used whatever becomes of the request: who sees it afterwards gains nothing.
    async fn use_assertion_once(&self, client: &AuthenticatedClient, acting: &ActingFor) -> Result<(), TokenRejection> {
        if self.keep_used(client, (&acting.name, acting.expires_at)).await? {
            return Ok(());
        }
        let words = "the assertion is refused: it was used before, and each needs a jti of its own";
        let error = OAuthError::new(Rule::GrantAssertionReplayed, words).came("client_id", client.id.as_str());
        Err(self.refuse_token(AuditEvent::TokenRefused, client, error).await)
    }

    /// Finds a person for whom a client may act now, and what it may do for them. For a name that nobody has, the store
    /// is asked the same, so that the time says nothing.
    async fn person_to_act_for(
        &self,
        client: &AuthenticatedClient,
        upstream: &UpstreamConfig,
        (name, asked): (Option<LoginName>, Option<ScopeSet>),
    ) -> Result<Option<PersonFound>, StoreFailed> {
        let nobody = || LoginName::parse("nobody").zip(AccountId::parse("nobody"));
        let Some((nobody, no_id)) = nobody() else { return Ok(None) };
        // What nobody can be called stands for nobody, also if somebody is called so.
        let is_name = name.is_some();
        let name = name.unwrap_or(nobody);
        let store = &self.services.store;
        let account = store.find_account_by_name(&self.tenant, &name).await.or_unavailable(self).await?;
        let id = account.as_ref().map_or(no_id, |account| account.subject.id().clone());
        let stored = store.groups_of(&self.tenant, &id).await.or_unavailable(self).await?;
        let groups = upstream.holders.groups.of(name.as_str(), &stored);
        let is_among = client.metadata.may_act_for.has_any_of(&groups);
        let granted = self.granted_to(client, &id, &name, upstream).await?;
        let is_person = |account: &Account| account.subject.is_person() && account.status == AccountStatus::Enabled;
        let Some(account) = account.filter(|account| is_name && is_person(account) && is_among) else {
            return Ok(None);
        };
        let Some(granted) = granted else { return Ok(None) };
        let scopes = match asked {
            Some(asked) => asked.intersection(&granted.all),
            None => granted.own.clone(),
        };
        Ok(Some(PersonFound { account, granted, scopes: scopes.clone() })
            .filter(|_| !scopes.is_empty() || upstream.scopes.is_empty()))
    }

    async fn issue_for(
        &self,
        client: &AuthenticatedClient,
        upstream: &UpstreamConfig,
        (found, hash): (PersonFound, crate::oauth::TokenHash),
    ) -> Result<IssueToClient, StoreFailed> {
        let PersonFound { account, granted, scopes } = found;
        let subject = account.subject.id().clone();
        // What the person left out of a consent to this client holds here too.
        let key = ConsentKey {
            tenant: self.tenant.clone(),
            subject: subject.clone(),
            client: client.id.clone(),
            resource: upstream.resource.clone(),
        };
        let left_out = self.services.store.find_left_out(&key).await.or_unavailable(self).await?;
        let now = self.now();
        let lifetimes = self.policy.lifetimes(&upstream.resource);
        let lifetime = client.lifetimes.of_access(&lifetimes);
        let single = SingleGrant {
            id: GrantId(self.services.entropy.random_16()),
            tenant: self.tenant.clone(),
            client: client.id.clone(),
            subject: Subject::Person(subject.clone()),
            resource: upstream.resource.clone(),
            scopes: granted.own,
            made_at: now,
            // As that of a service: it ends when nobody has asked for a token for that long.
            expires_at: now.plus(client.lifetimes.of_refresh(&lifetimes).0.max(lifetime)),
        };
        let event = AuditEvent::ActingTokenIssued;
        Ok(IssueToClient {
            subject: IssueFor::Person,
            grant: Grant {
                by_assertion: true,
                acting: true,
                exclusions: left_out.unwrap_or_default(),
                ..single.grant()
            },
            access: NewAccessToken {
                hash,
                lifetime,
                scopes: Some(scopes),
                included: granted.all,
                user: account.name.as_str().into(),
                client_origin: client.origin,
                client_limit: client.scope_limit().cloned(),
            },
            now,
            record_success: self.admit_row_of(event, &subject),
            audit: AuditRow { client: Some(client.id.clone()), ..self.audit(event) },
        })
    }

    /// Refuses to let a client act for a person. The answer is the same whoever that is; the log says why.
    async fn refuse_person(
        &self,
        client: &AuthenticatedClient,
        (rule, named): (Rule, &str),
        subject: Option<AccountId>,
    ) -> TokenRejection {
        let row = AuditRow { subject, client: Some(client.id.clone()), ..self.audit(AuditEvent::TokenRefused) };
        self.refuse_with(row, client, OAuthError::new(rule, NOBODY).came("sub", named)).await
    }
}
