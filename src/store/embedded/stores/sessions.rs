//! `SessionStore`: browser sessions and remembered consent.

use crate::oauth::{Exclusions, TenantId, Timestamp};
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{accounts, audit, ephemeral, left_out, sessions};
use crate::store::{Advance, AuditRow, Consent, ConsentKey, EphemeralKey, LoginSession, Result, SessionHash, Update};

implement! { SessionStore:
    write insert_session(
        session: LoginSession, replaces: Option<SessionHash>, password_set_at: Option<Timestamp>, audit: AuditRow
    ) -> Update = |db| {
        let account = accounts::find(db, &session.tenant, &session.subject)?;
        let Some((account_no, _)) = account.filter(|(_, a)| a.may_sign_in_by(password_set_at)) else {
            return Ok(Update::NotFound);
        };
        if let Some(old) = replaces {
            sessions::end(db, &session.tenant, &old)?;
        }
        sessions::insert(db, &session, account_no)?;
        audit::done(db, &audit)
    };
    write_urgently(audit) delete_session(hash: &SessionHash, audit: AuditRow) -> Update = |db| {
        if sessions::end(db, &audit.tenant, &hash)? { audit::done(db, &audit) } else { Ok(Update::NotFound) }
    };
    write deny_interaction(key: &EphemeralKey, denied: &ConsentKey, audit: AuditRow) -> Update = |db| {
        if ephemeral::advance(db, &key, &Advance::DECIDED, None, audit.at)? == Update::NotFound {
            return Ok(Update::NotFound);
        }
        sessions::forget_consent(db, &denied)?;
        audit::done(db, &audit)
    };
    read find_consent(key: &ConsentKey) -> Option<Consent> = |db| sessions::find_consent(db, &key);
    read find_left_out(key: &ConsentKey) -> Option<Exclusions> = |db| left_out::find(db, &key);
    + async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>> {
        let (tenant, hash) = (tenant.clone(), *hash);
        let of = tenant.clone();
        let found = self.read(move |db| sessions::find(db, &of, &hash)).await?;
        let Some(session) = found.filter(|s| s.is_live(now)) else { return Ok(None) };
        if session.touched(now).is_none() {
            return Ok(Some(session));
        }
        // The session may have ended or been used since it was read.
        self.write(move |db| sessions::touch(db, &tenant, &hash, now)).await
    }
}
