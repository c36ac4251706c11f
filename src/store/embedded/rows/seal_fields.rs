//! `Fields`: what a seal is computed over.

use super::row::storable;
use crate::oauth::{
    AddressRanges, ClientDecision, ClientLifetimes, DocumentSource, Exclusions, FirstUse, KeyDetails, SignInOrigin,
    Subject, Timestamp, WorkloadIdentity,
};

/// A hasher fed field by field, each with its length, so that moving a boundary between two fields changes the seal.
pub(super) struct Fields(crc32fast::Hasher);

impl Fields {
    pub(super) fn of(table: &str) -> Self {
        Self(crc32fast::Hasher::new()).bytes(table.as_bytes())
    }
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
        self
    }
    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }
    pub(super) fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.bytes(&[1]).bytes(bytes),
            None => self.bytes(&[0]),
        }
    }
    pub(super) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }
    /// Adds a time as the row holds it.
    pub(super) fn at(self, moment: Timestamp) -> Self {
        self.bytes(&storable(moment.as_millis()).to_be_bytes())
    }
    pub(super) fn optional_at(self, moment: Option<Timestamp>) -> Self {
        match moment {
            Some(moment) => self.bytes(&[1]).at(moment),
            None => self.bytes(&[0]),
        }
    }
    /// Adds an optional time. `None` adds nothing, so that rows sealed before the field existed keep their seal.
    pub(super) fn at_if(self, moment: Option<Timestamp>) -> Self {
        match moment {
            Some(moment) => self.at(moment),
            None => self,
        }
    }
    /// Adds a first-use mark. `Unknown` adds nothing, so that rows sealed before the mark existed keep their seal.
    pub(super) fn first_use(self, mark: FirstUse) -> Self {
        match mark {
            FirstUse::Unknown => self,
            FirstUse::Unused => self.text("unused"),
            FirstUse::Used => self.text("used"),
        }
    }
    /// Adds the source of a document. `Fetched` adds nothing, so that rows sealed before documents could be imported
    /// keep their seal.
    pub(super) fn source(self, source: DocumentSource) -> Self {
        match source {
            DocumentSource::Fetched => self,
            DocumentSource::Shipped => self.text("shipped"),
            DocumentSource::Imported => self.text("imported"),
        }
    }
    /// Adds a decision about a client. None adds nothing, so that rows sealed before decisions existed keep their seal.
    pub(super) fn decision(self, decision: Option<&ClientDecision>) -> Self {
        match decision {
            Some(ClientDecision { approved, seen }) => {
                self.number((*approved).into()).bytes(seen.all.as_bytes()).bytes(seen.keys.as_bytes())
            }
            None => self,
        }
    }
    /// Adds a generation. The first adds nothing, so that rows sealed before generations existed keep their seal.
    pub(super) fn generation(self, generation: u32) -> Self {
        if generation == 0 { self } else { self.number(generation.into()) }
    }
    /// Adds a subject. The kind of a person adds nothing, so that rows sealed before services existed keep their seal.
    pub(super) fn subject(self, subject: &Subject) -> Self {
        let account = self.text(subject.as_str());
        if subject.is_person() { account } else { account.text(subject.kind()) }
    }
    /// Adds exclusions. None add nothing, so that rows sealed before they were stored keep their seal.
    pub(super) fn exclusions(self, exclusions: &Exclusions) -> Self {
        match exclusions.to_stored() {
            Some(text) => self.text("exclusions").text(&text),
            None => self,
        }
    }
    /// Adds when a user consented. What is not known adds nothing, so that rows sealed before it was stored keep their
    /// seal.
    pub(super) fn consented(self, at: Timestamp) -> Self {
        if at == Timestamp::default() { self } else { self.text("consented").at(at) }
    }
    /// Adds what an API key has besides its grant. None adds nothing, so that rows sealed before there were keys keep
    /// their seal.
    pub(super) fn key(self, key: Option<&KeyDetails>) -> Self {
        let Some(key) = key else { return self };
        self.text("key").text(&key.name).text(&key.hint).addresses(&key.addresses)
    }
    /// Adds that a client signed an assertion; otherwise nothing, so that rows sealed before that was stored keep their
    /// seal.
    pub(super) fn by_assertion(self, by_assertion: bool) -> Self {
        if by_assertion { self.text("assertion") } else { self }
    }
    /// Adds that a client acts for an absent person; otherwise nothing, so that rows sealed before that was stored keep
    /// their seal.
    pub(super) fn acting(self, acting: bool) -> Self {
        if acting { self.text("acting") } else { self }
    }
    /// Adds the workload of a grant. None adds nothing, so that rows sealed before there were any keep their seal.
    pub(super) fn workload(self, workload: Option<&WorkloadIdentity>) -> Self {
        match workload {
            Some(workload) => self.text("workload").text(&workload.to_string()),
            None => self,
        }
    }
    /// Adds address ranges. None add nothing, so that rows sealed before they were stored keep their seal.
    pub(super) fn addresses(self, addresses: &AddressRanges) -> Self {
        match addresses.to_stored() {
            Some(text) => self.text("addresses").text(&text),
            None => self,
        }
    }
    /// Adds the lifetimes of a client. None add nothing, so that rows sealed before they were stored keep their seal.
    pub(super) fn lifetimes(self, of: &ClientLifetimes) -> Self {
        if *of == ClientLifetimes::default() {
            return self;
        }
        let ClientLifetimes { access, refresh_idle, refresh_absolute } = *of;
        let all = [access, refresh_idle, refresh_absolute].map(|own| own.map(|own| Timestamp::default().plus(own)));
        all.into_iter().fold(self.text("lifetimes"), Self::optional_at)
    }
    /// Adds where somebody signed in from. What is not known adds nothing, so that rows sealed before it was stored
    /// keep their seal.
    pub(super) fn signed_in_from(self, origin: Option<&SignInOrigin>) -> Self {
        let Some(origin) = origin else { return self };
        let fields = self.text("signed in from").text(&origin.address.to_string());
        fields.text(origin.user_agent().unwrap_or_default())
    }
    pub(super) fn finish(self) -> u32 {
        self.0.finalize()
    }
}
