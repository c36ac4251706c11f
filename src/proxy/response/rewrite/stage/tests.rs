//! What leaves the stage, however the body arrives.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;

use super::{LONGEST, LongAnswers, SMALL, Stage, StageEnd};
use crate::mcp::{Offer, Shown};
use crate::proxy::budget::{UserBudgets, tests as budget};
use crate::proxy::fair_slots::FairSlots;
use crate::proxy::fault::{Cause, ExchangeError};
use crate::proxy::response::gather::{BufferedBody, Stop};
use crate::proxy::response::rewrite::rewriter::Shows;

#[derive(Clone)]
struct AllButNo;

impl Shows for AllButNo {
    fn shows(&self, offer: Offer<'_>) -> Shown {
        (!matches!(offer, Offer::Tool(name, _, _) if name.starts_with("no"))).into()
    }

    fn is_modern(&self) -> bool {
        false
    }

    fn note_change(&self) {}
}

fn slots(count: usize) -> LongAnswers {
    let user = UserBudgets::new(&budget::rates()).of(&budget::principal(0));
    // None waits for a slot.
    LongAnswers { slots: FairSlots::new(count, 0), user }
}

/// Sends a body through the stage in these pieces; returns what came out, and how it ended.
async fn pass(pieces: Vec<Bytes>, is_events: bool, long: LongAnswers) -> (Vec<u8>, Result<(), StageEnd>) {
    pass_within(LONGEST, pieces, is_events, long).await
}

/// Does the same with a stage that keeps at most `limit` bytes.
async fn pass_within(
    limit: usize,
    pieces: Vec<Bytes>,
    is_events: bool,
    long: LongAnswers,
) -> (Vec<u8>, Result<(), StageEnd>) {
    let frames = stream::iter(pieces.into_iter().map(|piece| Ok::<_, ExchangeError>(Frame::data(piece))));
    // Pending in between, as on a network.
    let mut body = StreamBody::new(
        frames
            .then(|frame| async {
                tokio::task::yield_now().await;
                frame
            })
            .boxed(),
    );
    let (mut stage, mut all) = (Stage::new(AllButNo, long, is_events, LONGEST), Vec::new());
    stage.limit = limit;
    loop {
        let mut out = BufferedBody::default();
        let stop = poll_fn(|cx| stage.poll_read(&mut body, &mut out, 1, cx)).await;
        all.extend_from_slice(&out.take());
        match stop {
            Stop::Full => {}
            Stop::End => return (all, Ok(())),
            Stop::Broken(end) => return (all, Err(end)),
        }
    }
}

fn cut(text: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at(rest.len().min(*size));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = after;
        if rest.is_empty() {
            return pieces;
        }
    }
    pieces
}

