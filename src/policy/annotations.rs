//! `Annotations`: what a tool says of itself (MCP, ToolAnnotations), as far as rules ask for it.

/// The annotations of a tool. What it does not say counts as the dangerous side, as the specification has it. A tool
/// that says nothing of itself differs from one of which nothing is known, which may be of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotations {
    /// It does not change anything.
    pub read_only: bool,
    /// What it changes, it may delete or overwrite; never true of one that only reads.
    pub destructive: bool,
    /// It deals with things outside of its server.
    pub open_world: bool,
    /// Whether the upstream has described the tool at all.
    pub is_known: bool,
}

/// One annotation, as patterns and rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotation {
    /// `readOnly`, from `readOnlyHint`.
    ReadOnly,
    /// `destructive`, from `destructiveHint`.
    Destructive,
    /// `openWorld`, from `openWorldHint`.
    OpenWorld,
}

impl Annotations {
    /// Those of a tool of which nothing is known.
    pub const UNKNOWN: Self = Self { is_known: false, ..Self::of(None, None, None) };

    /// Reads `readOnlyHint`, `destructiveHint` and `openWorldHint`, with the defaults of the specification.
    #[must_use]
    pub const fn of(read_only: Option<bool>, destructive: Option<bool>, open_world: Option<bool>) -> Self {
        let read_only = matches!(read_only, Some(true));
        Self {
            read_only,
            destructive: !read_only && !matches!(destructive, Some(false)),
            open_world: !matches!(open_world, Some(false)),
            is_known: true,
        }
    }

    /// Returns the more dangerous side of each, of two that one tool was said to have.
    #[must_use]
    pub const fn most_dangerous(self, other: Self) -> Self {
        Self {
            read_only: self.read_only && other.read_only,
            destructive: self.destructive || other.destructive,
            open_world: self.open_world || other.open_world,
            is_known: self.is_known && other.is_known,
        }
    }

    pub(super) fn has(self, annotation: Annotation) -> bool {
        match annotation {
            Annotation::ReadOnly => self.read_only,
            Annotation::Destructive => self.destructive,
            Annotation::OpenWorld => self.open_world,
        }
    }
}

impl Annotation {
    pub(super) const ALL: [Self; 3] = [Self::ReadOnly, Self::Destructive, Self::OpenWorld];

    /// Parses the name of an annotation.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "readOnly" => Some(Self::ReadOnly),
            "destructive" => Some(Self::Destructive),
            "openWorld" => Some(Self::OpenWorld),
            _ => None,
        }
    }
}
