//! GET and POST /consent: what the client would be allowed to do, and the user's decision.

use http::StatusCode;

use crate::issuer::{
    AskedScope, AuthorizeRejection, ConsentView, Decision, Face, Handles, Identity, NoAccessView, ShownGroup, Step,
    Ticked, View, WaitingView,
};
use crate::oauth::{OAuthError, Rule};
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{RequestBody, Response};

use super::authorize::go_on;
use super::page::{ConsentPage, NoAccessPage, WaitingPage};
use super::redirect::{self, LocalPath};
use super::rejection::PageRejection;
use super::routes::Endpoint;
use super::switch_account;
use super::visit::{Visit, consent_key};

/// Shown when the form was approved with no scope ticked.
pub(super) const NOTHING_APPROVED: &str = "Tick at least one permission, or deny the request.";

/// Shown when a permission was approved without one that is part of it.
pub(super) const PART_LEFT_OUT: &str = "A permission that you left unticked is part of another one that you ticked, so it would be \
    granted. Untick that one too, or tick both.";

/// Shown when more tools were left unticked over time than can be stored.
pub(super) const TOO_MUCH_LEFT_OUT: &str = "More tools are left out of this connection than can be remembered. Leave out the whole \
    permission instead.";

/// After how many seconds a page that waits reloads itself: few enough that nobody wonders, enough to reach a button
/// with the keyboard.
const CHECK_EVERY: u32 = 10;

/// Shows the form, or the page that the transaction is at by now. A GET decides nothing.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    let query = visit.own_query().await?;
    let handles = visit.handles(query.get("t").unwrap_or_default())?;
    let shown = ConsentDisplay { is_still: query.get("still").is_some(), ..ConsentDisplay::default() };
    show_or_go_on(visit, &handles, shown).await
}

/// Handles the decision. Only scopes that the transaction holds and that are ticked on the current page are granted;
/// nothing else in the form counts but the ticks and the button.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let handles = visit.handles(form.transaction())?;
    if handles.cookie.is_none() {
        return Err(PageRejection::NoTransactionCookie);
    }
    let ticked = form.ticked();
    let purpose = purpose(&Box::pin(visit.offered(&handles)).await?, (form.listed(), form.shown_at()));
    let Ok(form) = form.check(consent_key(&handles).as_ref(), &purpose) else {
        return refuse_stale(visit, &handles, &ticked).await;
    };
    let decision = match form.text("decision") {
        "deny" => Decision::Deny,
        // Neither button is a default: Enter in the form presses the first one, which is Deny.
        "approve" => Decision::Approve(ticked.clone()),
        _ => {
            visit.record(Face::Page, Rule::DecisionMissing).await;
            let error = OAuthError::new(Rule::DecisionMissing, "the form has neither approve nor deny");
            return Err(AuthorizeRejection::Page(error).into());
        }
    };
    let again = |problem| ConsentDisplay::again(StatusCode::BAD_REQUEST, &ticked, problem);
    let location = match Box::pin(form.issuer(visit).decide(&handles, decision)).await {
        Err(AuthorizeRejection::NothingApproved) => {
            return show_or_go_on(visit, &handles, again(NOTHING_APPROVED)).await;
        }
        Err(AuthorizeRejection::PartLeftOut) => return show_or_go_on(visit, &handles, again(PART_LEFT_OUT)).await,
        // The page says who has to let it in.
        Err(AuthorizeRejection::NotApproved) => return show_or_go_on(visit, &handles, ConsentDisplay::default()).await,
        Err(AuthorizeRejection::TooMuchLeftOut) => {
            return show_or_go_on(visit, &handles, again(TOO_MUCH_LEFT_OUT)).await;
        }
        decided => decided?,
    };
    let mut response = redirect::to_client(&location);
    visit.expire_transaction_cookie(response.headers_mut(), &handles.transaction);
    Ok(response)
}

/// Returns the purpose in the form's token: a decision on exactly these scopes with these descriptions, and these
/// tools at the moment when the page was made. If a reload changes the scopes, an older page cannot approve what its
/// reader has not seen. Tools come and go, and change, so the form carries those that its reader saw, and when.
fn purpose(shown: &[AskedScope], (listed, shown_at): (&str, &str)) -> String {
    let mut purpose = "consent".to_owned();
    for scope in shown {
        let includes = scope.includes.to_string();
        for text in [scope.name.as_str(), &scope.title, &scope.description, &includes] {
            // With its length, so that no two lists give the same text.
            purpose += &format!(" {}:{text}", text.len());
        }
        let marks = [(scope.sensitive, '!'), (scope.is_requested, '?'), (scope.is_held, '=')];
        purpose.extend(marks.iter().filter(|(is_marked, _)| *is_marked).map(|(_, mark)| mark));
    }
    format!("{purpose} {shown_at} {listed}")
}

