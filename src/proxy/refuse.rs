//! Makes the answer to a request that is not forwarded, or whose answer is not.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Version};

use super::field::REQUEST_ID;
use super::rejection::{RefusedOfBatch, Rejection};
use super::route::Route;
use super::row::{Field, Word};
use crate::config::UpstreamKind;
use crate::mcp::RefusedCall;
use crate::web::{Body, RequestId, Response};

/// What the answer to a rejected request depends on.
pub(super) struct RefusalContext<'a> {
    pub(super) route: &'a Route,
    /// Whether the path had a trailing slash.
    pub(super) slash: bool,
    pub(super) version: Version,
    /// Whether the request is of 2026-07-28.
    pub(super) is_modern: bool,
    pub(super) request_id: RequestId,
}

impl Rejection {
    /// Returns the challenge for the scopes that the token lacks, if that is why.
    fn challenge(&self, to: &RefusalContext<'_>) -> Option<String> {
        if let Self::LackingScopes(lacking) = self {
            Some(to.route.challenges.for_scopes(lacking, to.slash))
        } else {
            None
        }
    }

    /// Returns whether it is answered as the result of a call, which has the challenge.
    fn is_result(&self) -> bool {
        matches!(self, Self::LackingScopes(lacking) if lacking.is_result)
    }

    /// Makes the answer. `id` is the raw JSON-RPC id of the request, if it was read.
    pub(super) fn respond(&self, to: &RefusalContext<'_>, id: Option<&str>) -> Response {
        let row = self.row();
        let body = match (row.word, to.route.kind) {
            (Word::Rpc(_), UpstreamKind::Mcp) => {
                if let Self::BatchRefused(requests) = self {
                    let errors: Vec<_> = requests.iter().map(RefusedOfBatch::to_json).collect();
                    [b"[".as_slice(), &errors.join(&b','), b"]"].concat()
                } else if let Some(challenge) = self.challenge(to).filter(|_| self.is_result()) {
                    RefusedCall { id, text: self.text(), challenge: &challenge, is_modern: to.is_modern }.to_json()
                } else {
                    self.to_json_rpc(id)
                }
            }
            (Word::OAuth(_), _) | (Word::Rpc(_), UpstreamKind::Http) => {
                // The reason of a rule is any text; a string always serialises.
                let text = serde_json::to_string(self.text()).unwrap_or_default();
                format!(r#"{{"error":"{}","error_description":{text}}}"#, row.oauth_word()).into_bytes()
            }
        };
        let mut response = Response::new(Body::from(bytes::Bytes::from(body)));
        *response.status_mut() = row.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REQUEST_ID, to.request_id.header());
        if let Some(challenge) = self.challenge(to).filter(|_| !self.is_result()) {
            headers.extend(HeaderValue::try_from(challenge).map(|value| (WWW_AUTHENTICATE, value)));
        }
        let (name, value) = match row.field {
            Field::Challenge(which) => (WWW_AUTHENTICATE, to.route.challenges.of(which, to.slash)),
            Field::RetryAfter(seconds) => (RETRY_AFTER, seconds.into()),
            Field::Allow(methods) => (ALLOW, HeaderValue::from_static(methods)),
            Field::Close if to.version <= Version::HTTP_11 => (CONNECTION, HeaderValue::from_static("close")),
            Field::Close | Field::None => return response,
        };
        headers.insert(name, value);
        response
    }
}
