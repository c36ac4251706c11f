//! A reload during a request: the request finishes under the configuration it began with.

use std::sync::Arc;

use mcpgate::config::{Config, MetadataDocumentMode};
use mcpgate::issuer::{LoginOutcome, SetupOutcome, Started, Step};
use mcpgate::oauth::{Lifetime, TokenResponse};

use super::config::SALES;
use super::driver::*;

/// Changes every setting that affects these requests.
fn change(config: &mut Config) {
    let short = Lifetime::from_secs(1);
    config.public_url = "https://elsewhere.example".to_owned();
    config.upstreams.clear();
    config.tokens.access = short;
    config.tokens.code = short;
    config.tokens.refresh_idle = short;
    config.tokens.refresh_absolute = short;
    config.tokens.refresh_grace = Lifetime::default();
    config.login.interaction = short;
    config.login.session_idle = short;
    config.login.session_absolute = short;
    config.login.min_password = 100;
    config.login.product_name = "Wiki".to_owned();
    config.registration.enabled = false;
    config.metadata_documents.mode = MetadataDocumentMode::Off;
    config.rates.login_pause_failures = 0;
}

/// A world with a reload during one request, before one of its store calls.
struct Struck {
    world: Arc<World>,
    /// The number of the request and of its store call.
    at: Option<(usize, usize)>,
    /// The answer to each request.
    answers: Vec<String>,
    has_struck: bool,
}

impl Struck {
    /// Makes one request, with the reload if it is its turn; then restores the first configuration.
    async fn request<T>(&mut self, shown: impl Fn(&T) -> String, request: impl Future<Output = T>) -> T {
        let before = self.world.config.load_full();
        let call = self.at.filter(|(number, _)| *number == self.answers.len()).map(|(_, call)| call);
        if let Some(call) = call {
            let (handle, mut other) = (Arc::clone(&self.world.config), Config::clone(&before));
            change(&mut other);
            let reload = Box::pin(async move { handle.store(Arc::new(other)) });
            *self.world.store.meanwhile.lock().unwrap() = Some((call, reload));
        }
        let answer = request.await;
        let left = self.world.store.meanwhile.lock().unwrap().take();
        self.has_struck |= call.is_some() && left.is_none();
        self.world.config.store(before);
        self.answers.push(shown(&answer));
        answer
    }
}

/// Begins an authorization, signs in and approves; returns the session and the code.
async fn authorize(story: &mut Struck, client: &str) -> (String, String) {
    let (world, here) = (Arc::clone(&story.world), caller(1));
    let asked = form(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge()),
        ("code_challenge_method", "S256"),
        ("resource", SALES),
    ]);
    let started = story.request(
        |started| match started {
            Ok(Started { step, transaction }) => {
                format!("{step:?} {:?}", transaction.as_ref().map(|t| t.lifetime))
            }
            Err(error) => format!("{error:?}"),
        },
        async { world.request(&here).begin_authorization(asked, None, None).await },
    );
    let mut browser = handles(Box::pin(started).await.unwrap());
    story.request(|view| format!("{view:?}"), async { world.request(&here).view(&browser).await }).await.unwrap();
    let outcome = story
        .request(
            |outcome| match outcome {
                Ok(LoginOutcome::LoggedIn { step, .. }) => format!("{step:?}"),
                other => format!("{other:?}"),
            },
            async { world.request(&here).log_in(&browser, "ada", PASSWORD).await },
        )
        .await;
    let LoginOutcome::LoggedIn { session, step: Step::Consent } = outcome.unwrap() else { panic!("consent") };
    browser.session = Some(session.reveal().to_owned());
    story.request(|view| format!("{view:?}"), async { world.request(&here).view(&browser).await }).await.unwrap();
    let location = story
        .request(|location| format!("{:?}", location.as_ref().map(|location| location.as_str().to_owned())), async {
            world.request(&here).decide(&browser, all()).await
        })
        .await;
    (session.reveal().to_owned(), parameter(location.unwrap().as_str(), "code").unwrap())
}

/// Redeems the code and refreshes.
async fn take_tokens(story: &mut Struck, client: &str, code: &str) {
    let (world, here) = (Arc::clone(&story.world), caller(1));
    let shown = |answer: &Result<TokenResponse, _>| match answer {
        Ok(response) => format!("{} {} {:?}", response.scopes, response.expires_in, response.refresh_token.is_some()),
        Err(error) => format!("{error:?}"),
    };
    let sent = form(&[
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", CALLBACK),
    ]);
    let response = story.request(shown, async { world.request(&here).token(None, &sent).await }).await.unwrap();
    let refresh = response.refresh_token.unwrap();
    let sent = form(&[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", refresh.reveal())]);
    story.request(shown, async { world.request(&here).token(None, &sent).await }).await.unwrap();
}

/// Looks at the account page, registers a client, and sets a password by a link.
async fn visit(story: &mut Struck, session: &str, link: &str) {
    let (world, here) = (Arc::clone(&story.world), caller(1));
    let page = async { world.request(&here).account(session).await };
    story.request(|page| format!("{page:?}"), page).await.unwrap();
    let body = serde_json::json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" }).to_string();
    let registered = async { world.request(&here).register(body.as_bytes()).await };
    story.request(|registered| format!("{:?}", registered.as_ref().err()), registered).await.unwrap();
    let set = async { world.request(&here).redeem_setup(link, "another-teapot-42", None).await };
    story.request(|set| matches!(set, Ok(SetupOutcome::Done(Some(_)))).to_string(), set).await.unwrap();
}

/// Makes every request that depends on the configuration, from the authorization to the account page.
async fn story(at: Option<(usize, usize)>) -> (Vec<String>, bool) {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.manual_client("Wiki", CALLBACK, None).await.id;
    let link = world.link(&world.account("bob").await, "again").await;
    let mut story = Struck { world: Arc::new(world), at, answers: Vec::new(), has_struck: false };
    let (session, code) = Box::pin(authorize(&mut story, client.as_str())).await;
    Box::pin(take_tokens(&mut story, client.as_str(), &code)).await;
    Box::pin(visit(&mut story, &session, link.reveal())).await;
    (story.answers, story.has_struck)
}

#[tokio::test]
async fn a_request_goes_on_under_the_configuration_with_which_it_began() {
    let (undisturbed, _) = Box::pin(story(None)).await;
    let mut reloads = 0;
    for number in 0..undisturbed.len() {
        for call in 0.. {
            let (answers, has_struck) = Box::pin(story(Some((number, call)))).await;
            assert_eq!(answers, undisturbed, "reloaded at call {call} of request {number}");
            if !has_struck {
                break;
            }
            reloads += 1;
        }
    }
    assert!(reloads > 30, "only {reloads} reloads happened during a request");
}
