//! Notes for the audit trail which operations of a request are refused. Those without a token are not noted: they are
//! answered like any request without one, and the metrics count them.

use super::addressed::Addressed;
use super::exchange::Exchange;
use super::refused_operations::RefusedOperation;
use super::rejection::Rejection;
use super::rpc::RpcCall;
use super::verdict::{OperationRefusal, Refused, Verdict, operation};

impl Exchange<'_> {
    /// Notes why a request with a token is refused.
    pub(super) fn note_refusal(&self, token: &Addressed<'_>, (verdict, refusal): (&Verdict, &Rejection)) {
        let whole = |why: &str, scopes| {
            let why = why.to_owned();
            self.note(token, OperationRefusal { operation: self.operation(), why, scopes });
        };
        match verdict {
            _ if matches!(refusal, Rejection::NotAdmitted) => whole("the account has no access", None),
            Verdict::Passes => {
                let required = self.route.required_scopes.clone();
                whole("the token lacks a required scope", Some(required));
            }
            Verdict::Refused(refused) => self.note_refused(token, refused),
        }
    }

    /// Notes which messages of a request with a token are refused.
    pub(super) fn note_refused(&self, token: &Addressed<'_>, refused: &Refused) {
        refused.operations(self.route).for_each(|refusal| self.note(token, refusal));
    }

    fn note(&self, token: &Addressed<'_>, OperationRefusal { operation, why, scopes }: OperationRefusal) {
        let principal = token.token().principal();
        let refused = RefusedOperation {
            client: principal.client().clone(),
            grant: token.token().grant(),
            resource: self.route.address(),
            operation,
            why: why.into(),
            scopes,
            address: self.peer.address,
            request_id: self.peer.request_id.digits().as_str().into(),
        };
        self.worker.table.refused.note((principal.tenant(), principal.subject().id()), refused);
    }

    /// Returns what the whole request asks for.
    fn operation(&self) -> Box<str> {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let asked = self.record.as_ref().map(|record| record.asked());
        match asked.and_then(RpcCall::method) {
            Some(method) => operation(&text(method), asked.and_then(RpcCall::tool).map(text).as_deref()),
            None => operation(self.parts.method.as_str(), Some(self.parts.uri.path())),
        }
    }
}
