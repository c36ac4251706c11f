//! The use cases that any request may call without a form of ours: they show something, begin something, or
//! authenticate a client.

use super::Visit;
use crate::issuer::{
    AccountView, AskedScope, AuthorizeRejection, Caller, Face, Handles, Registered, Started, TokenRejection, View,
};
use crate::oauth::{Form, Introspection, TokenResponse};

type PageResult<T> = Result<T, AuthorizeRejection>;
type ClientResult<T> = Result<T, TokenRejection>;

impl Visit<'_> {
    pub(in crate::endpoints) fn caller(&self) -> &Caller {
        self.issuer.caller()
    }

    pub(in crate::endpoints) async fn admit_form(&self) -> PageResult<()> {
        self.issuer.admit_form().await
    }

    pub(in crate::endpoints) async fn begin_authorization(
        &self,
        request: Form,
        session: Option<&str>,
        referer: Option<&str>,
    ) -> PageResult<Started> {
        self.issuer.begin_authorization(request, session, referer).await
    }

    pub(in crate::endpoints) async fn begin_account(&self, session: Option<&str>) -> PageResult<Started> {
        self.issuer.begin_account(session).await
    }

    pub(in crate::endpoints) async fn view(&self, handles: &Handles) -> PageResult<View> {
        // Boxed, because each page that shows the step would hold its state.
        Box::pin(self.issuer.view(handles)).await
    }

    pub(in crate::endpoints) async fn offered(&self, handles: &Handles) -> PageResult<Vec<AskedScope>> {
        Box::pin(self.issuer.offered(handles)).await
    }

    pub(in crate::endpoints) async fn account(&self, session: &str) -> PageResult<Option<AccountView>> {
        self.issuer.account(session).await
    }

    pub(in crate::endpoints) async fn find_setup(&self, link: &str) -> PageResult<Option<String>> {
        self.issuer.find_setup(link).await
    }

    pub(in crate::endpoints) async fn admit_request(&self, face: Face) -> ClientResult<()> {
        self.issuer.admit_request(face).await
    }

    pub(in crate::endpoints) async fn token(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
    ) -> ClientResult<TokenResponse> {
        self.issuer.token(authorization, form).await
    }

    pub(in crate::endpoints) async fn introspect(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
    ) -> ClientResult<Introspection> {
        Box::pin(self.issuer.introspect(authorization, form)).await
    }

    pub(in crate::endpoints) async fn revoke(&self, authorization: Option<&[u8]>, form: &Form) -> ClientResult<()> {
        self.issuer.revoke(authorization, form).await
    }

    pub(in crate::endpoints) async fn register(&self, metadata: &[u8]) -> ClientResult<Registered> {
        self.issuer.register(metadata).await
    }
}
