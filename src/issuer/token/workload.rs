//! The JWT bearer grant (RFC 7523 2.1) of a workload without a stored secret: it exchanges a token of an issuer that
//! the operator trusts for one of ours, without any client id.

use std::sync::Arc;

use crate::config::{IssuerKeys, KeyPlace, UpstreamConfig, WorkloadConfig};
use crate::issuer::audit::OrUnavailable;
use crate::issuer::built_in::BuiltIn;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::face::Face;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::jose::{JwkSet, Jws};
use crate::oauth::{
    AccessToken, AccountId, AssertionRequest, ClientId, ClientOrigin, Form, Grant, GrantId, GrantType, Lifetime,
    OAuthError, ResourceIndicator, Rule, ScopeSet, SingleGrant, Subject, TokenRequest, TokenResponse, WorkloadIdentity,
};
use crate::outbound::FetchError;
use crate::store::{Account, AccountStatus, AuditEvent, AuditRow, IssueFor, IssueToClient, NewAccessToken};
use crate::telemetry::ControlEvent;

/// How long a token of a workload lives at most. It can ask again as long as its own token is valid.
const ACCESS: Lifetime = Lifetime::from_secs(600);
/// How long the grant of a workload is kept after its last token, so that it can be seen and ended.
const GRANT: Lifetime = Lifetime::from_secs(24 * 3600);
/// The largest set that is fetched in bytes.
const MAX_KEY_SET: usize = 64 << 10;
/// `Retry-After` while there is no room for another set, or too many fetches are in progress.
const BUSY: Lifetime = Lifetime::from_secs(10);
/// What is said of every token that no workload has.
const NO_WORKLOAD: &str = "no workload of this server has such a token";

/// A workload that a token proved to be, and which of its grants it is.
struct Proved<'p> {
    workload: &'p WorkloadConfig,
    identity: WorkloadIdentity,
}

