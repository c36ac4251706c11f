//! `mcpgate policy`: what the scopes and rules of an upstream say of a request. Nothing is sent, no server is asked.

use http::uri::PathAndQuery;
use serde_json::{Value, json};

use super::data::DataArguments;
use super::failure::Failure;
use super::known_tools::CalledTool;
use super::runtime::block_on;
use super::sender::{Access, Sender, refusal};
use crate::config::{Config, UpstreamConfig, UpstreamKind};
use crate::data_dir::STORE;
use crate::mcp::Envelope;
use crate::oauth::{Client, ClientId, ClientOrigin, GroupSet, LoginName, ScopeSet, ScopeToken};
use crate::policy::{
    Annotation, Annotations, Denial, JudgedMessage, Rules, Ruling, Standing, is_forwarded_method, is_plain_path,
};
use crate::store::AccountStatus;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Judge a request as the gateway would, and say which scope or rule decides
    Test(Box<TestArguments>),
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArguments {
    /// Name of the upstream; optional if there is only one
    #[arg(long)]
    upstream: Option<String>,
    /// Login name of the user
    #[arg(long, required_unless_present = "anonymous")]
    user: Option<String>,
    /// Id of the application
    #[arg(long, value_name = "ID", required_unless_present = "anonymous")]
    client: Option<String>,
    /// The scopes of the token, separated by spaces [default: the upstream's default scopes]
    #[arg(long)]
    scopes: Option<String>,
    /// A request without a token
    #[arg(long, conflicts_with_all = ["user", "client", "scopes"])]
    anonymous: bool,
    /// The tool that is called
    #[arg(long, value_name = "TOOL", required_unless_present = "method", conflicts_with = "method")]
    call: Option<String>,
    /// The arguments of the call, as JSON
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// What the tool says of itself, of readOnly, destructive and openWorld, separated by spaces [default: what the
    /// store knows of it and a token of a new consent is judged by, otherwise nothing]
    #[arg(long, requires = "call")]
    annotations: Option<String>,
    /// The method: of MCP, or of HTTP for an upstream of kind http
    #[arg(long)]
    method: Option<String>,
    /// The prompt, resource or task that the method names
    #[arg(long, requires = "method")]
    name: Option<String>,
    /// The path of an HTTP request, below that of the upstream [default: /]
    #[arg(long, requires = "method", conflicts_with_all = ["name", "args"])]
    path: Option<String>,
    #[command(flatten)]
    data: DataArguments,
}

/// A request that is judged.
enum Question {
    /// A message of MCP, and what its tool says of itself.
    Message { body: String, annotations: Annotations, is_held: bool },
    /// An HTTP request, with its path below that of the upstream.
    Http { method: String, path: String },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let Command::Test(asked) = command;
    let config = asked.data.load()?;
    let upstream = asked.upstream(&config)?;
    let tool = asked.called().map(|tool| CalledTool::find(&config, upstream, tool)).transpose()?.flatten();
    let question = asked.question(upstream.kind, tool.as_ref())?;
    let mut explanation = if asked.anonymous {
        Explanation::without_token(&question, upstream)
    } else {
        Explanation::of(&question, &asked.sender(&config)?, upstream, &asked.scopes(upstream)?)
    };
    explanation.tool = tool;
    if explanation.refused.is_none() {
        explanation.limits = question.limits(upstream);
    }
    asked.data.output().one(&explanation.text(), &explanation.value())
}

