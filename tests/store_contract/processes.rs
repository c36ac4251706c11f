//! Two processes on one store, such as a server and a command: one winner, one order of changes, and limits that count
//! the writes of both.

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpgate::oauth::{ClientOrigin, Lifetime};
use mcpgate::store::{
    AuditEvent, Change, ChangePosition, Changes, EmbeddedStore, EphemeralLimits, Insertion, LoginPlace, Redemption,
    Rotation, ServerLock, Store, Update,
};

use crate::quotas;
use crate::wait;
use crate::world::*;

/// The folder of the store, and the number of the process: 0 is the server.
const FOLDER: &str = "MCPGATE_TEST_SHARED_STORE";
const NTH: &str = "MCPGATE_TEST_NTH_PROCESS";
/// How long one process waits for another. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of races per case.
const ROUNDS: usize = 40;

/// The state after both processes have exited.
struct Shared {
    store: Arc<dyn Store>,
    /// The output of each process, one line per operation.
    said: [Vec<String>; 2],
    _folder: tempfile::TempDir,
}

fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "the other process did not arrive");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `operation` in two processes that start together, on a store filled by `prepare`, and `beside` in this process
/// meanwhile. Returns `None` in the two children, which run the test named `case` again.
fn in_two_processes(
    case: &str,
    prepare: impl AsyncFnOnce(&Arc<dyn Store>),
    operation: impl AsyncFnOnce(&Arc<dyn Store>, usize) -> Vec<String>,
    beside: impl AsyncFnOnce(&Arc<dyn Store>),
) -> Option<Shared> {
    if let (Some(folder), Some(nth)) = (std::env::var_os(FOLDER), std::env::var_os(NTH)) {
        let (folder, nth) = (Path::new(&folder), nth.to_str().unwrap().parse().unwrap());
        let lock = (nth == 0).then(|| ServerLock::acquire(folder).unwrap());
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&folder.join("mcpgate.db"), lock.as_ref(), START).unwrap());
        std::fs::write(folder.join(format!("ready-{nth}")), "").unwrap();
        until(|| folder.join("go").exists());
        let said = wait(operation(&store, nth));
        std::fs::write(folder.join(format!("said-{nth}")), said.join("\n")).unwrap();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, nth: usize| folder.path().join(format!("{name}-{nth}"));
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&folder.path().join("mcpgate.db"), None, START).unwrap());
    wait(prepare(&store));
    let processes = [0, 1].map(|nth| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", case, "--nocapture"])
            .env(FOLDER, folder.path())
            .env(NTH, nth.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    });
    until(|| at("ready", 0).exists() && at("ready", 1).exists());
    std::fs::write(folder.path().join("go"), "").unwrap();
    wait(beside(&store));
    for mut process in processes {
        assert!(process.wait().unwrap().success(), "one of the processes failed");
    }
    let said = [0, 1].map(|nth| std::fs::read_to_string(at("said", nth)).unwrap().lines().map(str::to_owned).collect());
    assert_eq!(wait(store.check()).unwrap(), Vec::<String>::new());
    Some(Shared { store, said, _folder: folder })
}

impl Shared {
    /// The output of both processes for each round, in alphabetical order.
    fn rounds(&self) -> Vec<[&str; 2]> {
        let [first, second] = &self.said;
        assert_eq!((first.len(), second.len()), (ROUNDS, ROUNDS));
        let mut rounds: Vec<_> = first.iter().zip(second).map(|(one, other)| [one.as_str(), other.as_str()]).collect();
        rounds.iter_mut().for_each(|round| round.sort_unstable());
        rounds
    }

    /// Whether any token issued in a round is still live.
    fn is_any_live(&self, round: usize) -> bool {
        (0..2).any(|nth| wait(is_live(&self.store, &format!("{round} of {nth}"), START)))
    }
}

#[test]
fn cr_01_of_two_processes_one_redeems_a_code_and_the_other_replays_it() {
    let shared = in_two_processes(
        "processes::cr_01_of_two_processes_one_redeems_a_code_and_the_other_replays_it",
        async |store| {
            settle(store).await;
            for round in 0..ROUNDS {
                issue(store, code(&format!("code {round}"), START)).await;
            }
        },
        async |store, nth| {
            let mut said = Vec::new();
            for round in 0..ROUNDS {
                let request = redeem(&format!("code {round}"), &format!("{round} of {nth}"), START);
                said.push(match store.redeem_code(request).await.unwrap() {
                    Redemption::Redeemed(..) => "redeemed".to_owned(),
                    Redemption::Replayed(_) => "replayed".to_owned(),
                    refused @ (Redemption::Refused(_) | Redemption::Unknown) => format!("{refused:?}"),
                });
            }
            said
        },
        async |_| (),
    );
    let Some(shared) = shared else { return };
    for (round, said) in shared.rounds().into_iter().enumerate() {
        assert_eq!(said, ["redeemed", "replayed"], "round {round}");
        assert!(!shared.is_any_live(round), "a fully valid replay revokes the token");
    }
}

