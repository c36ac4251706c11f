//! `ScriptedFetch`: a network that answers from a script.
#![allow(dead_code, reason = "each of the test programs that share it uses a part of it")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcpgate::outbound::{Fetch, FetchError, Fetched};

/// A network that answers from a script.
#[derive(Default)]
pub(crate) struct ScriptedFetch {
    answers: Mutex<HashMap<String, Result<Fetched, FetchError>>>,
    calls: AtomicUsize,
}

impl ScriptedFetch {
    pub(crate) fn serve(&self, url: &str, body: &serde_json::Value, max_age: Option<u64>, no_store: bool) {
        let body = bytes::Bytes::from(body.to_string());
        let fetched = Fetched { body, max_age, no_store };
        self.answers.lock().unwrap().insert(url.to_owned(), Ok(fetched));
    }
    pub(crate) fn fail(&self, url: &str, error: FetchError) {
        self.answers.lock().unwrap().insert(url.to_owned(), Err(error));
    }
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Fetch for ScriptedFetch {
    async fn fetch_json(&self, url: &str, _max_bytes: usize) -> Result<Fetched, FetchError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        // Lets others come in between, as a network does.
        tokio::task::yield_now().await;
        self.answers.lock().unwrap().get(url).cloned().unwrap_or(Err(FetchError::Dns))
    }

    async fn refetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.fetch_json(url, max_bytes).await
    }
}

/// An answer with another status than 200.
pub(crate) fn status(code: u16) -> FetchError {
    FetchError::Status { code, said: "Server: edge".to_owned() }
}
