//! Authorization codes: issued as the last step of an interaction, redeemed in the transaction that decides on them.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute_once};
use super::seal::Sealed;
use super::{accounts, audit, clients, ephemeral, grants, groups, left_out, sessions, sign_in_columns, tokens};
use crate::oauth::{CodeChallenge, CodeHash, CodeRecord, RedirectUri, Subject, TenantId};
use crate::store::{
    Advance, AuditRow, CodeEffect, Consent, Ending, EphemeralHash, EphemeralKey, EphemeralKind, EphemeralStep,
    FoundCode, RedeemCode, Redemption, Result, StoreError, Update, limits,
};

/// The only challenge method that this server supports (RFC 7636 4.3).
const METHOD: &str = "S256";

const SELECT: &str = "SELECT k.no, k.client_no, k.account_no, c.status = 'enabled' AND a.status = 'enabled',
        g.no IS NOT NULL AND g.revoked_at IS NULL, k.challenge_method, k.hash, k.tenant, k.grant_id, c.client_id, a.subject, k.redirect_uri, k.redirect_was_sent,
        k.challenge, k.resource, k.scopes, k.exclusions, k.authenticated_at, k.consented_at, k.signed_in_address, k.signed_in_agent, k.issued_at, k.expires_at, k.used_at, k.failures, k.seal
    FROM code k JOIN client c ON c.no = k.client_no JOIN account a ON a.no = k.account_no
        LEFT JOIN grants g ON g.no = k.grant_no";

/// A code and its row number.
pub(crate) struct CodeRow {
    no: i64,
    client_no: i64,
    account_no: i64,
    pub(crate) found: FoundCode,
}

fn read(c: &mut Columns<'_>) -> Result<CodeRow> {
    let (no, client_no, account_no) = (c.no()?, c.no()?, c.no()?);
    let (is_enabled, has_grant) = (c.flag()?, c.flag()?);
    let method_is_known = c.text()? == METHOD;
    let code = CodeRecord {
        hash: c.hash()?,
        tenant: c.tenant()?,
        grant: c.grant()?,
        client: c.client()?,
        subject: c.account()?,
        redirect: RedirectUri::from_stored(c.text()?.to_owned()),
        redirect_was_sent: c.flag()?,
        challenge: c.optional_text()?.and_then(CodeChallenge::from_stored).filter(|_| method_is_known),
        resource: c.resource()?,
        scopes: c.scopes()?,
        exclusions: c.exclusions()?,
        authenticated_at: c.moment()?,
        consented_at: c.moment()?,
        signed_in_from: sign_in_columns::read(c)?,
        issued_at: c.moment()?,
        expires_at: c.moment()?,
        used_at: c.optional_moment()?,
        failures: c.small()?,
    };
    // RFC 9700 4.8.2: an edited or damaged row must never be subject to a weaker check. A code without a challenge is
    // never accepted, so a broken seal removes the challenge.
    let intact = u64::from(code.seal()) == c.number()?;
    if !intact || code.challenge.is_none() {
        tracing::error!(no, "an authorization code is damaged and will not be honoured");
    }
    let challenge = code.challenge.clone().filter(|_| intact);
    let code = CodeRecord { challenge, ..code };
    Ok(CodeRow { no, client_no, account_no, found: FoundCode { code, is_enabled, has_grant } })
}

pub(crate) fn find(db: &Connection, tenant: &TenantId, hash: &CodeHash) -> Result<Option<CodeRow>> {
    let sql = format!("{SELECT} WHERE substr(k.hash, 1, 8) = substr(?2, 1, 8) AND k.hash = ?2 AND k.tenant = ?1");
    row::one(db, &sql, params![tenant, hash], read)
}

/// Reads every code, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "authorization code", |c| {
        let intact = read(c)?.found.code.challenge.is_some();
        intact.then_some(()).ok_or_else(|| StoreError::Corrupt("a code does not match its seal".to_owned()))
    })
}