#[test]
fn rt_03_rt_04_of_two_processes_one_rotates_a_refresh_token() {
    let is_strict = |round: usize| round.is_multiple_of(2);
    let shared = in_two_processes(
        "processes::rt_03_rt_04_of_two_processes_one_rotates_a_refresh_token",
        async |store| {
            settle(store).await;
            for round in 0..ROUNDS {
                grant(store, &format!("family {round}"), START).await;
            }
        },
        async |store, nth| {
            let mut said = Vec::new();
            for round in 0..ROUNDS {
                let mut request = rotate(&format!("family {round}"), 0, &format!("{round} of {nth}"), START);
                if is_strict(round) {
                    request.presented.grace = Lifetime::default();
                    request.presented.lost_answer = Lifetime::default();
                }
                said.push(match store.rotate_refresh_token(request).await.unwrap() {
                    Rotation::Rotated(grant, _) => format!("made {}", grant.generation),
                    Rotation::Retried(grant, _) => format!("retried {}", grant.generation),
                    Rotation::Reused(_) => "reused".to_owned(),
                    refused @ (Rotation::RetriedLate(..) | Rotation::Refused(_) | Rotation::Unknown) => {
                        format!("{refused:?}")
                    }
                });
            }
            said
        },
        async |_| (),
    );
    let Some(shared) = shared else { return };
    for (round, said) in shared.rounds().into_iter().enumerate() {
        let wished = if is_strict(round) { ["made 1", "reused"] } else { ["made 1", "retried 1"] };
        assert_eq!(said, wished, "round {round}");
        assert_eq!(shared.is_any_live(round), !is_strict(round), "round {round}");
    }
}

#[test]
fn of_two_processes_one_gets_what_is_there_once() {
    let shared = in_two_processes(
        "processes::of_two_processes_one_gets_what_is_there_once",
        async |store| {
            settle(store).await;
            for round in 0..ROUNDS {
                store.put_ephemeral(interaction(&format!("page {round}"), START), PENDING).await.unwrap();
            }
        },
        async |store, nth| {
            let mut said = Vec::new();
            for round in 0..ROUNDS {
                let page = interaction(&format!("page {round}"), START).key.hash;
                let issued = row(AuditEvent::CodeIssued, START);
                let approved =
                    store.insert_code(code(&format!("{round} of {nth}"), START), page, None, issued).await.unwrap();
                let person = account(&format!("person-{round}"));
                let added = store.insert_account(person, row(AuditEvent::AccountAdded, START)).await.unwrap();
                said.push(format!("{approved:?} {added:?}"));
            }
            said
        },
        async |_| (),
    );
    let Some(shared) = shared else { return };
    let count = |word: &str| shared.said.iter().flatten().filter(|said| said.split(' ').any(|s| s == word)).count();
    let winners = [format!("{:?}", Update::Done), format!("{:?}", Insertion::Inserted)].map(|word| count(&word));
    assert_eq!(winners, [ROUNDS; 2], "{:?}", shared.said);
}

/// Reads the changes after a position and advances it; returns the revoked grants.
async fn follow(store: &Arc<dyn Store>, position: &mut ChangePosition) -> Vec<String> {
    let Changes::Next(changes, next) = store.changes_after(position).await.unwrap() else {
        panic!("the log is incomplete after {position:?}")
    };
    *position = next;
    let revoked = |change| {
        let Change::GrantRevoked(_, grant) = change else { panic!("{change:?}") };
        grant.to_string()
    };
    changes.into_iter().map(revoked).collect()
}