impl TestArguments {
    fn upstream<'a>(&self, config: &'a Config) -> Result<&'a UpstreamConfig, Failure> {
        let names: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        let unclear = || Failure::Usage(format!("--upstream: name one of these: {}", names.join(", ")));
        match (&self.upstream, config.upstreams.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(unclear()),
            (Some(name), all) => all.iter().find(|upstream| upstream.name == *name).ok_or_else(unclear),
        }
    }

    /// Returns the tool that is called.
    fn called(&self) -> Option<&str> {
        let named = self.name.as_ref().filter(|_| self.method.as_deref() == Some("tools/call"));
        self.call.as_ref().or(named).map(String::as_str)
    }

    fn question(&self, kind: UpstreamKind, tool: Option<&CalledTool>) -> Result<Question, Failure> {
        if kind == UpstreamKind::Http {
            let method = self.method.clone().filter(|_| self.name.is_none() && self.args.is_none());
            let missing = || Failure::Usage("the upstream has kind http: write --method and --path".to_owned());
            return Ok(Question::Http { method: method.ok_or_else(missing)?, path: self.path()? });
        }
        if self.path.is_some() {
            return Err(Failure::Usage(
                "--path: the upstream has kind mcp; write --call, or --method and --name".to_owned(),
            ));
        }
        let (method, name) = match (&self.call, &self.method) {
            (Some(tool), _) => ("tools/call", Some(tool)),
            (None, method) => (method.as_deref().unwrap_or_default(), self.name.as_ref()),
        };
        let named = name.map(|name| match method.split_once('/') {
            Some(("resources", _)) => format!("\"uri\":{}", json!(name)),
            Some(("tasks", _)) => format!("\"taskId\":{}", json!(name)),
            Some(("completion", _)) if name.contains(':') => {
                format!("\"ref\":{}", json!({ "type": "ref/resource", "uri": name }))
            }
            Some(("completion", _)) => format!("\"ref\":{}", json!({ "type": "ref/prompt", "name": name })),
            _ => format!("\"name\":{}", json!(name)),
        });
        let arguments = self.args.as_ref().map(|arguments| format!("\"arguments\":{arguments}"));
        let params: Vec<_> = named.into_iter().chain(arguments).collect();
        let params = params.join(",");
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{},\"params\":{{{params}}}}}", json!(method));
        let one = Envelope::read(body.as_bytes(), false).is_ok_and(|messages| messages.len() == 1);
        if !one {
            return Err(Failure::Usage("--args: this is not JSON without repeated members".to_owned()));
        }
        let annotations = self.annotations()?.or_else(|| tool.map(|tool| tool.annotations(self.anonymous)));
        let is_held = tool.is_some_and(|tool| tool.is_held);
        Ok(Question::Message { body, annotations: annotations.unwrap_or(Annotations::UNKNOWN), is_held })
    }

    fn path(&self) -> Result<String, Failure> {
        let path = self.path.clone().unwrap_or_default();
        let is_path =
            path.starts_with('/') && path.parse::<PathAndQuery>().is_ok_and(|read| read.as_str() == read.path());
        let unfit = || Failure::Usage("--path: write a path that begins with a slash, without a query".to_owned());
        (is_path || path.is_empty()).then_some(path).ok_or_else(unfit)
    }

    fn annotations(&self) -> Result<Option<Annotations>, Failure> {
        let Some(text) = &self.annotations else { return Ok(None) };
        let parse = |word: &str| {
            Annotation::parse(word).ok_or_else(|| {
                Failure::Usage(format!("--annotations: {word:?} is none: readOnly, destructive, openWorld"))
            })
        };
        let says: Vec<Annotation> = text.split_whitespace().map(parse).collect::<Result<_, _>>()?;
        let has = |annotation| Some(says.contains(&annotation));
        let says = Annotations::of(has(Annotation::ReadOnly), has(Annotation::Destructive), has(Annotation::OpenWorld));
        Ok(Some(says))
    }

    fn scopes(&self, upstream: &UpstreamConfig) -> Result<ScopeSet, Failure> {
        let Some(text) = &self.scopes else { return Ok(upstream.default_scopes.clone()) };
        let known: Vec<_> = upstream.scopes.iter().map(|scope| &scope.name).collect();
        let find = |asked: &str| known.iter().find(|known| known.as_str() == asked).map(|known| (*known).clone());
        let found: Option<ScopeSet> = text.split_whitespace().map(find).collect();
        let names = || known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| Failure::Usage(format!("--scopes: the upstream has these: {}", names())))
    }

    /// Returns what the configuration and the store, if there is one, know of the user and the application.
    fn sender(&self, config: &Config) -> Result<Sender, Failure> {
        let user = self.user.as_deref().and_then(LoginName::parse);
        let user = user.ok_or_else(|| Failure::Usage("--user: this is no login name".to_owned()))?;
        let client = self.client.as_deref().and_then(ClientId::parse);
        let client = client.ok_or_else(|| Failure::Usage("--client: this is no client id".to_owned()))?;
        let of_id = client.is_url().then_some(ClientOrigin::MetadataDocument);
        if !config.data_dir.join(STORE).exists() {
            let (groups, client_kind) = (GroupSet::default(), of_id);
            return Ok(Sender { user, client, client_kind, groups, limit: None, unable: None });
        }
        let administration = self.data.open_folder()?.administration;
        let (groups, clients, accounts) = block_on(async {
            Ok((administration.groups().await?, administration.clients().await?, administration.accounts().await?))
        })?;
        let groups =
            groups.into_iter().filter(|(_, members)| members.contains(&user)).map(|(group, _)| group).collect();
        let known = clients.iter().find(|known| known.id == client);
        let unable = match accounts.iter().find(|account| account.name == user) {
            None => Some(("no_account", "there is no such account")),
            Some(account) if account.status == AccountStatus::Disabled => {
                Some(("account_disabled", "the account is disabled"))
            }
            Some(_) if known.is_some_and(|client| client.disabled) => {
                Some(("client_disabled", "the application is disabled"))
            }
            Some(_) => None,
        };
        let (client_kind, limit) = (known.map(|known| known.origin).or(of_id), known.and_then(Client::scope_limit));
        Ok(Sender { user, client, client_kind, groups, limit: limit.cloned(), unable })
    }
}

