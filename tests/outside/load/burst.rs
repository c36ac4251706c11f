//! The process returns the memory of a burst to the system when the burst is over.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::Client;
use crate::support::gateway::Gateway;

/// Forms in flight at once, each from its own address, and the size of each in bytes.
const FORMS: usize = 400;
const FORM: usize = 60_000;

/// The time within which the process must return the memory that it no longer needs.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most that an idle process may hold, in bytes.
const IDLE: u64 = 16 << 20;

async fn burst(gateway: &Gateway, forms: usize) -> u64 {
    let form = format!("grant_type=authorization_code&padding={}", "a".repeat(FORM));
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        gateway.home.public.port(),
        form.len()
    );
    let (last, most) = form.as_bytes().split_last().expect("a form");
    let mut streams = Vec::new();
    for number in 0..forms {
        let [_, _, site, host] = u32::try_from(number).expect("few").to_be_bytes();
        let client = Client::from(&gateway.home, Ipv4Addr::new(127, 0, 10 + site, host.max(1)));
        streams.push(client.raw().await.expect("a connection"));
    }
    // All at once, because the gateway gives up a form that arrives too slowly.
    for stream in &mut streams {
        stream.write_all(head.as_bytes()).await.expect("a head");
        stream.write_all(most).await.expect("most of a form");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let peak = gateway.resident_bytes();
    for stream in &mut streams {
        stream.write_all(&[*last]).await.expect("the rest of the form");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 401", "{:?} for a form without a client", String::from_utf8_lossy(&status));
    }
    peak
}

#[tokio::test]
async fn what_a_burst_took_goes_back_to_the_system() {
    let gateway = Gateway::start().await;
    burst(&gateway, 20).await;
    tokio::time::sleep(PATIENCE).await;
    let before = gateway.resident_bytes();
    assert!(before <= IDLE, "{before} bytes are held by an idle process");
    let peak = burst(&gateway, FORMS).await;
    let taken = peak.saturating_sub(before);
    assert!(taken > u64::try_from(FORMS * FORM).expect("a size") / 2, "{taken} bytes are too few for a burst");
    let (mut kept, mut waited) = (taken, Duration::ZERO);
    while kept > taken / 4 && waited < PATIENCE {
        waited += Duration::from_millis(100);
        tokio::time::sleep(Duration::from_millis(100)).await;
        kept = gateway.resident_bytes().saturating_sub(before);
    }
    println!("a burst took {} KiB, {} KiB were kept", taken >> 10, kept >> 10);
    assert!(kept <= taken / 4, "{kept} of {taken} bytes were kept for {waited:?}");
}