/// Handles a form whose token is for another session or other scopes, or is invalid. Often the user has signed in again
/// in another tab, or approved the same application there, so the page is shown again with the current account and what
/// the application holds, and nothing is decided.
async fn refuse_stale(visit: &Visit<'_>, handles: &Handles, ticked: &Ticked) -> Result<Response, PageRejection> {
    match visit.view(handles).await? {
        View::Consent(view) => {
            visit.record(Face::Page, Rule::FormToken).await;
            let problem = "You have signed in again since this page was opened, the application has got access \
                           meanwhile, or the request has changed. Check it again, then decide.";
            show(visit, handles, &view, ConsentDisplay::again(StatusCode::FORBIDDEN, ticked, problem))
        }
        View::Waiting(view) => show_waiting(visit, handles, &view, false),
        View::LogIn(_) | View::NoAccess(_) | View::Account => Err(PageRejection::StaleForm),
    }
}

/// How the page is shown: for the first time unless it says otherwise.
#[derive(Default)]
struct ConsentDisplay<'a> {
    status: StatusCode,
    /// What the reader has ticked so far.
    ticked: Option<&'a Ticked>,
    /// Why it is shown again.
    problem: Option<&'a str>,
    /// Whether a page that waits does not reload itself.
    is_still: bool,
}

impl<'a> ConsentDisplay<'a> {
    /// Once more, as the reader left it.
    const fn again(status: StatusCode, ticked: &'a Ticked, problem: &'a str) -> Self {
        Self { status, ticked: Some(ticked), problem: Some(problem), is_still: false }
    }
}

async fn show_or_go_on(
    visit: &Visit<'_>,
    handles: &Handles,
    shown: ConsentDisplay<'_>,
) -> Result<Response, PageRejection> {
    match visit.view(handles).await? {
        View::Consent(view) => show(visit, handles, &view, shown),
        View::NoAccess(view) => show_no_access(visit, handles, &view),
        View::Waiting(view) => show_waiting(visit, handles, &view, shown.is_still),
        View::LogIn(_) => Ok(go_on(&Step::LogIn, &handles.transaction)),
        View::Account => Ok(go_on(&Step::Account, &handles.transaction)),
    }
}

fn show(
    visit: &Visit<'_>,
    handles: &Handles,
    view: &ConsentView,
    shown: ConsentDisplay<'_>,
) -> Result<Response, PageRejection> {
    let key = consent_key(handles).ok_or(PageRejection::NoTransactionCookie)?;
    let groups = |scope: &AskedScope| -> Vec<_> {
        scope.groups.iter().map(|group| ShownGroup::of(&scope.name, group)).collect()
    };
    let listed = ShownGroup::to_field(&view.scopes.iter().flat_map(groups).collect::<Vec<_>>());
    let page = ConsentPage {
        frame: Frame::new(visit.config()),
        transaction: &handles.transaction,
        form_token: &key.token(&purpose(&view.scopes, (&listed, &view.shown_at.as_millis().to_string()))),
        listed: &listed,
        switch_token: &key.token(switch_account::PURPOSE),
        view,
        ticked: shown.ticked,
        lifetime: pages::in_words(view.lifetime),
        remembered: remembered(view),
        problem: shown.problem,
    };
    Ok(pages::respond(shown.status, &page, FormTarget::Elsewhere))
}

/// Shows that the account has no access; the only decision that it offers is to deny.
fn show_no_access(visit: &Visit<'_>, handles: &Handles, view: &NoAccessView) -> Result<Response, PageRejection> {
    let key = consent_key(handles).ok_or(PageRejection::NoTransactionCookie)?;
    let page = NoAccessPage {
        frame: Frame::new(visit.config()),
        transaction: &handles.transaction,
        form_token: &key.token(&purpose(&[], ("", ""))),
        switch_token: &key.token(switch_account::PURPOSE),
        view,
    };
    Ok(pages::respond(StatusCode::FORBIDDEN, &page, FormTarget::Elsewhere))
}

/// Shows that the client waits for an operator, on a page that reloads itself, or that it was rejected. The only
/// decision that it offers is to deny.
fn show_waiting(
    visit: &Visit<'_>,
    handles: &Handles,
    view: &WaitingView,
    is_still: bool,
) -> Result<Response, PageRejection> {
    let key = consent_key(handles).ok_or(PageRejection::NoTransactionCookie)?;
    let page = WaitingPage {
        frame: Frame::new(visit.config()),
        transaction: &handles.transaction,
        form_token: &key.token(&purpose(&[], ("", ""))),
        switch_token: &key.token(switch_account::PURPOSE),
        view,
        rest: view.rest.map(pages::in_words),
        every: CHECK_EVERY,
        is_still,
    };
    let status = if view.rest.is_some() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let mut response = pages::respond(status, &page, FormTarget::Elsewhere);
    if view.rest.is_some() && !is_still {
        let path = LocalPath::to(Endpoint::Consent).with("t", &handles.transaction);
        redirect::reload(&visit.config().public_path, response.headers_mut(), &path, CHECK_EVERY);
    }
    Ok(response)
}

/// Returns the sentence that says for how long an approval is remembered, and on what condition.
fn remembered(view: &ConsentView) -> Option<String> {
    let lifetime = pages::in_words(view.remembered?);
    Some(match &view.identity {
        Identity::Published(host) => format!("{lifetime}, as long as you come from {host}"),
        Identity::Added | Identity::OnThisComputer | Identity::Unverified => lifetime,
    })
}
