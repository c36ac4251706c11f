//! ST-02: the process is killed at random moments while clients redeem codes and refresh and revoke tokens over real
//! HTTP. After each restart no acknowledged change is lost, no revoked token is valid again, and no code and no refresh
//! generation is accepted twice. `MCPGATE_KILLS` sets the total number of kills.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;

use crate::expect;
use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens};
use crate::support::client::{Client, Reply, encoded};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

/// Gateways that run in parallel, each with its own data.
const INSTANCES: usize = 4;
/// Users who are active at each gateway when it is killed.
const WORKERS: usize = 3;
/// The time within which the users of a killed gateway must have noticed.
const STOPPED: Duration = Duration::from_secs(90);
/// Codes that each user holds when the work begins.
const CODES: usize = 3;

/// The state of one grant, as far as its user was told.
#[derive(Debug, Clone)]
struct Grant {
    code: Authorized,
    tokens: Tokens,
    /// Acknowledged refresh tokens before the current one, the newest last.
    older: Vec<String>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The last request was acknowledged.
    Live,
    /// A refresh was sent and not answered.
    Refreshing,
    /// A revocation was sent and not answered.
    Revoking,
    /// The revocation was acknowledged.
    Dead,
}

/// Counts the activity: a kill that interrupts nothing proves nothing.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: AtomicU64,
    interrupted: AtomicU64,
    misused: AtomicU64,
}

/// One user with an application, and what the user knows.
struct User {
    tally: Arc<Tally>,
    application: Application,
    browser: Browser,
    codes: Vec<Authorized>,
    /// Codes whose redemption was sent and not answered.
    doubtful: Vec<Authorized>,
    grants: Vec<Grant>,
    dice: Dice,
}

/// A small random generator. Its seed does not make a run repeatable, because the moment of the kill is not repeatable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<'a, T>(&mut self, from: &'a mut [T]) -> Option<&'a mut T> {
        let count = u64::try_from(from.len()).expect("a count");
        let at = if count == 0 { 0 } else { self.below(count) };
        from.get_mut(usize::try_from(at).expect("an index"))
    }
}

fn form_of_refresh<'a>(application: &'a Application, token: &'a str) -> [(&'a str, &'a str); 3] {
    [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &application.client_id)]
}

/// Returns how many grants of an application are active.
fn standing(home: &Home, application: &Application) -> usize {
    let listed = home.command(&["session", "list", "--client", &application.client_id]);
    listed.as_array().expect("a list").len()
}

impl User {
    async fn new(home: &Home, seed: u64, tally: Arc<Tally>) -> Self {
        let application = Application::register(home, CALLBACK).await;
        let browser = Browser::new(home);
        Self { tally, application, browser, codes: vec![], doubtful: vec![], grants: vec![], dice: Dice(seed) }
    }

    /// Gets consent for a few codes. The session survives the kills, so only the first consent needs a password.
    async fn prepare(&mut self, home: &Home) {
        self.browser.client = Client::new(home);
        for _ in 0..CODES {
            self.codes.push(self.application.authorize(&mut self.browser).await);
        }
    }

