//! `World`: an issuer with its store, cache, clock and network, and the steps of a client, a browser and an operator.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use base64::Engine as _;
use mcpgate::clock::{CheckedClock, Clock, ManualClock};
use mcpgate::config::Config;
use mcpgate::entropy::{Entropy, SeededEntropy};
use mcpgate::issuer::{
    AuthorizeRejection, Caller, Decision, Handles, Issuer, IssuerRequest, LoginOutcome, Services, SetupOutcome,
    Started, Step, TokenRejection,
};
use mcpgate::oauth::{
    AccountId, AuthMethod, AuthorizationCode, Client, ClientId, ClientMetadata, ClientOrigin, CodeChallenge,
    CodeRecord, ErrorCode, Exclusions, Form, Lifetime, RedirectUri, RegistrationPolicy, ResourceIndicator, ScopeSet,
    Subject, TenantId, Timestamp, TokenKeys,
};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{Account, AuditEvent, AuditFilter, AuditRow, Ephemeral, LinkSecret, SetupLink, Store, Update};
use mcpgate::telemetry::{Exposition, Metrics};
use mcpgate::token_cache::TokenCache;
use sha2::{Digest, Sha256};

use super::config::{ISSUER, SALES, config};
use super::failing_store::FailingStore;
pub(crate) use super::password::PASSWORD;
use super::records;
pub(crate) use super::scripted_fetch::{ScriptedFetch, status};
use super::services::services;
pub(crate) use super::tokens::Tokens;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CALLBACK: &str = "https://client.example/callback";
pub(crate) const LOOPBACK: &str = "http://127.0.0.1/callback";

pub(crate) struct World {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) store: Arc<FailingStore>,
    pub(crate) cache: Arc<TokenCache>,
    /// The machine's clocks, set by hand.
    pub(crate) hands: Arc<ManualClock>,
    /// The gateway's clock, which reads `hands`.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) fetch: Arc<ScriptedFetch>,
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// What the issuer was made from.
    pub(crate) services: Services,
    metrics: Arc<Metrics>,
}

