//! `OfferKind`: the lists of a server (MCP, `tools/list` and the others).

/// One of the lists of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OfferKind {
    /// The tools that it has, read with `tools/list`.
    Tools,
    /// The prompts that it has, read with `prompts/list`.
    Prompts,
    /// The resources that it has, read with `resources/list`.
    Resources,
    /// The templates of resources that it has, read with `resources/templates/list`.
    Templates,
}

impl OfferKind {
    /// All lists, in the order in which they are read.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// Returns the method that lists it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// Returns the capability of servers that have the list.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }

    /// Returns the member of a result that has the list, and that of an entry by which requests name it.
    pub(super) const fn members(self) -> (&'static str, &'static str) {
        match self {
            Self::Tools => ("tools", "name"),
            Self::Prompts => ("prompts", "name"),
            Self::Resources => ("resources", "uri"),
            Self::Templates => ("resourceTemplates", "uriTemplate"),
        }
    }
}