impl Question {
    /// Returns why no upstream gets it, whoever sends it.
    fn not_forwarded(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Http { method, .. } if !is_forwarded_method(method) => {
                Some(("method_not_allowed", "no upstream gets this method"))
            }
            Self::Http { path, .. } if !is_plain_path(path) => {
                Some(("ambiguous_path", "the path has an encoded or repeated separator"))
            }
            Self::Http { .. } | Self::Message { .. } => None,
        }
    }

    fn judge(&self, upstream: &UpstreamConfig, standing: &Standing) -> Ruling {
        let Some(rules) = upstream.rules.as_deref() else { return Ruling::Allowed };
        match self {
            Self::Http { method, path } => rules.judge_http(standing, method, path),
            Self::Message { body, annotations, is_held } => {
                let messages = Envelope::read(body.as_bytes(), false).unwrap_or_default();
                let judge = |envelope| {
                    let message = JudgedMessage { envelope, body: body.as_bytes(), place: None };
                    rules.judge(standing, message, |_| *annotations)
                };
                let ruling = messages.first().map_or(Ruling::Unopened, judge);
                if ruling == Ruling::Allowed && *is_held { Ruling::Held } else { ruling }
            }
        }
    }

    /// Returns the limits that count the request, with what each allows.
    fn limits(&self, upstream: &UpstreamConfig) -> Vec<(String, String)> {
        let Some(limits) = upstream.limits.as_deref() else { return Vec::new() };
        let counted = match self {
            Self::Http { method, path } => limits.of_http(method, path),
            Self::Message { body, annotations, .. } => {
                let messages = Envelope::read(body.as_bytes(), false).unwrap_or_default();
                messages.first().map(|message| limits.of_message(message, |_| *annotations)).unwrap_or_default()
            }
        };
        let all = limits.all();
        let counting = counted.indices().filter_map(|index| all.get(index));
        counting.map(|limit| (limit.name.clone(), limit.to_string())).collect()
    }
}

/// What is printed.
#[derive(Default)]
struct Explanation {
    /// Why the request is refused: a code for programs, and words; `None` if it passes.
    refused: Option<(&'static str, &'static str)>,
    denial: Option<Denial>,
    reason: String,
    /// The scopes of the token that its account may hold.
    in_force: ScopeSet,
    /// Scopes that every request needs and the token lacks.
    lacking: ScopeSet,
    /// Scopes, each of which is enough beside those of the token and `lacking`.
    would_help: ScopeSet,
    /// Scopes that the account may not hold.
    may_not_hold: ScopeSet,
    groups: GroupSet,
    /// How the client became known; `None` without a store that knows it.
    client_kind: Option<ClientOrigin>,
    /// What the store knows of the tool.
    tool: Option<CalledTool>,
    /// The limits that count the request if it passes, each with what it allows.
    limits: Vec<(String, String)>,
}

impl Explanation {
    /// Explains what becomes of a request without a token.
    fn without_token(question: &Question, upstream: &UpstreamConfig) -> Self {
        let ruling =
            upstream.rules.as_deref().and_then(Rules::anonymous).map(|nobody| question.judge(upstream, &nobody));
        let (refused, denial) = match ruling {
            _ if question.not_forwarded().is_some() => (question.not_forwarded(), None),
            Some(Ruling::Allowed) => (None, None),
            Some(Ruling::Denied(denial)) => (Some(WITHOUT_TOKEN), Some(denial)),
            _ => (Some(WITHOUT_TOKEN), None),
        };
        let reason = denial.and_then(|denial| denial.rule).zip(upstream.rules.as_deref());
        let reason = reason.map(|(rule, rules)| rules.reason(rule).to_owned()).unwrap_or_default();
        Self { refused, denial, reason, ..Self::default() }
    }

