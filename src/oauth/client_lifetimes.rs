//! `ClientLifetimes`: how long the tokens of one client live, where an operator wants something else than for all.

use super::Lifetime;

/// The shortest life of an access token, as in `tokens.access`.
const SHORTEST_ACCESS: Lifetime = Lifetime::from_secs(60);
/// The shortest life of a refresh token, as in `tokens.refresh_idle`.
const SHORTEST_REFRESH: Lifetime = Lifetime::from_secs(3600);

/// The lifetimes that an operator gave a client; `None` where those of all clients hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientLifetimes {
    /// Of an access token.
    pub access: Option<Lifetime>,
    /// Of a refresh token that is not used.
    pub refresh_idle: Option<Lifetime>,
    /// Of all refresh tokens of a grant, however often they are used.
    pub refresh_absolute: Option<Lifetime>,
}

/// What the operator's configuration says of all clients, and the most that one client may be given.
#[derive(Debug, Clone, Copy)]
pub struct LifetimePolicy {
    /// Of an access token.
    pub access: Lifetime,
    /// The most for one client.
    pub access_longest: Lifetime,
    /// Of a refresh token that is not used.
    pub refresh_idle: Lifetime,
    /// Of all refresh tokens of a grant.
    pub refresh_absolute: Lifetime,
    /// The most for one client.
    pub refresh_longest: Lifetime,
}

/// Why a client cannot be given a lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LifetimeRefused {
    /// Its access tokens would live too long or too short.
    #[error(
        "access tokens of a client live from 1m to {0}: see tokens.access_longest, or access_lifetime of its upstream"
    )]
    Access(Lifetime),
    /// Its refresh tokens would live too long or too short.
    #[error("refresh tokens of a client live from 1h to {0}: see tokens.refresh_longest")]
    Refresh(Lifetime),
    /// Unused refresh tokens would live longer than used ones, or too short.
    #[error("unused refresh tokens of this client live from 1h to {0}, which is how long used ones live")]
    Idle(Lifetime),
}

impl ClientLifetimes {
    /// Checks that the operator's configuration allows them.
    ///
    /// # Errors
    /// Says which one it does not allow, and the bound.
    pub fn check(&self, policy: &LifetimePolicy) -> Result<(), LifetimeRefused> {
        let is_within =
            |own: Option<Lifetime>, least: Lifetime, most: Lifetime| own.is_none_or(|own| least <= own && own <= most);
        if !is_within(self.access, SHORTEST_ACCESS, policy.access_longest) {
            return Err(LifetimeRefused::Access(policy.access_longest));
        }
        if !is_within(self.refresh_absolute, SHORTEST_REFRESH, policy.refresh_longest) {
            return Err(LifetimeRefused::Refresh(policy.refresh_longest));
        }
        let absolute = self.refresh_absolute.unwrap_or(policy.refresh_absolute);
        if !is_within(self.refresh_idle, SHORTEST_REFRESH, absolute) {
            return Err(LifetimeRefused::Idle(absolute));
        }
        Ok(())
    }

    /// Returns how long access tokens of the client live: a bound that was lowered since it was given a lifetime holds.
    #[must_use]
    pub fn of_access(&self, policy: &LifetimePolicy) -> Lifetime {
        self.access.map_or(policy.access, |own| own.min(policy.access_longest))
    }

    /// Returns how long grants of the client live: if they are not refreshed, and in any case.
    #[must_use]
    pub fn of_refresh(&self, policy: &LifetimePolicy) -> (Lifetime, Lifetime) {
        let own = self.refresh_absolute;
        let absolute = own.map_or(policy.refresh_absolute, |own| own.min(policy.refresh_longest));
        let idle = self.refresh_idle.unwrap_or(policy.refresh_idle);
        (idle.min(absolute), absolute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hours(number: u64) -> Lifetime {
        Lifetime::from_secs(number * 3600)
    }

    const fn policy(access_longest: Lifetime, refresh_longest: Lifetime) -> LifetimePolicy {
        LifetimePolicy {
            access: hours(1),
            access_longest,
            refresh_idle: hours(24),
            refresh_absolute: hours(48),
            refresh_longest,
        }
    }

    #[test]
    fn a_lifetime_is_within_the_bounds_of_the_operator() {
        let policy = policy(hours(4), hours(72));
        let none = ClientLifetimes::default();
        let refused = |own: ClientLifetimes| own.check(&policy).err();
        let access = |access| ClientLifetimes { access: Some(access), ..none };
        let refresh = |idle, absolute| ClientLifetimes { refresh_idle: idle, refresh_absolute: absolute, ..none };
        assert_eq!(refused(none), None);
        assert_eq!((refused(access(SHORTEST_ACCESS)), refused(access(hours(4)))), (None, None));
        for bad in [Lifetime::from_secs(59), hours(5), Lifetime::default()] {
            assert_eq!(refused(access(bad)), Some(LifetimeRefused::Access(hours(4))));
        }
        assert_eq!(refused(refresh(Some(hours(72)), Some(hours(72)))), None);
        assert_eq!(refused(refresh(None, Some(hours(73)))), Some(LifetimeRefused::Refresh(hours(72))));
        assert_eq!(refused(refresh(Some(hours(49)), None)), Some(LifetimeRefused::Idle(hours(48))));
        assert_eq!(refused(refresh(Some(Lifetime::from_secs(1)), None)), Some(LifetimeRefused::Idle(hours(48))));
        let said = LifetimeRefused::Access(hours(4)).to_string();
        assert!(said.contains("to 4h") && said.contains("tokens.access_longest"), "{said}");
    }
}
