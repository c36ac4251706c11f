//! Authorization codes: issued by moving an interaction to its end, redeemed in one transaction with the verdict.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute_once};
use super::seal::Sealed;
use super::{accounts, audit, clients, grants, interactions, sessions, tokens};
use crate::oauth::{CodeChallenge, CodeRecord, CodeVerdict, GrantId, RedirectUri, TenantId, TokenHash};
use crate::store::{AuditRow, Consent, InteractionStep, RedeemCode, Redemption, Result, StoreError, Update};

/// RFC 7636 4.3: the only method this server knows.
const METHOD: &str = "S256";

const SELECT: &str = "SELECT k.no, k.client_no, k.account_no, c.status = 'enabled' AND a.status = 'enabled',
        k.challenge_method, k.hash, k.tenant, k.grant_id, c.client_id, a.subject, k.redirect_uri, k.redirect_was_sent,
        k.challenge, k.resource, k.scopes, k.authenticated_at, k.issued_at, k.expires_at, k.used_at, k.failures, k.seal
    FROM code k JOIN client c ON c.no = k.client_no JOIN account a ON a.no = k.account_no";

/// A code and its row.
pub(crate) struct Found {
    no: i64,
    client_no: i64,
    account_no: i64,
    /// Whether client and account are both enabled.
    enabled: bool,
    pub(crate) code: CodeRecord,
}

fn read(c: &mut Columns<'_>) -> Result<Found> {
    let (no, client_no, account_no, enabled) = (c.no()?, c.no()?, c.no()?, c.flag()?);
    let method_is_known = c.text()? == METHOD;
    let code = CodeRecord {
        hash: c.hash()?,
        tenant: c.tenant()?,
        grant: c.grant()?,
        client: c.client()?,
        subject: c.subject()?,
        redirect: RedirectUri::from_stored(c.text()?.to_owned()),
        redirect_was_sent: c.flag()?,
        challenge: c.optional_text()?.and_then(CodeChallenge::from_stored).filter(|_| method_is_known),
        resource: c.resource()?,
        scopes: c.scopes()?,
        authenticated_at: c.moment()?,
        issued_at: c.moment()?,
        expires_at: c.moment()?,
        used_at: c.optional_moment()?,
        failures: c.small()?,
    };
    // RFC 9700 4.8.2: a row that was edited or damaged must never fall to a weaker check. A code without a challenge is
    // never honoured, so that is what a broken seal makes of it.
    let intact = u64::from(code.seal()) == c.number()?;
    if !intact || code.challenge.is_none() {
        tracing::error!(no, "an authorization code is damaged and will not be honoured");
    }
    let challenge = code.challenge.clone().filter(|_| intact);
    Ok(Found { no, client_no, account_no, enabled, code: CodeRecord { challenge, ..code } })
}

pub(crate) fn find(db: &Connection, tenant: &TenantId, hash: &TokenHash) -> Result<Option<Found>> {
    let sql = format!("{SELECT} WHERE substr(k.hash, 1, 8) = substr(?2, 1, 8) AND k.hash = ?2 AND k.tenant = ?1");
    row::one(db, &sql, params![tenant, hash], read)
}

/// Reads every code, to see whether it can be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "authorization code", |c| {
        let intact = read(c)?.code.challenge.is_some();
        intact.then_some(()).ok_or_else(|| StoreError::Corrupt("a code does not match its seal".to_owned()))
    })
}

/// Adds a code, ends its interaction, and remembers the consent.
pub(crate) fn insert(
    db: &Connection,
    code: &CodeRecord,
    interaction: &TokenHash,
    remember: Option<&Consent>,
    audit: &AuditRow,
) -> Result<Update> {
    let waiting = interactions::find(db, &code.tenant, interaction, code.issued_at)?;
    let Some(waiting) = waiting.filter(|i| i.step == InteractionStep::Consent) else { return Ok(Update::NotFound) };
    // Logging out or a new password between showing the page and approving it takes the approval back.
    if let Some(session) = &waiting.session
        && sessions::find(db, &code.tenant, session)?.is_none_or(|s| s.subject != code.subject)
    {
        return Ok(Update::NotFound);
    }
    let enabled = "SELECT c.no, a.no FROM client c, account a WHERE c.tenant = ?1 AND c.client_id = ?2
        AND c.status = 'enabled' AND a.tenant = ?1 AND a.subject = ?3 AND a.status = 'enabled'";
    let parties = params![code.tenant, code.client, code.subject];
    let Some((client_no, account_no)) = row::one(db, enabled, parties, |c| Ok((c.no()?, c.no()?)))? else {
        return Ok(Update::NotFound);
    };
    if interactions::advance(db, &waiting, InteractionStep::Ended, None, None)? == Update::NotFound {
        return Ok(Update::NotFound);
    }
    if let Some(consent) = remember {
        let client_no = clients::number(db, &consent.tenant, &consent.client)?;
        let account_no = accounts::number(db, &consent.tenant, &consent.subject)?;
        sessions::put_consent(db, consent, client_no, account_no)?;
    }
    execute_once(
        db,
        "INSERT INTO code (tenant, hash, grant_id, client_no, account_no, redirect_uri, redirect_was_sent, challenge,
             challenge_method, resource, scopes, authenticated_at, issued_at, expires_at, used_at, failures, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            code.tenant,
            code.hash,
            code.grant,
            client_no,
            account_no,
            code.redirect.as_str(),
            code.redirect_was_sent,
            code.challenge.as_ref().map(CodeChallenge::as_str),
            METHOD,
            code.resource,
            code.scopes,
            code.authenticated_at,
            code.issued_at,
            code.expires_at,
            code.used_at,
            code.failures,
            code.seal()
        ],
    )?;
    audit::append(db, audit)?;
    Ok(Update::Done)
}

