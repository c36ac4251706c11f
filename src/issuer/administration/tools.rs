//! Tools of upstreams: what is kept of them, approving and forgetting.

use super::{Administration, AdministrationError};
use crate::config::UpstreamConfig;
use crate::store::{AuditEvent, AuditRow, StoredCatalogue, ToolChoice, ToolsDone};

impl Administration {
    /// Returns what is kept of an upstream, or of all, each with its configuration.
    ///
    /// # Errors
    /// `NoSuchUpstream`, `Store`.
    pub async fn tools(
        &self,
        upstream: Option<&str>,
    ) -> Result<Vec<(&UpstreamConfig, StoredCatalogue)>, AdministrationError> {
        let one = upstream.map(|name| self.upstream(Some(name))).transpose()?;
        let mut found = Vec::new();
        for upstream in &self.config.upstreams {
            if upstream.tenant == self.tenant && one.is_none_or(|one| one.name == upstream.name) {
                found.push((upstream, self.services.store.catalogue(&self.tenant, &upstream.name).await?));
            }
        }
        Ok(found)
    }

    /// Pins tools as they are listed now. Returns the names of those that were not pinned so.
    ///
    /// # Errors
    /// `NoSuchUpstream`, `WhichUpstream`, `NoSuchTool`, `ToolHasChanged`, `Store`.
    pub async fn approve_tools(
        &self,
        upstream: Option<&str>,
        which: ToolChoice,
    ) -> Result<Vec<String>, AdministrationError> {
        let upstream = self.upstream(upstream)?;
        let row = self.audit_of_upstream(AuditEvent::ToolApproved, upstream);
        names(self.services.store.approve_tools(&upstream.name, which, row).await?)
    }

    /// Removes what is kept of tools. Returns their names.
    ///
    /// # Errors
    /// As [`Self::approve_tools`].
    pub async fn forget_tools(
        &self,
        upstream: Option<&str>,
        which: ToolChoice,
    ) -> Result<Vec<String>, AdministrationError> {
        let upstream = self.upstream(upstream)?;
        let row = self.audit_of_upstream(AuditEvent::ToolForgotten, upstream);
        names(self.services.store.forget_tools(&upstream.name, which, row).await?)
    }

    fn audit_of_upstream(&self, event: AuditEvent, upstream: &UpstreamConfig) -> AuditRow {
        AuditRow { resource: Some(upstream.address()), ..self.audit(event) }
    }
}

fn names(done: ToolsDone) -> Result<Vec<String>, AdministrationError> {
    match done {
        ToolsDone::Done(names) => Ok(names),
        ToolsDone::NotFound(name) => Err(AdministrationError::NoSuchTool(name)),
        ToolsDone::Changed(name) => Err(AdministrationError::ToolHasChanged(name)),
    }
}