#[test]
fn all_processes_learn_in_one_order_of_the_changes_that_two_make() {
    let name = |nth: usize, round: usize| format!("grant {round} of {nth}");
    let (begin, log) = (RefCell::new(None), RefCell::new(Vec::new()));
    let shared = in_two_processes(
        "processes::all_processes_learn_in_one_order_of_the_changes_that_two_make",
        async |store| {
            settle(store).await;
            for round in 0..ROUNDS {
                grant(store, &name(0, round), START).await;
                grant(store, &name(1, round), START).await;
            }
            *begin.borrow_mut() = Some(store.newest_change().await.unwrap());
        },
        async |store, nth| {
            let (mut seen, mut position) = (Vec::new(), store.newest_change().await.unwrap());
            for round in 0..ROUNDS {
                let audit = row(AuditEvent::GrantRevoked, START);
                store.revoke_grant(grant_id(&name(nth, round)), audit).await.unwrap();
                seen.extend(follow(store, &mut position).await);
            }
            seen
        },
        async |store| {
            let (mut position, deadline) = (begin.take().unwrap(), Instant::now() + PATIENCE);
            while log.borrow().len() < 2 * ROUNDS {
                assert!(Instant::now() < deadline, "changes are missing");
                let new = follow(store, &mut position).await;
                log.borrow_mut().extend(new);
            }
        },
    );
    let Some(shared) = shared else { return };
    let log = log.into_inner();
    for (nth, seen) in shared.said.iter().enumerate() {
        let of_it: Vec<_> = (0..ROUNDS).map(|round| grant_id(&name(nth, round)).to_string()).collect();
        assert!(log.iter().filter(|grant| of_it.contains(grant)).eq(&of_it), "the log keeps the order of each process");
        assert!(
            log.windows(seen.len()).any(|part| part == seen),
            "process {nth} has seen {seen:?}, and there is {log:?}"
        );
    }
}

#[test]
fn limits_count_what_two_processes_do() {
    const CLIENTS: u64 = 11;
    const ROOM: usize = 20;
    let limits = EphemeralLimits { of_host: 20, ..PENDING };
    let name = |nth: usize, round: usize| format!("{round} of {nth}");
    let shared = in_two_processes(
        "processes::limits_count_what_two_processes_do",
        async |store| settle(store).await,
        async |store, nth| {
            let mut said = Vec::new();
            for round in 0..ROUNDS {
                let new = client(&format!("{round}-{nth}"), ClientOrigin::Registered);
                let registered = row(AuditEvent::ClientRegistered, START);
                let added = store.insert_client(new, CLIENTS, registered).await.unwrap();
                store.put_ephemeral(interaction(&name(nth, round), START), limits).await.unwrap();
                let network = LoginPlace::Network([192, 0, 2, 0].into());
                let attempt = sign_in("alice", [network; 2], START);
                let failures = store.record_login_failure(attempt, Some(subject("alice"))).await.unwrap();
                said.push(format!("{added:?} {failures}"));
            }
            said
        },
        async |_| (),
    );
    let Some(shared) = shared else { return };
    let (added, mut failures): (Vec<_>, Vec<usize>) = shared
        .said
        .iter()
        .flatten()
        .map(|said| said.split_once(' ').unwrap())
        .map(|(added, failures)| (added, failures.parse::<usize>().unwrap()))
        .unzip();
    let inserted = format!("{:?}", Insertion::Inserted);
    assert_eq!(added.iter().filter(|added| **added == inserted).count(), 10, "wrong number of insertions: {added:?}");
    failures.sort_unstable();
    assert_eq!(failures, (1..=2 * ROUNDS).collect::<Vec<_>>(), "each failure is counted once");
    let pages = (0..2).flat_map(|nth| (0..ROUNDS).map(move |round| interaction(&name(nth, round), START).key));
    let found = pages.filter(|id| wait(shared.store.find_ephemeral(id, START)).unwrap().is_some());
    assert_eq!(found.count(), ROOM);
}

#[test]
fn uses_that_two_processes_count_add_up() {
    let one = || quotas::uses("alice", START, 1);
    let shared = in_two_processes(
        "processes::uses_that_two_processes_count_add_up",
        async |store| settle(store).await,
        async |store, nth| {
            let mut said = Vec::new();
            for _ in 0..ROUNDS {
                let own = quotas::uses(&format!("of {nth}").replace(' ', "-"), START, 2);
                let sums = store.add_quota_uses(&quotas::quota("a"), &[one(), own]).await.unwrap();
                said.push(format!("{} {}", sums[0], sums[1]));
            }
            said
        },
        async |_| (),
    );
    let Some(shared) = shared else { return };
    let sums = |said: &[String], nth: usize| -> Vec<usize> {
        said.iter().map(|sums| sums.split(' ').nth(nth).unwrap().parse().unwrap()).collect()
    };
    let mut common: Vec<usize> = shared.said.iter().flat_map(|said| sums(said, 0)).collect();
    common.sort_unstable();
    assert_eq!(common, (1..=2 * ROUNDS).collect::<Vec<_>>(), "each is told the sum after its own use");
    for said in &shared.said {
        assert_eq!(sums(said, 1), (1..=ROUNDS).map(|n| 2 * n).collect::<Vec<_>>());
    }
}