/// Adds a code, ends its interaction, and stores the consent.
pub(crate) fn insert(
    db: &Connection,
    code: &CodeRecord,
    interaction: &EphemeralHash,
    remember: Option<&Consent>,
    row: &AuditRow,
) -> Result<Update> {
    limits::resource(code.resource.as_str())?;
    let key = EphemeralKey { tenant: code.tenant.clone(), kind: EphemeralKind::Interaction, hash: *interaction };
    let waiting = ephemeral::find(db, &key, code.issued_at)?;
    let Some(waiting) = waiting.filter(|i| i.step == EphemeralStep::Consent) else { return Ok(Update::NotFound) };
    // A logout or a new password between showing the page and approving it invalidates the approval.
    if let Some(session) = &waiting.session
        && sessions::find(db, &code.tenant, session)?.is_none_or(|s| s.subject != code.subject)
    {
        return Ok(Update::NotFound);
    }
    let enabled = "SELECT c.no, a.no FROM client c, account a WHERE c.tenant = ?1 AND c.client_id = ?2
        AND c.status = 'enabled' AND a.tenant = ?1 AND a.subject = ?3 AND a.status = 'enabled'
        AND a.kind = 'person'";
    let parties = params![code.tenant, code.client, code.subject];
    let Some((client_no, account_no)) = row::one(db, enabled, parties, |c| Ok((c.no()?, c.no()?)))? else {
        return Ok(Update::NotFound);
    };
    if ephemeral::advance(db, &key, &Advance::DECIDED, None, code.issued_at)? == Update::NotFound {
        return Ok(Update::NotFound);
    }
    if let Some(consent) = remember {
        let client_no = clients::number(db, &consent.key.tenant, &consent.key.client)?;
        let account_no = accounts::number(db, &consent.key.tenant, &Subject::Person(consent.key.subject.clone()))?;
        sessions::put_consent(db, consent, client_no, account_no)?;
    }
    left_out::remember(db, code, client_no, account_no)?;
    narrow(db, code, client_no, account_no)?;
    execute_once(
        db,
        "INSERT INTO code (tenant, hash, grant_id, client_no, account_no, redirect_uri, redirect_was_sent, challenge,
             challenge_method, resource, scopes, exclusions, authenticated_at, consented_at, issued_at, expires_at,
             used_at, failures, seal, signed_in_address, signed_in_agent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
             ?21)",
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
            code.exclusions.to_stored(),
            code.authenticated_at,
            code.consented_at,
            code.issued_at,
            code.expires_at,
            code.used_at,
            code.failures,
            code.seal(),
            sign_in_columns::address(code.signed_in_from.as_deref()),
            sign_in_columns::user_agent(code.signed_in_from.as_deref())
        ],
    )?;
    audit::done(db, row)
}

/// Takes what a new code leaves out of the unused ones of the same account, client and resource.
fn narrow(db: &Connection, code: &CodeRecord, client_no: i64, account_no: i64) -> Result<()> {
    let sql =
        format!("{SELECT} WHERE k.used_at IS NULL AND k.account_no = ?1 AND k.client_no = ?2 AND k.resource = ?3");
    for CodeRow { no, found, .. } in row::all(db, &sql, params![account_no, client_no, code.resource], read)? {
        let other = found.code;
        match other.exclusions.union(&code.exclusions) {
            Some(exclusions) if exclusions == other.exclusions => {}
            // One without a challenge is damaged, and a new seal would not say so any more.
            Some(exclusions) if other.challenge.is_some() => {
                let sql = "UPDATE code SET exclusions = ?2, seal = ?3 WHERE no = ?1 AND used_at IS NULL";
                let narrowed = CodeRecord { exclusions, ..other };
                execute_once(db, sql, params![no, narrowed.exclusions.to_stored(), narrowed.seal()])?;
            }
            Some(_) | None => execute_once(db, "DELETE FROM code WHERE no = ?1", [no])?,
        }
    }
    Ok(())
}

/// Carries out the decision on a code.
pub(crate) fn redeem(db: &Connection, request: &RedeemCode) -> Result<Redemption> {
    let Some(found) = find(db, &request.tenant, &request.code)? else { return Ok(Redemption::Unknown) };
    Ok(match request.decide(&found.found) {
        CodeEffect::Issue(code, issued) => {
            let grant_no = grants::insert(db, &issued.grant, found.client_no, found.account_no)?;
            put(db, &found, &code, Some(grant_no))?;
            tokens::add(db, grant_no, &issued)?;
            clients::issued(db, found.client_no, request.now)?;
            Redemption::Redeemed(issued.grant, groups::with_groups(db, issued.token)?)
        }
        CodeEffect::Replay(ending) => {
            ending.iter().try_for_each(|ending| grants::end_by(db, ending))?;
            Redemption::Replayed(ending.map(|ending| ending.grant))
        }
        CodeEffect::Refuse(refusal, counted) => {
            counted.iter().try_for_each(|code| put(db, &found, code, None))?;
            Redemption::Refused(refusal)
        }
    })
}

/// Returns what ends because a code was used a second time.
pub(crate) fn ending(db: &Connection, request: &RedeemCode) -> Result<Option<Ending>> {
    let found = find(db, &request.tenant, &request.code)?;
    Ok(match found.map(|found| request.decide(&found.found)) {
        Some(CodeEffect::Replay(ending)) => ending,
        Some(CodeEffect::Issue(..) | CodeEffect::Refuse(..)) | None => None,
    })
}

/// Replaces the unused code that was found. It was read in this transaction, in which there is no other writer; the
/// condition is a second safeguard.
fn put(db: &Connection, found: &CodeRow, code: &CodeRecord, grant_no: Option<i64>) -> Result<()> {
    let sql = "UPDATE code SET used_at = ?2, grant_no = ?3, failures = ?4, seal = ?5 WHERE no = ?1 AND used_at IS NULL";
    execute_once(db, sql, params![found.no, code.used_at, grant_no, code.failures, code.seal()])
}
