//! Only one place writes the target of a browser's redirect, and it accepts only proofs.

use std::collections::BTreeSet;

use crate::sources;

/// The files that name the field Location, and why.
const MAY: &[(&str, &str)] = &[
    ("src/endpoints/redirect.rs", "writes ours: of a LocalPath or a ClientLocation"),
    ("src/proxy/response/head.rs", "hands on an upstream's that leads to the upstream, by its path here"),
    ("src/proxy/upstream/redirect.rs", "reads an upstream's"),
    ("src/proxy/upstream/probe.rs", "reads an upstream's, for the log"),
];

#[test]
fn a_location_is_written_where_its_proof_is_taken() {
    let names_it = |line: &str| {
        let field = line.match_indices("LOCATION").any(|(at, _)| !line[..at].ends_with('_'));
        !line.trim_start().starts_with("//") && (field || line.to_lowercase().contains("\"location\""))
    };
    // The rest of the file is unit tests, which read the field.
    let code = |text: &str| text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().any(names_it);
    let found: BTreeSet<_> =
        sources("src").into_iter().filter(|(_, text)| code(text)).map(|(path, _)| path.display().to_string()).collect();
    let listed: BTreeSet<_> = MAY.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, listed, "redirect by endpoints/redirect.rs");
}
