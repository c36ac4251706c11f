//! Paths below an upstream that have only one interpretation.

/// HS-14: Returns whether a path has only one interpretation. The prefix was matched on raw bytes, so the rest must not
/// lead out of it when it is decoded (even twice), normalized or stripped of path parameters.
pub(super) fn is_plain(path: &str) -> bool {
    let decoded = path.replace("%25", "%");
    let hides = |text: &str| {
        text.as_bytes()
            .windows(3)
            .any(|w| matches!(w, b"%25" | b"%2f" | b"%2F" | b"%2e" | b"%2E" | b"%5c" | b"%5C" | b"%00"))
    };
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(';').next().unwrap_or_default();
        if name == "." || name == ".." || (segment.is_empty() && segments.peek().is_some()) {
            return false;
        }
    }
    !path.contains('\\') && !hides(&decoded)
}
