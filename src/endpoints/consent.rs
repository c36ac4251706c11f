//! GET and POST /consent: what the client would be allowed to do, and the user's decision.

use http::StatusCode;

use crate::issuer::{AuthorizeRejection, ConsentView, Decision, Face, Handles, Step, View};
use crate::oauth::{ErrorCode, Form, OAuthError, ScopeSet, ScopeToken};
use crate::web::{RequestBody, Response, reply};

use super::authorize::go_on;
use super::page::{self, ConsentPage, Frame, Leads};
use super::rejection::PageRejection;
use super::switch_account;
use super::visit::{Visit, consent_key};

const PURPOSE: &str = "consent";

/// What the page says when it is shown again because no scope was left ticked.
pub(super) const NOTHING_APPROVED: &str = "Tick at least one permission, or deny the request.";

/// Shows the form, or the page that the transaction has meanwhile come to. A GET decides nothing.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    let handles = visit.handles(&visit.query()?)?;
    show_or_go_on(visit, StatusCode::OK, &handles, None).await
}

/// Takes the decision. What is granted is what the transaction holds; of the form only ticks and button count.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let handles = visit.handles(&form)?;
    if handles.cookie.is_none() {
        return Err(PageRejection::NoTransactionCookie);
    }
    if Visit::check_token(&form, consent_key(&handles).as_ref(), PURPOSE).is_err() {
        return refuse_stale(visit, &handles).await;
    }
    let location = match visit.issuer.decide(&handles, decision(&form)?, visit.caller).await {
        Err(AuthorizeRejection::NothingApproved) => {
            return show_or_go_on(visit, StatusCode::BAD_REQUEST, &handles, Some(NOTHING_APPROVED)).await;
        }
        decided => decided?,
    };
    let mut response = reply::see_other(&location);
    visit.expire_transaction_cookie(response.headers_mut(), &handles.transaction);
    Ok(response)
}

/// Reads the decision. Neither button is a default: Enter in the form presses the first one, which is Deny.
fn decision(form: &Form) -> Result<Decision, PageRejection> {
    match form.get("decision") {
        Some("deny") => Ok(Decision::Deny),
        Some("approve") if form.get("choice").is_none() => Ok(Decision::Approve(None)),
        Some("approve") => {
            let ticked: ScopeSet = form.all("scope").filter_map(|scope| ScopeToken::parse(scope).ok()).collect();
            Ok(Decision::Approve(Some(ticked)))
        }
        _ => Err(AuthorizeRejection::Page(OAuthError::new(
            ErrorCode::InvalidRequest,
            "the form says neither approve nor deny",
        ))
        .into()),
    }
}

/// The form was made for another session, or by nobody. Often it is the user who signed in again in another tab:
/// so the page is shown anew, naming the account as it is now, and nothing is decided.
async fn refuse_stale(visit: &Visit<'_>, handles: &Handles) -> Result<Response, PageRejection> {
    match visit.issuer.view(handles, visit.caller).await? {
        View::Consent(view) => {
            visit.issuer.record_refused_by(Face::Page, "form_token", visit.caller).await;
            let problem = "You have signed in again since this page was opened. Look at it once more, then decide.";
            show(visit, StatusCode::FORBIDDEN, handles, &view, Some(problem))
        }
        View::LogIn(_) | View::Account => Err(PageRejection::StaleForm),
    }
}

async fn show_or_go_on(
    visit: &Visit<'_>,
    status: StatusCode,
    handles: &Handles,
    problem: Option<&str>,
) -> Result<Response, PageRejection> {
    match visit.issuer.view(handles, visit.caller).await? {
        View::Consent(view) => show(visit, status, handles, &view, problem),
        View::LogIn(_) => Ok(go_on(&Step::LogIn, &handles.transaction)),
        View::Account => Ok(go_on(&Step::Account, &handles.transaction)),
    }
}

fn show(
    visit: &Visit<'_>,
    status: StatusCode,
    handles: &Handles,
    view: &ConsentView,
    problem: Option<&str>,
) -> Result<Response, PageRejection> {
    let key = consent_key(handles).ok_or(PageRejection::NoTransactionCookie)?;
    let page = ConsentPage {
        frame: Frame::new(visit.config),
        transaction: &handles.transaction,
        form_token: &key.token(PURPOSE),
        switch_token: &key.token(switch_account::PURPOSE),
        view,
        lifetime: page::in_words(view.lifetime),
        remembered: view.remembered.map(page::in_words),
        problem,
    };
    Ok(page::respond(status, &page, Leads::ToClient))
}
