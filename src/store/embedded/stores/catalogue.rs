//! `CatalogueStore`: what upstreams offer.

use crate::oauth::TenantId;
use crate::store::catalogue_store::{KeptListing, Listing, StoredCatalogue, ToolChoice, ToolsDone};
use crate::store::embedded::rows::catalogue;
use crate::store::{AuditRow, Result};

implement! { CatalogueStore:
    read catalogue(tenant: &TenantId, upstream: &str) -> StoredCatalogue = |db| catalogue::of(db, &tenant, &upstream);
    write keep_listing(upstream: &str, listing: Listing, audit: AuditRow) -> KeptListing
        = |db| catalogue::keep(db, &upstream, listing, &audit);
    write approve_tools(upstream: &str, which: ToolChoice, audit: AuditRow) -> ToolsDone
        = |db| catalogue::approve(db, &upstream, &which, &audit);
    write forget_tools(upstream: &str, which: ToolChoice, audit: AuditRow) -> ToolsDone
        = |db| catalogue::forget(db, &upstream, &which, &audit);
}
