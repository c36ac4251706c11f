//! The recorded costs: a test compares its figures with them, and `MCPGATE_BLESS=1` records what has changed.

use std::io::Write as _;
use std::process::Command;
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cost/numbers.toml");
const LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
const HEAD: &str = "\
# Recorded costs; docs/performance.md says what they are. MCPGATE_BLESS=1 records those that are out of tolerance, and
# all of a test if its tools differ. A commit that raises one says why.

";

/// The tolerance, in percent, of a figure that other tools have recorded: no two compilers make the same code. A lower
/// figure then passes.
const OTHER_TOOLS: f64 = 15.0;

/// The figures of one test about one build of the program.
pub(crate) struct Costs {
    build: &'static str,
    test: &'static str,
    /// What they depend on beside the source, with versions.
    tools: Table,
    found: Vec<Cost>,
}

struct Cost {
    name: &'static str,
    value: f64,
    /// How far it may be from the record, in percent.
    tolerance: f64,
}

impl Costs {
    /// Begins without figures. `tools` does not list the compiler, on which all figures depend.
    pub(crate) fn new(build: &'static str, test: &'static str, tools: &[(&str, String)]) -> Self {
        let compiler = Command::new("rustc").arg("--version").output().expect("the compiler of this test");
        let compiler = String::from_utf8_lossy(&compiler.stdout).trim().to_owned();
        let tools = tools.iter().cloned().chain([("compiler", compiler)]);
        let tools = tools.map(|(name, version)| (name.to_owned(), version.into())).collect();
        Self { build, test, tools, found: Vec::new() }
    }

    /// Adds a figure, with its tolerance in percent.
    pub(crate) fn add(&mut self, name: &'static str, value: f64, tolerance: f64) {
        println!("{name}: {value:.2}");
        self.found.push(Cost { name, value: (value * 100.0).round() / 100.0, tolerance });
    }

    /// Compares the figures with the record, or renews it.
    ///
    /// # Panics
    /// If a figure is out of tolerance or not recorded, or a recorded one was not measured.
    pub(crate) fn check(self) {
        // The tests of a program run at once; Cargo runs programs one after another.
        static FREE: Mutex<()> = Mutex::new(());
        let _held = FREE.lock();
        let mut file: Table = std::fs::read_to_string(FILE).unwrap_or_default().parse().expect("the record is TOML");
        let record = table(table(&mut file, self.build), self.test);
        let same_tools = *table(record, "tools") == self.tools;
        let faults = self.faults(table(record, "costs"), same_tools);
        if std::env::var_os("MCPGATE_BLESS").is_some() {
            self.renew(record, same_tools);
            let text = toml::to_string(&file).expect("tables of texts and numbers");
            std::fs::write(FILE, format!("{HEAD}{text}")).expect("the record can be written");
            return;
        }
        let place = format!("{}.{}", self.build, self.test);
        let mut with = String::new();
        for (name, version) in
            table(record, "tools").iter().filter(|(name, version)| self.tools.get(*name) != Some(*version))
        {
            with.push_str(&format!("{name} {version}; "));
        }
        if !with.is_empty() {
            let note = format!("note: {place} was recorded with {with}so figures up to {OTHER_TOOLS} % higher pass\n");
            // Not `eprint`, of which a test that passes shows nothing.
            std::io::stderr().write_all(note.as_bytes()).expect("standard error");
        }
        let is_other_lock = record.get("lock").is_some_and(|recorded| *recorded != lock());
        let hint = if is_other_lock { " (Cargo.lock has changed since)" } else { "" };
        assert!(faults.is_empty(), "{place} of {FILE}{hint}:\n{}", faults.join("\n"));
    }

    fn faults(&self, recorded: &Table, same_tools: bool) -> Vec<String> {
        let known = |cost: &Cost| recorded.get(cost.name).and_then(Value::as_float);
        let found = self.found.iter().filter_map(|cost| cost.fault(known(cost), same_tools));
        let unmeasured = recorded.keys().filter(|name| self.found.iter().all(|cost| cost.name != *name));
        found.chain(unmeasured.map(|name| format!("{name} is recorded, but was not measured"))).collect()
    }

    fn renew(&self, record: &mut Table, same_tools: bool) {
        let old = std::mem::take(table(record, "costs"));
        let renewed = self.found.iter().map(|cost| {
            let known = old.get(cost.name).and_then(Value::as_float);
            let keeps = same_tools && cost.fault(known, true).is_none();
            (cost.name.to_owned(), known.filter(|_| keeps).unwrap_or(cost.value).into())
        });
        record.insert("costs".to_owned(), Value::Table(renewed.collect()));
        record.insert("tools".to_owned(), Value::Table(self.tools.clone()));
        record.insert("lock".to_owned(), lock());
    }
}

impl Cost {
    /// Says what is wrong with the figure, if something is.
    fn fault(&self, recorded: Option<f64>, same_tools: bool) -> Option<String> {
        let Self { name, value, tolerance } = self;
        let Some(recorded) = recorded else { return Some(format!("{name}: {value}, not recorded yet")) };
        let change = (value / recorded - 1.0) * 100.0;
        let allowed = if same_tools { *tolerance } else { tolerance.max(OTHER_TOOLS) };
        let advice = match change {
            more if more > allowed => "find out why, or record it in a commit that says why",
            // Otherwise the next rise could use up the gain unseen.
            less if less < -allowed && same_tools => "record the gain",
            _ => return None,
        };
        Some(format!("{name}: {value} instead of {recorded} ({change:+.1} %, {allowed} % are allowed): {advice}"))
    }
}

/// The table of this name within another, made if it is missing.
fn table<'a>(outer: &'a mut Table, name: &str) -> &'a mut Table {
    let inner = outer.entry(name).or_insert_with(|| Table::new().into());
    inner.as_table_mut().unwrap_or_else(|| panic!("{name} is a table in {FILE}"))
}

/// The digest of the lock file: a hint where a change of the figures comes from.
fn lock() -> Value {
    let digest = Sha256::digest(std::fs::read(LOCK).expect("the lock file"));
    digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}")).into()
}

#[cfg(test)]
mod tests {
    use super::Cost;

    #[test]
    fn a_cost_is_held_to_its_record() {
        let cost = |value| Cost { name: "instructions", value, tolerance: 5.0 };
        let table = [
            (104.0, true, true),
            (106.0, true, false),
            (94.0, true, false),
            (114.0, false, true),
            (116.0, false, false),
            (50.0, false, true),
        ];
        for (value, same_tools, fits) in table {
            assert_eq!(cost(value).fault(Some(100.0), same_tools).is_none(), fits, "{value}, {same_tools}");
        }
        assert!(cost(1.0).fault(None, true).is_some(), "a figure must be recorded");
    }
}
