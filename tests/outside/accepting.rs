//! Who accepts connections: a single worker its own; of several, each gets as many as the others.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

async fn connect(gateway: &Gateway, count: usize) -> Vec<TlsStream<TcpStream>> {
    let client = Client::new(&gateway.home);
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(client.raw().await.unwrap());
    }
    open
}

/// Returns how often the control thread and the first worker have gone to sleep.
fn sleeps(gateway: &Gateway) -> (u64, u64) {
    let tasks = PathBuf::from(format!("/proc/{}/task", gateway.pid()));
    let is_worker = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).unwrap().trim_end() == "worker-0";
    let worker = std::fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().path()).find(is_worker).unwrap();
    let of = |task: PathBuf| {
        let status = std::fs::read_to_string(task.join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        count.trim().parse().unwrap()
    };
    (of(tasks.join(gateway.pid().to_string())), of(worker))
}

/// Returns the descriptors of the open connections to the public listener.
fn connections(gateway: &Gateway) -> BTreeSet<String> {
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", gateway.pid())).unwrap();
    let port = format!(":{:04X}", gateway.home.public.port());
    // Columns of proc_net_tcp(5): number, local address, remote address, state; the tenth is the inode.
    let established = table.lines().filter_map(|line| {
        let columns: Vec<_> = line.split_ascii_whitespace().collect();
        (columns[1].ends_with(&port) && columns[3] == "01").then(|| format!("socket:[{}]", columns[9]))
    });
    let established: BTreeSet<_> = established.collect();
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().map(|entry| entry.unwrap());
    let theirs = open
        .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| established.contains(&*to.to_string_lossy())));
    theirs.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Returns what each epoll instance of the gateway watches of these descriptors, if any.
fn watched(gateway: &Gateway, descriptors: &BTreeSet<String>) -> BTreeSet<BTreeSet<String>> {
    let infos = std::fs::read_dir(format!("/proc/{}/fdinfo", gateway.pid())).unwrap();
    let sets = infos.map(|entry| {
        let info = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        let all = info.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_ascii_whitespace().next());
        all.filter(|watched| descriptors.contains(*watched)).map(str::to_owned).collect::<BTreeSet<_>>()
    });
    // A set, because each runtime has two descriptors of its instance.
    sets.filter(|set| !set.is_empty()).collect()
}

#[tokio::test]
async fn a_single_worker_accepts_its_connections_itself() {
    let gateway = Gateway::start().await;
    drop(connect(&gateway, 1).await);
    let before = sleeps(&gateway);
    drop(connect(&gateway, 100).await);
    let after = sleeps(&gateway);
    let (control, worker) = (after.0 - before.0, after.1 - before.1);
    assert!(control < 50, "{control} of the control thread, {worker} of the worker");
}

#[tokio::test]
async fn each_of_several_workers_gets_as_many_connections_as_the_others() {
    let mut home = Home::new("", None);
    home.workers = 2;
    let gateway = home.start().await;
    let _open = connect(&gateway, 6).await;
    let connections = connections(&gateway);
    let watched = watched(&gateway, &connections);
    assert_eq!(watched.iter().map(BTreeSet::len).collect::<Vec<_>>(), [3, 3], "{connections:?}: {watched:?}");
    assert_eq!(watched.into_iter().flatten().collect::<BTreeSet<_>>(), connections, "each by one runtime");
}