/// Judges a code and does what the verdict says.
pub(crate) fn redeem(db: &Connection, request: &RedeemCode) -> Result<Redemption> {
    let Some(found) = find(db, &request.tenant, &request.code)? else { return Ok(Redemption::Unknown) };
    match found.code.judge(&request.presented, request.now) {
        CodeVerdict::Redeem if found.enabled => issue(db, request, found),
        CodeVerdict::Redeem => Ok(Redemption::Refused(CodeVerdict::Dead)),
        CodeVerdict::Replayed => {
            let ended = end_replayed(db, request)?;
            Ok(ended.map_or(Redemption::Refused(CodeVerdict::Replayed), Redemption::Replayed))
        }
        CodeVerdict::WrongVerifier => {
            // A used code has nothing left to lose, so that presenting it costs no write.
            if found.code.used_at.is_none() {
                let failures = found.code.failures.saturating_add(1);
                let failed = CodeRecord { failures, ..found.code };
                let sql = "UPDATE code SET failures = ?2, seal = ?3 WHERE no = ?1";
                execute_once(db, sql, params![found.no, failures, failed.seal()])?;
            }
            Ok(Redemption::Refused(CodeVerdict::WrongVerifier))
        }
        verdict @ (CodeVerdict::Dead
        | CodeVerdict::Damaged
        | CodeVerdict::WrongClient
        | CodeVerdict::WrongRedirect
        | CodeVerdict::WrongResource) => Ok(Redemption::Refused(verdict)),
    }
}

/// Returns the grant that has to end because a code was used before, if it stands.
pub(crate) fn replayed(db: &Connection, request: &RedeemCode) -> Result<Option<GrantId>> {
    let found = find(db, &request.tenant, &request.code)?;
    let is_replay = |found: &Found| found.code.judge(&request.presented, request.now) == CodeVerdict::Replayed;
    let Some(found) = found.filter(is_replay) else { return Ok(None) };
    let grant = grants::find(db, &request.tenant, found.code.grant)?.map(|found| found.grant);
    Ok(grant.filter(|grant| grant.revoked_at.is_none()).map(|grant| grant.id))
}

/// Ends that grant; which, if it stood.
pub(crate) fn end_replayed(db: &Connection, request: &RedeemCode) -> Result<Option<GrantId>> {
    let Some(grant) = replayed(db, request)? else { return Ok(None) };
    grants::end(db, &request.tenant, grant, request.now)?;
    audit::append(db, &request.replayed(grant))?;
    Ok(Some(grant))
}

fn issue(db: &Connection, request: &RedeemCode, found: Found) -> Result<Redemption> {
    let grant = request.grant(&found.code);
    let token = request.access.record(&grant, request.now);
    let grant_no = grants::insert(db, &grant, found.client_no, found.account_no)?;
    // The verdict was made in this transaction and no other writer can be inside; the condition is the second lock.
    let used = CodeRecord { used_at: Some(request.now), ..found.code };
    execute_once(
        db,
        "UPDATE code SET used_at = ?2, grant_no = ?3, seal = ?4 WHERE no = ?1 AND used_at IS NULL",
        params![found.no, request.now, grant_no, used.seal()],
    )?;
    tokens::insert(db, grant_no, &grant, &token)?;
    clients::used(db, found.client_no, request.now)?;
    audit::append(db, &request.redeemed(&token))?;
    Ok(Redemption::Redeemed(Box::new(grant), Box::new(token)))
}
