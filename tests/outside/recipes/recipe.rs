//! A recipe: its configuration and commands as the page has them.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use super::curl;
use crate::life::write_config;
use crate::support::free_address::free_address;
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

/// A page of docs/recipes.
pub(super) struct Recipe {
    text: String,
    /// What it was read from, for messages.
    name: &'static str,
    /// Where its upstreams with an origin of their own are served.
    pub(super) own: SocketAddr,
}

impl Recipe {
    pub(super) fn read(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes").join(name).with_extension("md");
        let text = std::fs::read_to_string(path).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        Self { text, name, own: free_address() }
    }

    fn blocks(&self, language: &str) -> Vec<&str> {
        let begin = format!("```{language}\n");
        self.text.split(&begin).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
    }

    /// Its configuration, as the page has it.
    pub(super) fn configuration(&self) -> &str {
        self.blocks("toml").first().unwrap_or_else(|| panic!("{}: no configuration", self.name))
    }

    /// Starts the gateway of its configuration, at an address of the test and before the test's upstream.
    pub(super) async fn start(&self, upstream: &Upstream) -> Gateway {
        self.start_in(upstream, &[]).await
    }

    /// The same with variables in the environment.
    pub(super) async fn start_in(&self, upstream: &Upstream, environment: &[(&str, &str)]) -> Gateway {
        self.home(upstream).start_in(environment).await
    }

    /// Writes its configuration, for a gateway that is started later.
    pub(super) fn home(&self, upstream: &Upstream) -> Home {
        let config = self.configuration();
        let (top, rest) = config.split_once("[listen]").unwrap_or((config, ""));
        let own = ["public_url = ", "address = ", "certificate = ", "key = "];
        let is_kept = |line: &&str| !own.iter().any(|key| line.starts_with(key));
        let listen = rest.lines().take_while(|line| !line.starts_with("[[")).filter(is_kept);
        let others = rest.lines().skip_while(|line| !line.starts_with("[["));
        let kept = top.lines().filter(is_kept).chain(["[listen]"]).chain(listen).chain(others);
        let place = |line: &str| match line.split(" = ").next() {
            Some("url") => format!("url = {:?}", upstream.url),
            Some("public_url") => format!("public_url = \"https://localhost:{}\"", self.own.port()),
            _ => line.to_owned(),
        };
        let home = Home::new("", None);
        write_config(&home, &kept.map(place).collect::<Vec<_>>().join("\n"), "");
        home
    }

    /// Runs the command of its page that begins with `beginning`; returns what it answers.
    pub(super) fn run(&self, home: &Home, beginning: &str) -> Value {
        self.run_with(home, beginning, &[])
    }

    /// The same with values in the place of placeholders.
    pub(super) fn run_with(&self, home: &Home, beginning: &str, values: &[(&str, &str)]) -> Value {
        let commands = self.blocks("sh").concat().replace("\\\n", " ");
        let found = commands.lines().find(|line| line.starts_with(beginning));
        let command = found.unwrap_or_else(|| panic!("{}: no command {beginning}", self.name)).to_owned();
        let words = curl::words(&values.iter().fold(command, |text, (name, value)| text.replace(name, value)));
        home.command(&words.iter().skip(1).map(String::as_str).collect::<Vec<_>>())
    }
}