    /// Sends requests until the gateway is gone.
    async fn work(&mut self, home: &Home) {
        let mut client = Client::new(home);
        loop {
            let goes_on = match self.dice.below(10) {
                0..3 => self.redeem(&mut client).await,
                3..9 => self.refresh(&mut client).await,
                _ => self.revoke(&mut client).await,
            };
            if !goes_on {
                self.tally.interrupted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn redeem(&mut self, client: &mut Client) -> bool {
        let Some(code) = self.codes.pop() else { return self.refresh(client).await };
        match client.try_post_form("/token", &self.application.redemption(&code)).await {
            Ok(reply) => {
                let tokens = Tokens::from(&reply);
                self.grants.push(Grant { code, tokens, older: vec![], state: State::Live });
                true
            }
            Err(_) => {
                self.doubtful.push(code);
                false
            }
        }
    }

    async fn refresh(&mut self, client: &mut Client) -> bool {
        let application = self.application.clone();
        let mut live: Vec<_> = self.grants.iter_mut().filter(|grant| grant.state == State::Live).collect();
        let Some(grant) = self.dice.pick(&mut live) else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            return client.is_alive().await;
        };
        match client.try_post_form("/token", &form_of_refresh(&application, &grant.tokens.refresh)).await {
            Ok(reply) => {
                grant.advance(Tokens::from(&reply));
                true
            }
            Err(_) => {
                grant.state = State::Refreshing;
                false
            }
        }
    }

    async fn revoke(&mut self, client: &mut Client) -> bool {
        let id = self.application.client_id.clone();
        let mut live: Vec<_> = self.grants.iter_mut().filter(|grant| grant.state == State::Live).collect();
        let Some(grant) = self.dice.pick(&mut live) else { return true };
        match client.try_post_form("/revoke", &[("token", &grant.tokens.refresh), ("client_id", &id)]).await {
            Ok(reply) => {
                assert_eq!(reply.status, 200, "{reply:?}");
                grant.state = State::Dead;
                true
            }
            Err(_) => {
                grant.state = State::Revoking;
                false
            }
        }
    }

    /// Compares the behaviour of the restarted gateway with what was acknowledged.
    async fn check(&mut self, home: &Home) {
        let mut client = Client::new(home);
        // An unanswered redemption was committed completely or not at all.
        for code in self.doubtful.drain(..) {
            let before = standing(home, &self.application);
            let reply = self.application.redeem(&mut client, &code).await;
            match reply.status {
                200 => {
                    let tokens = Tokens::from(&reply);
                    self.grants.push(Grant { code, tokens, older: vec![], state: State::Live });
                }
                // The code was redeemed before the kill. The tokens that it issued never reached the user, and are
                // revoked now.
                _ => {
                    expect::refused(&reply, "invalid_grant");
                    assert_eq!(
                        standing(home, &self.application) + 1,
                        before,
                        "tokens that no client received are valid"
                    );
                }
            }
        }
        self.codes.clear();
        for grant in &mut self.grants {
            grant.check(&self.application, &mut client).await;
        }
        // Revoked grants are checked once more; some tokens are spent to see that none works twice.
        for grant in &mut self.grants {
            if grant.state == State::Live && self.dice.below(8) == 0 {
                self.tally.misused.fetch_add(1, Ordering::Relaxed);
                grant.misuse(&self.application, &mut client, self.dice.below(2) == 0).await;
            }
        }
        let crowd = self.grants.len().saturating_sub(24);
        self.grants.drain(..crowd);
    }
}

impl Grant {
    fn advance(&mut self, tokens: Tokens) {
        self.older.push(std::mem::replace(&mut self.tokens, tokens).refresh);
    }

    async fn check(&mut self, application: &Application, client: &mut Client) {
        match self.state {
            State::Live => {
                let reply = client.call("/mcp", &self.tokens.access, "kills").await;
                assert_eq!(reply.status, 200, "an acknowledged token is lost: {reply:?}");
            }
            State::Refreshing => {
                // Committed or not, the same token still works within the grace, so no user is logged out.
                self.state = State::Live;
                self.advance(Tokens::from(&application.refresh(client, &self.tokens.refresh).await));
            }
            State::Revoking => {
                let reply = application.refresh(client, &self.tokens.refresh).await;
                if reply.status == 200 {
                    self.state = State::Live;
                    self.advance(Tokens::from(&reply));
                } else {
                    expect::refused(&reply, "invalid_grant");
                    self.state = State::Dead;
                }
            }
            State::Dead => self.assert_dead(application, client).await,
        }
    }

    /// Presents a used code or refresh token: it is refused, and the family ends.
    async fn misuse(&mut self, application: &Application, client: &mut Client, by_code: bool) {
        let reply: Reply = match self.older.len() {
            // The preceding generation is still within its grace; the one before it is not.
            count if count >= 2 && !by_code => application.refresh(client, &self.older[count - 2]).await,
            _ => application.redeem(client, &self.code).await,
        };
        expect::refused(&reply, "invalid_grant");
        self.state = State::Dead;
        self.assert_dead(application, client).await;
    }

    async fn assert_dead(&self, application: &Application, client: &mut Client) {
        let status = client.call("/mcp", &self.tokens.access, "kills").await.status;
        assert_eq!(status, 401, "a revoked token is valid again");
        expect::refused(&application.refresh(client, &self.tokens.refresh).await, "invalid_grant");
    }
}

async fn survive(upstream: String, kills: u64, seed: u64, tally: Arc<Tally>) {
    let mut gateway: Gateway = Home::new("", Some(upstream)).start().await;
    let mut dice = Dice(seed);
    let mut users = Vec::new();
    for number in 0..WORKERS {
        let seed = seed ^ (u64::try_from(number).expect("a number") + 1);
        users.push(User::new(&gateway.home, seed, Arc::clone(&tally)).await);
    }
    for _ in 0..kills {
        let home = &gateway.home;
        join_all(users.iter_mut().map(|user| user.prepare(home))).await;
        let moment = Duration::from_micros(dice.below(150_000));
        let killer = async {
            tokio::time::sleep(moment).await;
            gateway.signal("KILL");
        };
        let work = join_all(users.iter_mut().map(|user| user.work(home)));
        let ended = tokio::time::timeout(STOPPED, async { tokio::join!(killer, work) }).await;
        ended.expect("the users stop when the gateway is killed");
        gateway = gateway.kill().start().await;
        let home = &gateway.home;
        join_all(users.iter_mut().map(|user| user.check(home))).await;
    }
    gateway.home.command(&["db", "check"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_02_kills_lose_nothing_and_bring_nothing_back() {
    let requested = std::env::var_os("MCPGATE_KILLS").and_then(|text| text.to_str()?.parse().ok());
    let kills: u64 = requested.unwrap_or(40);
    let instances = u64::try_from(INSTANCES).expect("a number");
    let upstream = Upstream::start();
    let tally = Arc::new(Tally::default());
    let mut running = tokio::task::JoinSet::new();
    for number in 0..instances {
        let share = kills / instances + u64::from(number < kills % instances);
        running.spawn(survive(
            upstream.url.clone(),
            share,
            0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1),
            Arc::clone(&tally),
        ));
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("the instance runs to its end");
    }
    println!("{kills} kills: {tally:?}");
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert!(of(&tally.interrupted) >= kills && of(&tally.acknowledged) >= 3 * kills && of(&tally.misused) > 0);
}

#[tokio::test]
async fn cr_12_a_code_spent_before_a_kill_is_refused_and_ends_what_it_gave() {
    let gateway = Gateway::start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let mut browser = Browser::new(&gateway.home);
    let code = application.authorize(&mut browser).await;
    // The code is redeemed by a client that disconnects before the answer.
    let form = encoded(&application.redemption(&code));
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        gateway.home.public.port(),
        form.len()
    );
    let mut line = Client::new(&gateway.home).raw().await.expect("a connection");
    line.write_all(format!("{head}{form}").as_bytes()).await.expect("the request is sent");
    line.flush().await.expect("the request is sent");
    let began = Instant::now();
    while standing(&gateway.home, &application) == 0 {
        assert!(began.elapsed() < STOPPED, "the code was not redeemed");
    }
    drop(line);
    let gateway = gateway.kill().start().await;
    assert_eq!(standing(&gateway.home, &application), 1, "the committed grant is missing");
    let mut client = Client::new(&gateway.home);
    expect::refused(&application.redeem(&mut client, &code).await, "invalid_grant");
    assert_eq!(standing(&gateway.home, &application), 0, "tokens that no client received are valid");
    browser.client = Client::new(&gateway.home);
    let again = application.authorize(&mut browser).await;
    assert_eq!(application.redeem(&mut client, &again).await.status, 200);
}