fn list(names: &[&str]) -> String {
    let tools: Vec<String> = names.iter().map(|name| format!(r#"{{"name":"{name}"}}"#)).collect();
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, tools.join(","))
}

/// Events with lists, and the same as they leave the stage.
fn any_events() -> impl Strategy<Value = (String, String)> {
    let end = prop::sample::select(vec!["\n", "\r", "\r\n"]);
    let kind = (0..5_usize, end, any::<bool>());
    prop::collection::vec(kind, 1..8).prop_map(|kinds| {
        let (mut before, mut after) = ("\u{feff}".to_owned(), "\u{feff}".to_owned());
        for (kind, end, spaced) in kinds {
            let data = if spaced { "data: " } else { "data:" };
            let event = |message: &str| match kind {
                0 => format!("{data}{message}{end}{end}"),
                1 => format!("event: message{end}id: 7{end}{data}{message}{end}: tools{end}{end}"),
                2 => format!("{data}{}{end}{end}", message.replacen(',', &format!(",{end}{data}"), 1)),
                3 => format!(": \"tools\"{end}{end}"),
                _ => format!("{data}{}{end}{end}", message.replace("tools", "content")),
            };
            before.push_str(&event(&list(&["a", "no", "b"])));
            // What is no list stays.
            after.push_str(&event(&list(if kind == 4 { &["a", "no", "b"] } else { &["a", "b"] })));
        }
        (before, after)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_body_leaves_the_same_however_it_is_cut(
        (before, after) in any_events(),
        sizes in prop::collection::vec(1_usize..60, 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (all, end) = runtime.block_on(pass(cut(before.as_bytes(), &sizes), true, slots(1)));
        prop_assert!(end.is_ok());
        prop_assert_eq!(String::from_utf8(all).unwrap(), after);
        let whole = list(&["no1", "a", "no2"]);
        let (all, end) = runtime.block_on(pass(cut(whole.as_bytes(), &sizes), false, slots(1)));
        prop_assert!(end.is_ok());
        prop_assert_eq!(String::from_utf8(all).unwrap(), list(&["a"]));
    }
}

#[test]
fn a_list_of_four_mebibytes_is_kept_and_an_event_as_far_as_it_may_be() {
    let limit = |is_events, largest_event| Stage::new(AllButNo, slots(1), is_events, largest_event).limit;
    assert_eq!((LONGEST, limit(false, 10), limit(true, 10), limit(true, 2 * LONGEST)), (4 << 20, LONGEST, 10, LONGEST));
    let mut stage = Stage::new(AllButNo, slots(1), true, 10);
    stage.take_whole();
    assert_eq!(stage.limit, LONGEST);
}

#[tokio::test]
async fn what_is_too_long_to_be_kept_passes_unless_it_may_be_a_list() {
    // The real limit would take a minute unoptimised. This one is beyond what needs no slot.
    const LIMIT: usize = 2 * SMALL;
    let filler = "x".repeat(LIMIT);
    let long = |name: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"a":"{filler}","{name}":[]}}}}"#);
    for (body, is_events) in
        [(long("content"), false), (format!("data: {}\n\ndata: {}\n\n", long("content"), list(&["a"])), true)]
    {
        for size in [1 << 12, SMALL + 1, 2 * LIMIT] {
            let (all, end) = pass_within(LIMIT, cut(body.as_bytes(), &[size]), is_events, slots(1)).await;
            assert!(end.is_ok() && all == body.as_bytes(), "{size}");
        }
        // The sign is in each place of a seam.
        let body = body.replacen("content", "tools", 1);
        let sign = body.find("\"tools\"").unwrap();
        for at in sign..sign + 8 {
            let (all, end) = pass_within(LIMIT, cut(body.as_bytes(), &[at]), is_events, slots(1)).await;
            assert!(matches!(end, Err(StageEnd::Fault(fault)) if fault.cause == Cause::TooLarge), "{at}");
            assert!(all.len() <= at);
        }
    }
}

#[tokio::test]
async fn a_long_answer_has_a_slot_until_it_is_dropped() {
    let filler = "x".repeat(2 * SMALL);
    let body = list(&["a", "no", &filler]);
    let long = slots(1);
    let slots = Arc::clone(&long.slots);
    let frames = stream::iter(cut(body.as_bytes(), &[4096]).into_iter().map(|piece| Ok(Frame::data(piece))));
    let (mut source, mut out) = (StreamBody::new(frames), BufferedBody::default());
    let mut stage = Stage::new(AllButNo, long, false, LONGEST);
    let stop = poll_fn(|cx| stage.poll_read(&mut source, &mut out, 1, cx)).await;
    let sent = out.take();
    assert!(matches!(stop, Stop::Full) && sent == list(&["a", &filler]));
    drop(stage);
    let again = || LongAnswers { slots: Arc::clone(&slots), user: slots_user() };
    let (all, end) = pass(cut(body.as_bytes(), &[4096]), false, again()).await;
    assert!(matches!(end, Err(StageEnd::Refused(_))) && all.is_empty());
    drop(sent);
    assert!(pass(cut(body.as_bytes(), &[4096]), false, again()).await.1.is_ok());
}

fn slots_user() -> Arc<crate::proxy::budget::UserBudget> {
    UserBudgets::new(&budget::rates()).of(&budget::principal(1))
}