/// A form with every box ticked.
pub(crate) fn all() -> Decision {
    Decision::Approve(ScopeSet::parse("sales:read sales:write notes:read").unwrap().into())
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::over(Arc::new(MemoryStore::new()), change).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let store = Arc::new(FailingStore::new(store));
        Self::assemble(store, Arc::new(ManualClock::new(START)), config, Arc::new(SeededEntropy::new(42))).await
    }

    /// The next process over the same store. Anything this process has not written is lost. Both share their entropy,
    /// so that no two mint the same secret.
    pub(crate) async fn next_process(&self) -> Self {
        let config = Config::clone(&self.config.load());
        Self::assemble(self.store.clone(), self.hands.clone(), config, self.services.entropy.clone()).await
    }

    async fn assemble(
        store: Arc<FailingStore>,
        clock: Arc<ManualClock>,
        config: Config,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let shared: Arc<dyn Store> = store.clone();
        let noted = shared.clock_note().await.unwrap().map(|note| note.seen_at);
        let shared_clock: Arc<dyn Clock> = Arc::new(CheckedClock::new(clock.clone(), noted));
        let services = Services { entropy, ..services(shared.clone(), shared_clock.clone(), config) };
        let (keys, config) = (services.keys.load_full(), services.config.clone());
        let cache = TokenCache::new(shared.clone(), keys.clone(), shared_clock.clone(), &config.load());
        cache.begin().await.unwrap();
        cache.fill().await;
        let fetch = Arc::new(ScriptedFetch::default());
        let metrics = Metrics::new(&[]);
        let issuer = Issuer::new(services.clone(), cache.clone(), fetch.clone(), metrics.clone());
        Self {
            issuer: Arc::new(issuer),
            store,
            cache,
            hands: clock,
            clock: shared_clock,
            keys,
            fetch,
            config,
            services,
            metrics,
        }
    }

    /// Begins a request under the current configuration.
    pub(crate) fn request<'a>(&'a self, caller: &'a Caller) -> IssuerRequest<'a> {
        self.issuer.request(caller, self.config.load_full())
    }

    pub(crate) fn reload(&self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.config.load());
        change(&mut config);
        self.config.store(Arc::new(config));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, secs: u64) {
        self.hands.advance(Lifetime::from_secs(secs));
    }

    /// An audit row for changes made outside the issuer, where the event does not matter.
    pub(crate) fn row(&self) -> AuditRow {
        let actor = Some("operator".to_owned());
        AuditRow { actor, ..AuditRow::new(self.now(), TenantId::default(), AuditEvent::AuditPruned) }
    }

    /// Adds an account and sets its password through a link, as a person does.
    pub(crate) async fn account(&self, name: &str) -> AccountId {
        let subject = AccountId::parse(&format!("subject-{name}")).unwrap();
        let account = Account {
            subject: Subject::Person(subject.clone()),
            password: None,
            password_set_at: None,
            created_at: self.now(),
            ..records::account(name)
        };
        self.inner().insert_account(account, self.row()).await.unwrap();
        let link = self.link(&subject, name).await;
        // From a network that no test uses: it becomes a familiar one.
        let home = Caller::new(Some([203, 0, 113, 7].into()), None);
        let outcome = self.request(&home).redeem_setup(link.reveal(), PASSWORD, None).await.unwrap();
        assert!(matches!(outcome, SetupOutcome::Done(Some(_))), "{outcome:?}");
        // A new password revokes everything issued up to now; the test issues later.
        self.pass(1);
        subject
    }

    pub(crate) async fn link(&self, subject: &AccountId, seed: &str) -> LinkSecret {
        self.link_at(self.now(), subject, seed).await
    }

    /// Makes a link as a command does, whose clock may differ from the issuer's.
    pub(crate) async fn link_at(&self, now: Timestamp, subject: &AccountId, seed: &str) -> LinkSecret {
        let link = LinkSecret::mint(Sha256::digest(format!("{seed} {}", now.as_millis())).into(), &self.keys);
        let row =
            SetupLink { hash: link.hash(), subject: subject.clone(), ..records::setup_link(seed, "anybody", now) };
        self.inner().insert_setup_link(row, self.row()).await.unwrap();
        link
    }

    pub(crate) fn inner(&self) -> &dyn Store {
        &*self.store
    }

    /// Discards random numbers: every world begins with the same ones, and a test that restarts needs different ones.
    pub(crate) fn draw(&self, count: u64) {
        for _ in 0..count {
            self.services.entropy.random_32();
        }
    }

    /// Registers a public client as MCP clients do.
    pub(crate) async fn public_client(&self, redirect: &str) -> Client {
        static REGISTERED: AtomicU32 = AtomicU32::new(0);
        let body = serde_json::json!({
            "client_name": "Some client", "redirect_uris": [redirect], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            // The same metadata would be the same client.
            "software_version": REGISTERED.fetch_add(1, Relaxed).to_string(),
        });
        self.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap().client
    }

    /// Adds a client by hand, as an operator does.
    pub(crate) async fn manual_client(&self, name: &str, redirect: &str, scope: Option<&str>) -> Client {
        let body = serde_json::json!({
            "client_name": name, "redirect_uris": [redirect], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let metadata = ClientMetadata::from_registration(body.to_string().as_bytes(), &RegistrationPolicy::default())
            .unwrap()
            .metadata;
        let client = Client {
            id: ClientId::parse(&format!("mcp_client_{}", name.replace(' ', "_"))).unwrap(),
            metadata: ClientMetadata { scope: scope.map(|s| ScopeSet::parse(s).unwrap()), ..metadata },
            created_at: self.now(),
            ..records::client("app", ClientOrigin::Manual)
        };
        self.inner().insert_client(client.clone(), u64::MAX, self.row()).await.unwrap();
        client
    }

    /// Begins an authorization; `extra` replaces parameters of the default request, an empty value removes one.
    pub(crate) async fn begin(
        &self,
        client: &ClientId,
        extra: &[(&str, &str)],
        session: Option<&str>,
    ) -> Result<Started, AuthorizeRejection> {
        self.begin_from(&caller(1), client, extra, session).await
    }

    pub(crate) async fn begin_from(
        &self,
        caller: &Caller,
        client: &ClientId,
        extra: &[(&str, &str)],
        session: Option<&str>,
    ) -> Result<Started, AuthorizeRejection> {
        self.request(caller).begin_authorization(authorization(client, extra), session, None).await
    }

    /// Like `begin`, for a browser that sends a `Referer`.
    pub(crate) async fn begin_at(
        &self,
        referer: Option<&str>,
        client: &ClientId,
        extra: &[(&str, &str)],
        session: Option<&str>,
    ) -> Result<Started, AuthorizeRejection> {
        self.request(&caller(1)).begin_authorization(authorization(client, extra), session, referer).await
    }

    /// A browser at the login page of a new authorization.
    pub(crate) async fn browser(&self, client: &ClientId, extra: &[(&str, &str)]) -> Handles {
        let started = self.begin(client, extra, None).await.unwrap();
        assert!(matches!(started.step, Step::LogIn), "{started:?}");
        handles(started)
    }

    /// Logs in and puts the new session cookie into the handles.
    pub(crate) async fn log_in(&self, browser: &mut Handles, name: &str) -> Step {
        match self.request(&caller(1)).log_in(browser, name, PASSWORD).await.unwrap() {
            LoginOutcome::LoggedIn { session, step } => {
                browser.session = Some(session.reveal().to_owned());
                step
            }
            other => panic!("{other:?}"),
        }
    }

    /// Logs in and approves everything; returns the Location.
    pub(crate) async fn approve(&self, client: &ClientId, extra: &[(&str, &str)], name: &str) -> String {
        let mut browser = self.browser(client, extra).await;
        match self.log_in(&mut browser, name).await {
            Step::Consent => self.request(&caller(1)).decide(&browser, all()).await.unwrap().as_str().to_owned(),
            Step::Redirect(location) => location.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn code(&self, client: &ClientId, extra: &[(&str, &str)], name: &str) -> String {
        parameter(&self.approve(client, extra, name).await, "code").unwrap()
    }

    /// A code for a client, from an account without a password, as the store holds it after consent.
    pub(crate) async fn code_of_somebody(&self, client: &ClientId) -> String {
        let subject = AccountId::parse("somebody").unwrap();
        let now = self.now();
        let account = Account {
            subject: Subject::Person(subject.clone()),
            password: None,
            password_set_at: None,
            created_at: now,
            ..records::account("somebody")
        };
        self.inner().insert_account(account, self.row()).await.unwrap();
        let page = Ephemeral { client: Some(client.clone()), body: None, ..records::interaction("page", now) };
        self.inner().put_ephemeral(page.clone(), records::PENDING).await.unwrap();
        let code = AuthorizationCode::mint([9; 32], &self.keys);
        let record = CodeRecord {
            hash: code.hash(),
            client: client.clone(),
            subject,
            redirect: RedirectUri::from_stored(CALLBACK.to_owned()),
            challenge: CodeChallenge::parse(Some(&challenge()), Some("S256")).ok(),
            resource: ResourceIndicator::parse(SALES).unwrap(),
            scopes: ScopeSet::parse("sales:read").unwrap(),
            exclusions: Exclusions::default(),
            ..records::code("code", now)
        };
        let issued = self.inner().insert_code(record, page.key.hash, None, self.row()).await.unwrap();
        assert_eq!(issued, Update::Done);
        code.reveal().to_owned()
    }

    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        let page = self.inner().audit_after(&AuditFilter::default(), 0, u32::MAX).await.unwrap();
        let rows: Vec<_> = page.rows.into_iter().map(|(_, row)| row).collect();
        rows.iter().for_each(super::audit::check);
        rows
    }

    pub(crate) async fn count(&self, event: AuditEvent) -> usize {
        self.audit().await.iter().filter(|row| row.event == event).count()
    }

    /// The metrics count of an authorization-server event.
    pub(crate) fn counted(&self, event: &str) -> u64 {
        let mut out = Exposition::default();
        self.metrics.expose(&mut out);
        let sample = format!("mcpgate_authorization_events_total{{event=\"{event}\"}} ");
        out.finish().lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).expect("the event")
    }

    pub(crate) async fn last_event(&self) -> AuditEvent {
        self.audit().await.last().expect("a row").event
    }
}

/// A caller from its own network: `caller(1)` and `caller(2)` share nothing.
pub(crate) fn caller(n: u8) -> Caller {
    Caller::new(Some([198, 51, n, 7].into()), Some(format!("request-{n}")))
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> Form {
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Form::parse(text.as_bytes()).unwrap()
}

/// The parameters of an authorization request; `extra` as in `begin`.
fn authorization(client: &ClientId, extra: &[(&str, &str)]) -> Form {
    let challenge = challenge();
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", client.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("state", "the state"),
        ("resource", SALES),
    ];
    pairs.retain(|(name, _)| !extra.iter().any(|(n, _)| n == name));
    pairs.extend(extra.iter().filter(|(_, value)| !value.is_empty()));
    form(&pairs)
}

pub(crate) fn challenge() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

pub(crate) fn handles(started: Started) -> Handles {
    let transaction = started.transaction.expect("a transaction");
    Handles { transaction: transaction.id, cookie: Some(transaction.cookie.reveal().to_owned()), session: None }
}

/// A parameter of a Location, which may contain it at most once.
pub(crate) fn parameter(location: &(impl AsRef<str> + ?Sized), name: &str) -> Option<String> {
    let location = location.as_ref();
    let url = url::Url::parse(location).expect("a Location is a URL");
    let mut found = url.query_pairs().filter(|(n, _)| n == name).map(|(_, v)| v.into_owned());
    let first = found.next();
    assert_eq!(found.next(), None, "{name} occurs twice in {location}");
    first
}

/// The error of a refusal by redirect, which must contain state and issuer (AZ-18).
pub(crate) fn redirected(outcome: Result<Started, AuthorizeRejection>) -> String {
    let Err(AuthorizeRejection::Redirect(location)) = outcome else { panic!("{outcome:?}") };
    assert!(location.as_str().starts_with(CALLBACK), "{location:?}");
    assert_eq!(parameter(&location, "iss").as_deref(), Some(ISSUER));
    assert_eq!(parameter(&location, "code"), None);
    parameter(&location, "error").expect("an error")
}

/// The error on a page with a link; the link goes where a redirect would have gone.
pub(crate) fn linked(outcome: Result<Started, AuthorizeRejection>) -> String {
    let Err(AuthorizeRejection::Unsolicited { link, .. }) = outcome else { panic!("{outcome:?}") };
    redirected(Err(AuthorizeRejection::Redirect(link.location)))
}

/// The error of a refusal shown on a page.
pub(crate) fn paged(outcome: Result<Started, AuthorizeRejection>) -> ErrorCode {
    match outcome {
        Err(AuthorizeRejection::Page(error)) => error.code(),
        other => panic!("{other:?}"),
    }
}

/// The error of a refused token request.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, TokenRejection>) -> &'static str {
    match outcome {
        Err(TokenRejection::Refused { error, .. }) => error.code().as_str(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn method(client: &Client) -> AuthMethod {
    client.metadata.token_endpoint_auth_method
}
