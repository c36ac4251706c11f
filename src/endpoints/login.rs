//! GET and POST /login: the form for name and password of a pending authorization.

use http::StatusCode;

use crate::issuer::{Handles, LoginOutcome, LoginView, Step, View};
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{RequestBody, Response, reply};

use super::authorize::go_on;
use super::page::LoginPage;
use super::rejection::PageRejection;
use super::visit::{Visit, login_key};

const PURPOSE: &str = "login";

/// One sentence for a wrong password, an unknown name and a disabled account, so that the page does not reveal which
/// names exist.
const REFUSED: &str = "The user name or password is wrong. Check both and try again.";

/// Shows the form, or the page that the transaction is at by now.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    let handles = visit.handles(visit.own_query().await?.get("t").unwrap_or_default())?;
    show_or_go_on(visit, &handles, LoginDisplay::default()).await
}

/// Handles name and password. Where the browser goes next depends only on the transaction.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let handles = visit.handles(form.transaction())?;
    let key = login_key(&handles).ok_or(PageRejection::NoTransactionCookie)?;
    let form = form.check(Some(&key), PURPOSE)?;
    let (name, password) = (form.text("username"), form.text("password"));
    match form.issuer(visit).log_in(&handles, name, password).await? {
        LoginOutcome::LoggedIn { session, step } => {
            let mut response = go_on(&step, &handles.transaction);
            visit.set_session_cookie(response.headers_mut(), &session);
            match step {
                Step::LogIn | Step::Consent => {}
                Step::Account | Step::Redirect(_) => {
                    visit.expire_transaction_cookie(response.headers_mut(), &handles.transaction);
                }
            }
            Ok(response)
        }
        LoginOutcome::Refused => {
            show_or_go_on(visit, &handles, LoginDisplay::again(StatusCode::BAD_REQUEST, name, REFUSED)).await
        }
        LoginOutcome::Throttled(pause) => {
            let problem =
                format!("There were too many sign-in attempts. You can try again in {}.", pages::in_words(pause));
            let again = LoginDisplay::again(StatusCode::TOO_MANY_REQUESTS, name, &problem);
            let mut response = show_or_go_on(visit, &handles, again).await?;
            reply::retry_after(response.headers_mut(), pause.as_pause());
            Ok(response)
        }
    }
}

/// How the page is shown: for the first time unless it says otherwise.
#[derive(Default)]
struct LoginDisplay<'a> {
    status: StatusCode,
    /// The name that was typed.
    username: &'a str,
    /// Why it is shown again.
    problem: Option<&'a str>,
}

impl<'a> LoginDisplay<'a> {
    /// Once more, with the name that was typed.
    const fn again(status: StatusCode, username: &'a str, problem: &'a str) -> Self {
        Self { status, username, problem: Some(problem) }
    }
}

async fn show_or_go_on(
    visit: &Visit<'_>,
    handles: &Handles,
    shown: LoginDisplay<'_>,
) -> Result<Response, PageRejection> {
    match visit.view(handles).await? {
        View::LogIn(view) => show(visit, handles, &view, shown),
        View::Consent(_) | View::NoAccess(_) | View::Waiting(_) => Ok(go_on(&Step::Consent, &handles.transaction)),
        View::Account => Ok(go_on(&Step::Account, &handles.transaction)),
    }
}

fn show(
    visit: &Visit<'_>,
    handles: &Handles,
    view: &LoginView,
    shown: LoginDisplay<'_>,
) -> Result<Response, PageRejection> {
    let key = login_key(handles).ok_or(PageRejection::NoTransactionCookie)?;
    let page = LoginPage {
        frame: Frame::new(visit.config()),
        transaction: &handles.transaction,
        form_token: &key.token(PURPOSE),
        client_name: view.client_name.as_deref(),
        client_has_name: view.client_has_name,
        resource_name: view.resource_name.as_deref(),
        username: shown.username,
        problem: shown.problem,
    };
    Ok(pages::respond(shown.status, &page, FormTarget::Elsewhere))
}