impl IssuerRequest<'_> {
    /// Returns whether a token request is that of a workload: the grant without any client.
    pub(super) fn is_of_workload(&self, authorization: Option<&[u8]>, form: &Form) -> bool {
        let names = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
        form.get("grant_type") == Some(GrantType::JwtBearer.as_str())
            && authorization.is_none()
            && names.iter().all(|name| form.get(name).is_none())
            && self.workloads().next().is_some()
    }

    fn workloads(&self) -> impl Iterator<Item = &WorkloadConfig> {
        self.policy.config.workloads.iter().filter(|workload| workload.tenant == self.tenant)
    }

    /// Answers a token request of a workload.
    pub(in crate::issuer) async fn issue_to_workload(&self, form: &Form) -> Result<TokenResponse, TokenRejection> {
        let client = BuiltIn::Workloads.id(&self.services.keys.load());
        let rates = &self.policy.config.rates;
        if let Err(held) = self.throttle.charge_client(Face::Token, &client, self.caller, rates) {
            let error = OAuthError::new(Rule::RateLimited, "");
            let why = Diagnosis::throttled(&error).by(held.key);
            self.refuse(self.audit(AuditEvent::TokenRefused), why).await;
            return Err(TokenRejection::Throttled(held.wait));
        }
        let request = match TokenRequest::read(form, &self.services.keys.load()) {
            Ok(TokenRequest::JwtBearer(request)) => request,
            Ok(
                TokenRequest::AuthorizationCode(_) | TokenRequest::ClientCredentials(_) | TokenRequest::RefreshToken(_),
            ) => return Err(self.refuse_workload(OAuthError::new(Rule::GrantTypeUnsupported, NO_WORKLOAD)).await),
            Err(error) => return Err(self.refuse_workload(error).await),
        };
        let named = match ResourceIndicator::of_form(form) {
            Ok(named) => named,
            Err(error) => return Err(self.refuse_workload(error).await),
        };
        let proved = match self.proved_workload(&request, named.as_ref()).await? {
            Ok(proved) => proved,
            Err(error) => {
                // Counted against the caller alone: everybody uses the same client here.
                let _counted = self.throttle.record_client_failure(&client, false, self.caller, rates);
                return Err(self.refuse_workload(error).await);
            }
        };
        self.issue_to_proved(&client, proved, request.scopes).await
    }

    /// Finds the workload whose token this is; the inner error is a fault of the token.
    async fn proved_workload(
        &self,
        request: &AssertionRequest,
        named: Option<&ResourceIndicator>,
    ) -> Result<Result<Proved<'_>, OAuthError>, TokenRejection> {
        let (assertion, now) = (&request.assertion, self.now());
        let said = assertion.signed().unproved().issuer().unwrap_or_default();
        let of_issuer: Vec<_> = self.workloads().filter(|workload| workload.issuer == said).collect();
        if of_issuer.is_empty() {
            return Ok(Err(OAuthError::new(Rule::WorkloadUnknown, NO_WORKLOAD).came("iss", said)));
        }
        let (mut fault, mut last) = (None, None::<(Arc<JwkSet>, bool)>);
        for workload in of_issuer {
            let identity = match assertion.check_workload(&workload.audience, now) {
                Ok(identity) => identity,
                Err(error) => {
                    fault.get_or_insert(error);
                    continue;
                }
            };
            let keys = self.keys_of_issuer(&workload.keys, assertion.signed()).await?;
            // Fetching keys may have taken seconds, which `now` includes.
            let proved = assertion.check_workload(&workload.audience, self.now());
            // Tables of one issuer share its keys, and the signature is checked once.
            let is_signed = match &last {
                Some((checked, is_signed)) if Arc::ptr_eq(checked, &keys) => *is_signed,
                Some(_) | None => assertion.signed().verify(&keys).is_ok(),
            };
            last = Some((keys, is_signed));
            if !is_signed {
                let words = "the token is refused: none of the issuer's keys made the signature";
                fault.get_or_insert_with(|| OAuthError::new(Rule::WorkloadSignature, words).came("iss", said));
                continue;
            }
            if let Err(error) = proved {
                fault.get_or_insert(error);
                continue;
            }
            if !workload.claims.match_all(assertion.signed().unproved()) {
                fault.get_or_insert_with(|| OAuthError::new(Rule::WorkloadUnknown, NO_WORKLOAD).came("iss", said));
                continue;
            }
            if named.is_some_and(|named| *named != workload.resource) {
                let words = "the resource is not the one that this workload may use";
                fault = Some(OAuthError::new(Rule::ResourceUnknown, words));
                continue;
            }
            return Ok(Ok(Proved { workload, identity }));
        }
        Ok(Err(fault.unwrap_or_else(|| OAuthError::new(Rule::WorkloadUnknown, NO_WORKLOAD))))
    }

    /// Returns the keys of an issuer, fetched again if they are old, or if none of them signed the token.
    async fn keys_of_issuer(&self, keys: &IssuerKeys, signed: &Jws) -> Result<Arc<JwkSet>, TokenRejection> {
        match keys {
            IssuerKeys::File(_, keys) => Ok(Arc::clone(keys)),
            // Boxed, because few requests fetch.
            IssuerKeys::At(place) => Box::pin(self.fetched_keys(place, signed)).await,
        }
    }

    async fn fetched_keys(&self, place: &KeyPlace, signed: &Jws) -> Result<Arc<JwkSet>, TokenRejection> {
        let url = place.url.as_str();
        let busy = || TokenRejection::Throttled(BUSY);
        let shared = ClientId::parse(url).and_then(|id| self.issuer_keys.of(&id)).ok_or_else(busy)?;
        let mut known = shared.lock().await;
        self.advance_now();
        known.turn_to(url);
        if let Some(keys) = known.current(signed, self.now()) {
            return Ok(keys);
        }
        let fault = match known.holds_off(self.now()) {
            Some(fault) => fault,
            None => {
                let fetched = self.fetch.fetch_own(url, MAX_KEY_SET).await;
                self.advance_now();
                if matches!(fetched, Err(FetchError::Busy)) {
                    return Err(busy());
                }
                match known.read(fetched, self.now()) {
                    Ok(new) => return Ok(known.install(new)),
                    Err(fault) => {
                        tracing::warn!(url, %fault, "the keys of a workload's issuer cannot be had");
                        fault
                    }
                }
            }
        };
        if let Some(keys) = known.stale(&fault, self.now()) {
            return Ok(keys);
        }
        let error = OAuthError::new(Rule::IssuerKeysUnreachable, "").came("iss", url);
        let said = fault.to_string();
        let why = Diagnosis::from(&error).because(Some(&said));
        self.refuse(self.audit(AuditEvent::TokenRefused), why).await;
        Err(TokenRejection::Unavailable)
    }

    async fn issue_to_proved(
        &self,
        client: &ClientId,
        Proved { workload, identity }: Proved<'_>,
        asked: Option<ScopeSet>,
    ) -> Result<TokenResponse, TokenRejection> {
        let subject = AccountId::parse(&format!("workload_{}", workload.account)).map(Subject::Service);
        let upstream = self.policy.upstream(&workload.resource);
        let nothing = || OAuthError::new(Rule::NothingGranted, "the workload was granted none of these scopes");
        let (Some(subject), Some(upstream)) = (subject, upstream) else {
            return Err(self.refuse_workload(nothing()).await);
        };
        let Some((own, all)) = self.granted_to_workload(workload, subject.id(), upstream).await? else {
            return Err(self.refuse_workload(nothing()).await);
        };
        let scopes = asked.map_or_else(|| own.clone(), |asked| asked.intersection(&all));
        if scopes.is_empty() && !own.is_empty() {
            return Err(self.refuse_workload(nothing()).await);
        }
        let store = &self.services.store;
        let taken = store.find_account_by_name(&self.tenant, &workload.account).await.or_unavailable(self).await?;
        let added = self.audit(AuditEvent::ClientAdded);
        let is_on = BuiltIn::Workloads.ensure(&self.services, &self.tenant, added).await.or_unavailable(self).await?;
        if taken.is_some_and(|account| account.subject != subject) || is_on.is_none() {
            let error = OAuthError::new(Rule::WorkloadSwitchedOff, NO_WORKLOAD);
            return Err(self.refuse_workload(error.came("account", workload.account.as_str())).await);
        }
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let new = NewAccessToken {
            hash: access.hash(),
            lifetime: ACCESS.min(self.policy.lifetimes(&workload.resource).access),
            scopes: Some(scopes),
            included: all,
            user: workload.account.as_str().into(),
            client_origin: ClientOrigin::Manual,
            client_limit: None,
        };
        let issue = self.issue_of_workload(client, workload, (subject, identity, own), new);
        let Some(issued) = store.issue_to_client(issue).await.or_unavailable(self).await? else {
            let error = OAuthError::new(Rule::WorkloadSwitchedOff, NO_WORKLOAD);
            return Err(self.refuse_workload(error.came("account", workload.account.as_str())).await);
        };
        self.metrics.control(ControlEvent::TokenIssued);
        self.throttle.record_token(self.caller);
        Ok(self.respond(access, &issued.grant, *issued.token))
    }

    /// Returns the scopes of a workload, and with those that they include; `None` if it may have no token.
    async fn granted_to_workload(
        &self,
        workload: &WorkloadConfig,
        account: &AccountId,
        upstream: &UpstreamConfig,
    ) -> Result<Option<(ScopeSet, ScopeSet)>, TokenRejection> {
        let included = |scopes: &ScopeSet| self.policy.included(&workload.resource, scopes);
        let all = workload.scopes.union(&included(&workload.scopes));
        let Some(held) = self.may_hold(account, &workload.account, upstream, &all).await? else { return Ok(None) };
        let own = workload.scopes.intersection(&held);
        if own.is_empty() && !workload.scopes.is_empty() {
            return Ok(None);
        }
        let all = own.union(&included(&own).intersection(&held));
        Ok(Some((own, all)))
    }

    fn issue_of_workload(
        &self,
        client: &ClientId,
        workload: &WorkloadConfig,
        (subject, identity, scopes): (Subject, WorkloadIdentity, ScopeSet),
        access: NewAccessToken,
    ) -> IssueToClient {
        let now = self.now();
        let single = SingleGrant {
            id: GrantId(self.services.entropy.random_16()),
            tenant: self.tenant.clone(),
            client: client.clone(),
            subject: subject.clone(),
            resource: workload.resource.clone(),
            scopes,
            made_at: now,
            expires_at: now.plus(GRANT),
        };
        let event = AuditEvent::WorkloadTokenIssued;
        let audit = AuditRow { client: Some(client.clone()), reason: Some(identity.to_string()), ..self.audit(event) };
        let record_success = self.admit_row_of(event, subject.id());
        let service = Account {
            tenant: self.tenant.clone(),
            subject,
            name: workload.account.clone(),
            password: None,
            status: AccountStatus::Enabled,
            failed_logins: 0,
            last_failed_at: None,
            created_at: now,
            password_set_at: None,
        };
        let grant = Grant { by_assertion: true, workload: Some(Box::new(identity)), ..single.grant() };
        IssueToClient { subject: IssueFor::Service(service), grant, access, now, record_success, audit }
    }

    async fn refuse_workload(&self, error: OAuthError) -> TokenRejection {
        self.refuse(self.audit(AuditEvent::TokenRefused), Diagnosis::from(&error)).await;
        TokenRejection::because(error)
    }
}
