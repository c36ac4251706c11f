//! Leaves messages out of a batch of which the rules refuse a part.

use bytes::Bytes;

use super::upstream::resend::LARGEST_KEPT;
use super::verdict::Refused;
use crate::mcp::BatchReader;

/// The amount of work on a batch after which other tasks get their turn, see [`BatchReader::step`]: tens of
/// microseconds.
const PIECE: usize = 16 << 10;

/// What is left of a large batch, which keeps the slot of the whole batch until it is sent or dropped.
struct RestInSlot {
    rest: Vec<u8>,
    _batch: Bytes,
}

impl AsRef<[u8]> for RestInSlot {
    fn as_ref(&self) -> &[u8] {
        &self.rest
    }
}

/// Returns a batch without the refused messages; the others stay as they are written. `None` if it is not the batch
/// that was judged.
pub(super) async fn without(batch: &Bytes, refused: &Refused) -> Option<Bytes> {
    let mut messages = read(batch).await;
    for place in refused.places().rev() {
        if place >= messages.len() {
            return None;
        }
        messages.remove(place);
    }
    let rest = format!("[{}]", messages.join(",")).into_bytes();
    let is_small = batch.len() <= LARGEST_KEPT;
    Some(if is_small { rest.into() } else { Bytes::from_owner(RestInSlot { rest, _batch: batch.clone() }) })
}

async fn read(batch: &[u8]) -> Vec<&str> {
    let mut reader = BatchReader::new(batch);
    loop {
        if let Some(messages) = reader.step(PIECE) {
            return messages;
        }
        tokio::task::yield_now().await;
    }
}
