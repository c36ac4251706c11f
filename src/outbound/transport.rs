//! `Transport`: the two things that the dialer asks of the machine, so that tests can answer like a hostile resolver and
//! see every attempt to connect.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::DNS_TIME;
use super::lookup::Lookup;

/// Names and connections.
#[async_trait]
pub(super) trait Transport: Send + Sync + 'static {
    /// Returns the addresses of a host; `None` when there are none, or none in time.
    async fn resolve(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>>;

    /// Connects to this address and no other.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

#[async_trait]
impl Transport for Lookup {
    async fn resolve(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        self.addresses(host, port, DNS_TIME).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::super::{Budget, Dialer, Fetch, FetchError, Guard, client_config};
    use super::*;

    /// Answers each look-up with the next of these, and connects to nothing.
    struct Hostile {
        answers: Mutex<VecDeque<Vec<SocketAddr>>>,
        attempts: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Arc<Hostile> {
        async fn resolve(&self, _: &str, _: u16) -> Option<Vec<SocketAddr>> {
            self.answers.lock().unwrap().pop_front()
        }

        async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
            self.attempts.lock().unwrap().push(address.ip().to_string());
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    /// How a fetch ends under a resolver with these answers, and which addresses it tried to reach.
    async fn dial(answers: &[&[&str]], is_known: bool) -> (FetchError, Vec<String>) {
        let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 443);
        let answers = answers.iter().map(|answer| answer.iter().map(address).collect()).collect();
        let hostile = Arc::new(Hostile { answers: Mutex::new(answers), attempts: Mutex::default() });
        let dialer = Dialer {
            guard: Guard::new(Vec::new()),
            proxy: None,
            by_host: Budget::new(10, 1, 1),
            by_network: Budget::new(10, 1, 1),
            known: Budget::new(10, 1, 1),
            transport: Box::new(Arc::clone(&hostile)),
            tls: client_config(None).unwrap().into(),
        };
        let url = "https://c.example/client.json";
        let fetched = if is_known { dialer.refetch_json(url, 9).await } else { dialer.fetch_json(url, 9).await };
        let attempts = std::mem::take(&mut *hostile.attempts.lock().unwrap());
        (fetched.unwrap_err(), attempts)
    }

    #[tokio::test]
    async fn ci_02_a_name_that_leads_inside_gets_no_connection() {
        for inside in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2001::1",
            "2002:a00:1::",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            for is_known in [false, true] {
                assert_eq!(dial(&[&[inside]], is_known).await, (FetchError::Refused, vec![]), "{inside}");
            }
        }
        let outside = (FetchError::Connect, vec!["1.1.1.1".to_owned()]);
        assert_eq!(dial(&[&["1.1.1.1"]], false).await, outside, "an attempt would have been seen");
    }

    #[tokio::test]
    async fn ci_04_a_name_is_asked_for_once_and_its_second_answer_never_heard() {
        for is_known in [false, true] {
            let (ended, tried) = dial(&[&["1.1.1.1"], &["127.0.0.1"], &["10.0.0.1"]], is_known).await;
            assert_eq!((ended, tried), (FetchError::Connect, vec!["1.1.1.1".to_owned()]));
        }
    }

    #[tokio::test]
    async fn ci_05_a_mixed_answer_gets_no_connection_to_any_of_its_addresses() {
        for mixed in [["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"], ["2606:4700::1111", "::1"]] {
            for is_known in [false, true] {
                assert_eq!(dial(&[&mixed], is_known).await, (FetchError::Refused, vec![]), "{mixed:?}");
            }
        }
    }
}
