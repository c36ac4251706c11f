//! Who may hold a token, asked after login, at redemption and at refresh.

use std::collections::BTreeSet;

use mcpgate::config::Config;
use mcpgate::issuer::{AuthorizeRejection, ConsentView, Decision, Handles, Step, View};
use mcpgate::oauth::{AccountId, Client, GroupName, GroupSet, LoginName, ScopeSet, ScopeToken};
use mcpgate::policy::AccountList;
use mcpgate::store::AuditEvent;

use super::driver::*;

const BOTH: (&str, &str) = ("scope", "sales:read sales:write");

fn members_of(group: &str) -> AccountList {
    AccountList { groups: [GroupName::parse(group).unwrap()].into_iter().collect(), ..AccountList::default() }
}

/// Staff may hold a token for `sales`, and admins `sales:write`.
fn limit(config: &mut Config) {
    let holders = &mut config.upstreams[0].holders;
    holders.admitted = Some(members_of("staff"));
    holders.limited = vec![(ScopeToken::parse("sales:write").unwrap(), members_of("admins"))];
}

/// Ada with her groups, and a client of hers.
async fn world(groups: &[&str]) -> (World, AccountId, Client) {
    let world = World::with(limit).await;
    let ada = world.account("ada").await;
    for group in groups {
        join(&world, group, &ada).await;
    }
    let client = world.manual_client("Vouched", CALLBACK, None).await;
    (world, ada, client)
}

async fn join(world: &World, group: &str, who: &AccountId) {
    world.inner().add_member(&GroupName::parse(group).unwrap(), who, world.row()).await.unwrap();
}

async fn leave(world: &World, group: &str, who: &AccountId) {
    world.inner().remove_member(&GroupName::parse(group).unwrap(), who, world.row()).await.unwrap();
}

async fn at_consent(world: &World, client: &Client, extra: &[(&str, &str)]) -> Handles {
    let mut browser = world.browser(&client.id, extra).await;
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    browser
}

async fn shown(world: &World, browser: &Handles) -> Option<ConsentView> {
    match world.request(&caller(1)).view(browser).await.unwrap() {
        View::Consent(page) => Some(*page),
        View::NoAccess(page) => {
            assert_eq!((page.account.as_str(), page.resource_name.as_str()), ("ada", "The sales server"));
            None
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_consent_page_shows_and_grants_only_what_the_person_may_hold() {
    for (groups, left) in [(&["staff"][..], "sales:read"), (&["staff", "admins"], "sales:read sales:write")] {
        let (world, _, client) = world(groups).await;
        let browser = at_consent(&world, &client, &[BOTH]).await;
        let names: Vec<_> = shown(&world, &browser).await.unwrap().scopes.into_iter().map(|scope| scope.name).collect();
        assert_eq!(ScopeSet::from_iter(names).to_string(), left);
        // Ticks that the page does not have count for nothing.
        let location = world.request(&caller(1)).decide(&browser, all()).await.unwrap();
        let tokens = world.redeem(&client.id, &parameter(&location, "code").unwrap()).await.unwrap();
        assert_eq!(tokens.scopes, left);
    }
}

#[tokio::test]
async fn who_may_hold_nothing_is_told_so_and_the_client_gets_access_denied() {
    // Not admitted; and admitted, but to none of the requested scopes.
    for (groups, asked) in [(&["admins"][..], BOTH), (&["staff"], ("scope", "sales:write"))] {
        let (world, _, client) = world(groups).await;
        let browser = at_consent(&world, &client, &[asked]).await;
        assert!(shown(&world, &browser).await.is_none());
        let approved = world.request(&caller(1)).decide(&browser, all()).await;
        assert!(matches!(approved, Err(AuthorizeRejection::NothingApproved)), "{approved:?}");
        let location = world.request(&caller(1)).decide(&browser, Decision::Deny).await.unwrap();
        assert_eq!(parameter(&location, "error").as_deref(), Some("access_denied"));
        assert_eq!(world.last_event().await, AuditEvent::AuthorizationDenied);
        let silent = world.begin(&client.id, &[asked, ("prompt", "none")], browser.session.as_deref()).await;
        assert_eq!(redirected(silent), "access_denied");
    }
}

#[tokio::test]
async fn remembered_consent_gives_only_what_the_person_may_still_hold() {
    let (world, ada, client) = world(&["staff", "admins"]).await;
    let browser = at_consent(&world, &client, &[BOTH]).await;
    world.request(&caller(1)).decide(&browser, all()).await.unwrap();
    leave(&world, "admins", &ada).await;
    let again = world.begin(&client.id, &[BOTH], browser.session.as_deref()).await.unwrap();
    let Step::Redirect(location) = again.step else { panic!("{again:?}") };
    let code = parameter(&location, "code").unwrap();
    assert_eq!(world.redeem(&client.id, &code).await.unwrap().scopes, "sales:read");
    leave(&world, "staff", &ada).await;
    let again = world.begin(&client.id, &[BOTH], browser.session.as_deref()).await.unwrap();
    assert!(matches!(again.step, Step::Consent), "{again:?}");
    let again = Handles { session: browser.session.clone(), ..handles(again) };
    assert!(shown(&world, &again).await.is_none());
}

#[tokio::test]
async fn redemption_and_refresh_give_what_the_person_may_hold_then() {
    let (world, ada, client) = world(&["staff", "admins"]).await;
    let code = world.code(&client.id, &[BOTH], "ada").await;
    leave(&world, "admins", &ada).await;
    let first = world.redeem(&client.id, &code).await.unwrap();
    assert_eq!(first.scopes, "sales:read");
    let fresh = at_consent(&world, &client, &[BOTH, ("prompt", "consent")]).await;
    let location = world.request(&caller(1)).decide(&fresh, all()).await.unwrap();
    leave(&world, "staff", &ada).await;
    let code = parameter(&location, "code").unwrap();
    assert_eq!(refused(world.redeem(&client.id, &code).await), "invalid_grant");
    assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant");
    // The refusal has not cost the client its token; nor does leaving end the grant.
    join(&world, "staff", &ada).await;
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    assert_eq!(second.scopes, "sales:read");
    // The grant had both when the code was issued, so who joins again gets both again.
    join(&world, "admins", &ada).await;
    assert_eq!(world.refresh(&client.id, &second.refresh).await.unwrap().scopes, "sales:read sales:write");
}

#[tokio::test]
async fn an_upstream_names_users_as_well_and_a_reload_counts_at_once() {
    let (world, _, client) = world(&["staff"]).await;
    let tokens = world.sign_in(&client.id, &[("scope", "sales:read")], "ada").await;
    let only = |user: &str| {
        let users: BTreeSet<_> = LoginName::parse(user).into_iter().collect();
        world.reload(|config| {
            config.upstreams[0].holders.admitted = Some(AccountList { users, groups: GroupSet::default() });
        });
    };
    only("grace");
    assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_grant");
    only("ada");
    assert_eq!(world.refresh(&client.id, &tokens.refresh).await.unwrap().scopes, "sales:read");
}
