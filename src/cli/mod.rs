//! The grammar of the command line, and how a command's outcome is reported.
//!
//! Commands about data open the store themselves, whether or not a server is running; the server learns of their
//! actions from the change log, and of what ends access at once through a socket. A command contains no rules: it reads
//! its options, calls `config`, `policy`, `server` or `issuer::Administration`, and prints. Each command has its own
//! file; `output.rs` prints, `failure.rs` has the exit codes.

mod address;
mod apply;
mod audit;
mod certs;
mod client;
mod client_decide;
mod client_edit;
mod client_lifetimes;
mod client_list;
mod client_view;
mod clock;
mod config_file;
mod confirm;
mod data;
mod db;
mod demo_upstream;
mod failure;
mod group;
mod key;
mod known_tools;
mod output;
mod password;
mod policy;
mod remember;
mod runtime;
mod sender;
mod serve;
mod session;
mod table_view;
mod token;
mod tool;
mod trust_stores;
mod up;
mod user;
mod welcome;
mod when;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::{Failure, USAGE};
use output::Output;

use crate::server::survive_file_size_limit;

/// An auth gateway in front of MCP servers: TLS, OAuth 2.1, token checks and forwarding in one program.
#[derive(Debug, Parser)]
#[command(name = "mcpgate", version, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start with everything needed on one machine; no configuration file required
    Up(up::Arguments),
    /// Run the gateway with a configuration file
    Serve(serve::Arguments),
    /// Report all problems of a configuration file at once
    Check(serve::CheckArguments),
    /// Run only the built-in demo MCP server
    DemoUpstream(demo_upstream::Arguments),
    /// Create and trust development certificates
    #[command(subcommand)]
    Certs(certs::Command),
    /// Add people who may sign in, and manage their accounts
    #[command(subcommand)]
    User(user::Command),
    /// Put accounts into groups, which rules and upstreams name
    #[command(subcommand)]
    Group(group::Command),
    /// Ask what scopes and rules say of a request
    #[command(subcommand)]
    Policy(policy::Command),
    /// See what tools upstreams list, and approve those that are new or have changed
    #[command(subcommand)]
    Tool(tool::Command),
    /// Issue tokens for scripts and probes
    #[command(subcommand)]
    Token(token::Command),
    /// Make API keys for scripts and programs without a browser, and manage all of them
    #[command(subcommand)]
    Key(key::Command),
    /// Add applications, and manage all of them
    #[command(subcommand)]
    Client(client::Command),
    /// Make clients and accounts as the configuration file says
    Apply(apply::Arguments),
    /// List and revoke the access that people granted to applications
    #[command(subcommand)]
    Session(session::Command),
    /// Read the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// Confirm that the machine's clock is right
    #[command(subcommand)]
    Clock(clock::Command),
    /// Back up, restore and check the store
    #[command(subcommand)]
    Db(db::Command),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Arguments::try_parse() {
        Ok(arguments) => survive_file_size_limit().map_err(Failure::from).and_then(|()| execute(arguments.command)),
        Err(refusal) => refused(&refusal),
    };
    outcome.map_or_else(|failure| failure.report(json_is_wanted()), |()| ExitCode::SUCCESS)
}

/// Returns whether `--json` is among the options, even if the command line is not valid.
fn json_is_wanted() -> bool {
    std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(arguments) => up::run(arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => serve::check(&arguments),
        Command::DemoUpstream(arguments) => demo_upstream::run(&arguments),
        Command::Certs(command) => certs::run(command),
        Command::User(command) => user::run(command),
        Command::Group(command) => group::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Tool(command) => tool::run(command),
        Command::Token(command) => token::run(command),
        Command::Key(command) => key::run(command),
        Command::Client(command) => client::run(command),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Session(command) => session::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Clock(command) => clock::run(command),
        Command::Db(command) => db::run(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "mcpgate", &mut script);
            Output::text().raw(&script)
        }
    }
}

/// Prints clap's message; help and version are not failures.
fn refused(refusal: &clap::Error) -> Result<(), Failure> {
    let text = refusal.render().to_string();
    if !refusal.use_stderr() {
        return Output::text().raw(text.as_bytes());
    }
    if refusal.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _gone = std::io::stderr().write_all(text.as_bytes());
        return Err(Failure::Told(USAGE));
    }
    Err(Failure::Usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()))
}
