//! What upstreams offer, in memory.

use async_trait::async_trait;

use super::super::catalogue_store::{KeptListing, Listing, StoredCatalogue, ToolChoice, ToolsDone};
use super::super::listing::{approved, forgotten, taken};
use super::super::{AuditRow, CatalogueStore, Change, Result};
use super::{MemoryStore, State};
use crate::oauth::TenantId;

impl State {
    fn catalogue_of(&self, tenant: &TenantId, upstream: &str) -> StoredCatalogue {
        self.catalogues.get(&(tenant.clone(), upstream.to_owned())).cloned().unwrap_or_default()
    }

    fn change_tools(
        &mut self,
        upstream: &str,
        audit: &AuditRow,
        work: impl FnOnce(&mut StoredCatalogue) -> ToolsDone,
    ) -> ToolsDone {
        let known = self.catalogue_of(&audit.tenant, upstream);
        let mut changed = known.clone();
        let done = work(&mut changed);
        if changed != known {
            self.catalogues.insert((audit.tenant.clone(), upstream.to_owned()), changed);
            self.announce(audit.at, Change::ToolsChanged(audit.tenant.clone(), upstream.to_owned()));
            if let ToolsDone::Done(names) = &done {
                names.iter().for_each(|name| self.record(AuditRow { reason: Some(name.clone()), ..audit.clone() }));
            }
        }
        done
    }
}

#[async_trait]
impl CatalogueStore for MemoryStore {
    async fn catalogue(&self, tenant: &TenantId, upstream: &str) -> Result<StoredCatalogue> {
        Ok(self.read().catalogue_of(tenant, upstream))
    }

    async fn keep_listing(&self, upstream: &str, listing: Listing, audit: AuditRow) -> Result<KeptListing> {
        let mut state = self.write();
        let kept = taken(state.catalogue_of(&audit.tenant, upstream), listing, audit.at);
        state.catalogues.insert((audit.tenant.clone(), upstream.to_owned()), kept.catalogue.clone());
        let rows = kept.alarms.iter().cloned();
        rows.for_each(|reason| state.record(AuditRow { reason: Some(reason), ..audit.clone() }));
        Ok(kept)
    }

    async fn approve_tools(&self, upstream: &str, which: ToolChoice, audit: AuditRow) -> Result<ToolsDone> {
        Ok(self.write().change_tools(upstream, &audit, |catalogue| approved(catalogue, &which)))
    }

    async fn forget_tools(&self, upstream: &str, which: ToolChoice, audit: AuditRow) -> Result<ToolsDone> {
        Ok(self.write().change_tools(upstream, &audit, |catalogue| forgotten(catalogue, &which)))
    }
}