    fn of(question: &Question, sender: &Sender, upstream: &UpstreamConfig, scopes: &ScopeSet) -> Self {
        let access = |scopes: &ScopeSet| Access::of(sender, upstream, scopes);
        let anyway = question.not_forwarded().or(sender.unable);
        let refusal = |access: &Access| anyway.or_else(|| refusal(access, &question.judge(upstream, &access.standing)));
        let own = access(scopes);
        let ruling = question.judge(upstream, &own.standing);
        let refused = refusal(&own);
        let lacking = scopes.union(&own.lacking);
        let helps =
            |name: &ScopeToken| refusal(&access(&lacking.union(&std::iter::once(name.clone()).collect()))).is_none();
        let others = upstream.scopes.iter().map(|scope| &scope.name).filter(|name| !lacking.contains(name.as_str()));
        let is_enough = refused.is_none() || refusal(&access(&lacking)).is_none();
        let may_ask = |name: &ScopeToken| sender.limit.as_ref().is_none_or(|limit| limit.contains(name.as_str()));
        let would_help = others.filter(|name| !is_enough && may_ask(name) && helps(name)).cloned().collect();
        let denial = if let Ruling::Denied(denial) = ruling { Some(denial) } else { None };
        let denial = denial.filter(|_| own.is_admitted && anyway.is_none());
        let rule = denial.and_then(|denial| denial.rule);
        let reason = rule.zip(upstream.rules.as_deref()).map(|(rule, rules)| rules.reason(rule).to_owned());
        Self {
            refused,
            denial,
            reason: reason.unwrap_or_default(),
            in_force: own.scopes,
            lacking: own.lacking,
            would_help,
            may_not_hold: upstream.holders.barred(sender.user.as_str(), &sender.groups),
            groups: upstream.holders.groups.of(sender.user.as_str(), &sender.groups).into_owned(),
            client_kind: sender.client_kind,
            tool: None,
            limits: Vec::new(),
        }
    }

    fn value(&self) -> Value {
        json!({
            "decision": if self.refused.is_none() { "allowed" } else { "refused" },
            "why": self.refused.map(|(code, _)| code),
            "rule": self.denial.and_then(|denial| denial.rule),
            "reason": Some(&self.reason).filter(|reason| !reason.is_empty()),
            "only_arguments": self.denial.is_some_and(|denial| denial.is_over_arguments),
            "scopes": names(&self.in_force),
            "lacking": names(&self.lacking),
            "would_help": names(&self.would_help),
            "may_not_hold": names(&self.may_not_hold),
            "groups": self.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "client_kind": self.client_kind.map(ClientOrigin::as_str),
            "tool": self.tool.as_ref().map(CalledTool::value),
            "limits": self.limits.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut lines =
            vec![self.refused.map_or_else(|| "allowed".to_owned(), |(_, words)| format!("refused: {words}"))];
        if let Some(denial) = self.denial {
            let reason = if self.reason.is_empty() { String::new() } else { format!(" ({})", self.reason) };
            lines.extend(denial.rule.map(|rule| format!("rule: {rule}{reason}")));
            lines.extend(denial.is_over_arguments.then(|| "other arguments may pass".to_owned()));
        }
        let groups = self.groups.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (title, list) in [
            ("scopes in force", names(&self.in_force).join(" ")),
            ("scopes that every request needs and the token lacks", names(&self.lacking).join(" ")),
            ("scopes that would help, each alone", names(&self.would_help).join(" ")),
            ("scopes that the account may not hold", names(&self.may_not_hold).join(" ")),
            ("groups", groups.join(" ")),
            ("client", self.client_kind.map(ClientOrigin::as_str).unwrap_or_default().to_owned()),
        ] {
            lines.extend((!list.is_empty()).then(|| format!("{title}: {list}")));
        }
        lines.extend(self.tool.as_ref().map(CalledTool::text));
        lines.extend(self.limits.iter().map(|(name, allowed)| format!("limit {name}: {allowed}")));
        lines.join("\n")
    }
}

/// How a request without a token is refused, whatever the reason.
const WITHOUT_TOKEN: (&str, &str) = ("no_token", "this needs a token");

fn names(scopes: &ScopeSet) -> Vec<&str> {
    scopes.iter().map(ScopeToken::as_str).collect()
}
