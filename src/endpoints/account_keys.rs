//! POST /account/keys: makes an API key for the signed-in person, and shows it once.

use http::StatusCode;

use crate::issuer::{KeyLifetime, KeyMade, OwnKey};
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{FormKey, RequestBody, Response, reply};

use super::account::{Notice, PURPOSE, show_again};
use super::page::KeyMadePage;
use super::redirect::{self, LocalPath};
use super::rejection::PageRejection;
use super::routes::Endpoint;
use super::visit::Visit;

/// Makes the key; the page is shown again if it is refused.
pub(super) async fn make(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let Some(session) = visit.session()? else { return Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))) };
    let form = form.check(FormKey::new(&[session]).as_ref(), PURPOSE)?;
    let wish = OwnKey {
        present: form.text("present"),
        upstream: form.text("upstream"),
        name: form.text("name"),
        scopes: form.scopes(),
        lifetime: KeyLifetime::parse(form.text("life")).unwrap_or(KeyLifetime::Usual),
    };
    let again = async |status, why: &str| show_again(visit, status, Notice::no_key(wish.upstream, why)).await;
    match form.issuer(visit).make_own_key(session, &wish).await? {
        KeyMade::Done(made) => {
            let name = made.grant.key.as_ref().map(|key| key.name.as_str()).unwrap_or_default();
            let until = made.grant.end().map(|end| end.day());
            let frame = Frame::new(visit.config());
            let page = KeyMadePage { frame, name, key: made.key.reveal(), until };
            Ok(pages::respond(StatusCode::OK, &page, FormTarget::Home))
        }
        KeyMade::SignedOut => Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))),
        KeyMade::Wrong => again(StatusCode::BAD_REQUEST, "The current password is wrong.").await,
        KeyMade::Refused(why) => again(StatusCode::BAD_REQUEST, &format!("No key was made: {why}.")).await,
        KeyMade::NotOffered => again(StatusCode::BAD_REQUEST, "Choose at least one permission.").await,
        KeyMade::TooMany => again(StatusCode::BAD_REQUEST, "You have too many API keys. Revoke some first.").await,
        KeyMade::SwitchedOff => again(StatusCode::FORBIDDEN, "API keys are switched off at the moment.").await,
        KeyMade::Throttled(pause) => {
            let why = format!("There were too many wrong passwords. You can try again in {}.", pages::in_words(pause));
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, &why).await?;
            reply::retry_after(response.headers_mut(), pause.as_pause());
            Ok(response)
        }
    }
}
