//! Repeated kills during writes: acknowledged operations survive, and none survives in part.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mcpgate::store::{AuditEvent, Rotation, Store};

use super::open_store;
use crate::wait;
use crate::world::*;

const ROUNDS: usize = 40;
const FAMILIES: usize = 8;
const FILE: &str = "MCPGATE_TEST_KILLED_STORE";
const ROUND: &str = "MCPGATE_TEST_KILLED_ROUND";

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// The process that is killed: several threads rotate and revoke, and print each operation once it is acknowledged.
fn victim(file: &Path, round: &str) {
    let store = open_store(file);
    wait(settle_once(&store));
    std::thread::scope(|threads| {
        for n in 0..FAMILIES {
            let store = &store;
            threads.spawn(move || {
                for family in 0.. {
                    let name = format!("r{round} t{n} f{family}");
                    wait(async {
                        grant(store, &name, START).await;
                        tell(&format!("ACK granted {name}"));
                        for generation in 0..6 {
                            let token = format!("{name} {generation}");
                            rotated(
                                store.rotate_refresh_token(rotate(&name, generation, &token, START)).await.unwrap(),
                            );
                            tell(&format!("ACK rotated {name} {}", generation + 1));
                        }
                        let revoked = row(AuditEvent::GrantRevoked, START);
                        store.revoke_grant(grant_id(&name), revoked).await.unwrap();
                        tell(&format!("ACK revoked {name}"));
                    });
                }
            });
        }
    });
}

async fn settle_once(store: &Arc<dyn Store>) {
    if store.list_accounts(&tenant()).await.unwrap().is_empty() {
        settle(store).await;
    }
}

/// The state of a family after its last acknowledged operation.
#[derive(Default, Debug)]
struct Acknowledged {
    generation: u32,
    revoked: bool,
}

async fn assert_kept(store: &Arc<dyn Store>, told: &HashMap<String, Acknowledged>) {
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    for (name, acknowledged) in told {
        let found = store.find_grant(&tenant(), grant_id(name)).await.unwrap().expect("a granted family is there");
        assert!(found.generation >= acknowledged.generation, "{name}: {found:?}, {acknowledged:?}");
        // One operation was under way, and the line of another may have been truncated.
        assert!(found.generation <= acknowledged.generation + 2, "{name}: {found:?}, {acknowledged:?}");
        if acknowledged.revoked {
            assert!(found.revoked_at.is_some(), "{name} was revoked");
            let token = format!("{name} {}", acknowledged.generation.saturating_sub(1));
            assert!(!is_live(store, &token, START).await, "{name} has a token");
        }
        // A generation is used once, whichever process used it.
        if acknowledged.generation > 0 && found.revoked_at.is_none() {
            let late = START.plus(DAY).plus(HOUR);
            let reused =
                store.rotate_refresh_token(rotate(name, acknowledged.generation - 1, "x", late)).await.unwrap();
            assert!(matches!(reused, Rotation::Reused(_)), "{name}: {reused:?}");
        }
    }
}

#[test]
fn st_02_kills_lose_nothing_acknowledged() {
    if let (Some(file), Some(round)) = (std::env::var_os(FILE), std::env::var_os(ROUND)) {
        return victim(Path::new(&file), round.to_str().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcpgate.db");
    for round in 0..ROUNDS {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::kill::st_02_kills_lose_nothing_acknowledged", "--nocapture"])
            .env(FILE, &file)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut told: HashMap<String, Acknowledged> = HashMap::new();
        let mut count = 0;
        // A prime step, so that kills hit every kind of operation.
        let enough = 1 + (round * 37) % 300;
        let mut note = |line: String| {
            let Some((_, told_line)) = line.split_once("ACK ") else { return };
            let (operation, rest) = told_line.split_once(' ').unwrap();
            match operation {
                "granted" => drop(told.insert(rest.to_owned(), Acknowledged::default())),
                "revoked" => told.get_mut(rest).unwrap().revoked = true,
                _ => {
                    let (name, generation) = rest.rsplit_once(' ').unwrap();
                    told.get_mut(name).unwrap().generation = generation.parse().unwrap();
                }
            }
        };
        while count < enough {
            note(lines.next().expect("the victim goes on until it is killed"));
            count += 1;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        // Output between the last read and the kill counts, too; the last line may be truncated.
        let mut rest: Vec<_> = lines.collect();
        rest.pop();
        rest.into_iter().for_each(&mut note);
        wait(assert_kept(&open_store(&file), &told));
    }
}
