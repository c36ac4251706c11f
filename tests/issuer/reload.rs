//! A reload in the middle of a request: it goes on under the configuration with which it began.

use std::sync::Arc;

use mcpgate::config::{Config, MetadataDocumentMode};
use mcpgate::issuer::{LoginOutcome, SetupOutcome, Started, Step};
use mcpgate::oauth::{Lifetime, TokenResponse};

use super::config::SALES;
use super::driver::*;

/// All that a reload may change of what these requests are answered by.
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

/// One world in which a reload strikes within one request, before one of its calls of the store.
struct Struck {
    world: World,
    /// The request and the call.
    at: Option<(usize, usize)>,
    /// What each request was answered.
    answers: Vec<String>,
    has_struck: bool,
}

impl Struck {
    /// Does one request, struck if it is its turn; then the first configuration is in force again.
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

/// Does everything that is answered by the configuration, from the authorization to the account page.
#[allow(clippy::too_many_lines, reason = "one story from its beginning to its end")]
async fn story(at: Option<(usize, usize)>) -> (Vec<String>, bool) {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.manual_client("Wiki", CALLBACK, None).await.id;
    let issuer = Arc::clone(&world.issuer);
    let here = caller(1);
    let body = serde_json::json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" }).to_string();
    let link = world.link(&world.account("bob").await, "again").await;
    let mut story = Struck { world, at, answers: Vec::new(), has_struck: false };

    let asked = form(&[
        ("response_type", "code"),
        ("client_id", client.as_str()),
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
        async { issuer.request(&here).begin_authorization(asked, None, None).await },
    );
    let mut browser = handles(Box::pin(started).await.unwrap());
    story.request(|view| format!("{view:?}"), async { issuer.request(&here).view(&browser).await }).await.unwrap();
    let outcome = story
        .request(
            |outcome| match outcome {
                Ok(LoginOutcome::LoggedIn { step, .. }) => format!("{step:?}"),
                other => format!("{other:?}"),
            },
            async { issuer.request(&here).log_in(&browser, "ada", PASSWORD).await },
        )
        .await;
    let LoginOutcome::LoggedIn { session, step: Step::Consent } = outcome.unwrap() else { panic!("consent") };
    browser.session = Some(session.reveal().to_owned());
    story.request(|view| format!("{view:?}"), async { issuer.request(&here).view(&browser).await }).await.unwrap();
    let location = story
        .request(|location| format!("{:?}", location.as_ref().map(|location| location.as_str().to_owned())), async {
            issuer.request(&here).decide(&browser, all()).await
        })
        .await;
    let code = parameter(location.unwrap().as_str(), "code").unwrap();

    let token = |pairs: Vec<(&'static str, String)>| {
        let (issuer, here) = (Arc::clone(&issuer), here.clone());
        async move {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            issuer.request(&here).token(None, &form(&pairs)).await
        }
    };
    let shown = |answer: &Result<TokenResponse, _>| match answer {
        Ok(response) => format!("{} {} {:?}", response.scopes, response.expires_in, response.refresh_token.is_some()),
        Err(error) => format!("{error:?}"),
    };
    let id = client.as_str().to_owned();
    let sent = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", id.clone()),
        ("code", code),
        ("code_verifier", VERIFIER.to_owned()),
        ("redirect_uri", CALLBACK.to_owned()),
    ];
    let response = story.request(shown, token(sent)).await.unwrap();
    let refresh = response.refresh_token.unwrap().reveal().to_owned();
    let sent = vec![("grant_type", "refresh_token".to_owned()), ("client_id", id), ("refresh_token", refresh)];
    story.request(shown, token(sent)).await.unwrap();

    let page = async { issuer.request(&here).account(session.reveal()).await };
    story.request(|page| format!("{page:?}"), page).await.unwrap();
    let registered = async { issuer.request(&here).register(body.as_bytes()).await };
    story.request(|registered| format!("{:?}", registered.as_ref().err()), registered).await.unwrap();
    let set = async { issuer.request(&here).redeem_setup(link.reveal(), "another-teapot-42", None).await };
    story.request(|set| matches!(set, Ok(SetupOutcome::Done(Some(_)))).to_string(), set).await.unwrap();
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
    assert!(reloads > 30, "only {reloads} reloads struck");
}
