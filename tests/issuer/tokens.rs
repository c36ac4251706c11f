//! A client's requests to the token endpoint, and the tokens it gets.

use mcpgate::issuer::{Caller, TokenRejection};
use mcpgate::oauth::{ClientId, GrantId, RefreshToken, TenantId, TokenHash, TokenResponse};
use mcpgate::token_cache::{Load, Lookup};

use super::driver::{VERIFIER, World, caller, form};

/// The tokens that a client holds after a successful token request.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) scopes: String,
    pub(crate) expires_in: u64,
    pub(crate) grant: GrantId,
    pub(crate) generation: u32,
}

impl World {
    pub(crate) async fn token(&self, pairs: &[(&str, &str)]) -> Result<Tokens, TokenRejection> {
        self.token_from(&caller(1), pairs).await
    }

    pub(crate) async fn token_from(&self, caller: &Caller, pairs: &[(&str, &str)]) -> Result<Tokens, TokenRejection> {
        let response = self.request(caller).token(None, &form(pairs)).await?;
        Ok(self.tokens(&response))
    }

    pub(crate) fn tokens(&self, response: &TokenResponse) -> Tokens {
        let refresh = response.refresh_token.as_ref().map(RefreshToken::reveal).unwrap_or_default().to_owned();
        let claims = RefreshToken::recognise(&refresh, &self.keys);
        Tokens {
            access: response.access_token.reveal().to_owned(),
            refresh,
            scopes: response.scopes.to_string(),
            expires_in: response.expires_in,
            grant: claims.map_or(GrantId([0; 16]), |c| c.grant),
            generation: claims.map_or(u32::MAX, |c| c.generation),
        }
    }

    pub(crate) async fn redeem(&self, client: &ClientId, code: &str) -> Result<Tokens, TokenRejection> {
        self.redeem_with(client, code, &[]).await
    }

    /// Redeems a code; `extra` as in `begin`.
    pub(crate) async fn redeem_with(
        &self,
        client: &ClientId,
        code: &str,
        extra: &[(&str, &str)],
    ) -> Result<Tokens, TokenRejection> {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", client.as_str()),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        pairs.retain(|(name, _)| !extra.iter().any(|(n, _)| n == name));
        pairs.extend(extra.iter().filter(|(_, value)| !value.is_empty()));
        self.token(&pairs).await
    }

    pub(crate) async fn refresh(&self, client: &ClientId, refresh: &str) -> Result<Tokens, TokenRejection> {
        self.refresh_with(client, refresh, &[]).await
    }

    pub(crate) async fn refresh_with(
        &self,
        client: &ClientId,
        refresh: &str,
        extra: &[(&str, &str)],
    ) -> Result<Tokens, TokenRejection> {
        let mut pairs =
            vec![("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", refresh)];
        pairs.extend(extra);
        self.token(&pairs).await
    }

    /// The whole flow, from `/authorize` to tokens.
    pub(crate) async fn sign_in(&self, client: &ClientId, extra: &[(&str, &str)], name: &str) -> Tokens {
        let code = self.code(client, extra, name).await;
        self.redeem(client, &code).await.unwrap()
    }

    /// Whether `/mcp` would accept an access token: looks in the cache first, then in the store.
    pub(crate) async fn is_live(&self, access: &str) -> bool {
        let hash = TokenHash::of(access.as_bytes());
        match self.cache.lookup(&hash, self.now()) {
            Lookup::Hit(..) => true,
            Lookup::Expired => false,
            Lookup::Absent => match self
                .cache
                .load(&TenantId::default(), access.as_bytes(), hash, std::net::Ipv4Addr::LOCALHOST.into())
                .await
            {
                Load::Active(..) => true,
                Load::Inactive => false,
                Load::Unknown => panic!("the store did not answer"),
            },
            Lookup::Stale => panic!("the cache is stale"),
        }
    }
}
