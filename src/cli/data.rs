//! The data that a command works on: the options that name it, and the open store with its use cases.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config_file::{ConfigFile, NamedBy};
use super::failure::Failure;
use super::output::Output;
use super::remember;
use super::runtime::block_on;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, FILE_VARIABLE, Overrides, Problem, SYSTEM_FILE};
use crate::data_dir::keys::{self, KeysError};
use crate::data_dir::{self, User};
use crate::entropy::{Entropy as _, SystemEntropy};
use crate::issuer::{Administration, Services, Withdrawal, Withdrawn};
use crate::oauth::{TenantId, TokenKeys};
use crate::server::command_socket::{self, CommandOutcome};
use crate::store::{self, Store};

/// The options of all commands about data.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DataArguments {
    /// The configuration of `mcpgate serve` [default: that of MCPGATE_CONFIG, or /etc/mcpgate/gateway.toml]; with
    /// --data, the file that `mcpgate up` was given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of `mcpgate up` [default without a configuration: mcpgate in the user's data home]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The tenant
    #[arg(long, default_value = TenantId::DEFAULT)]
    tenant: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whether a command may create a missing store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It may, in a folder that was named: the first account or client can be added before the first start.
    Make,
    /// It may not: a mistyped folder must not look like an empty store.
    Refuse,
}

/// An open store.
pub(super) struct Data {
    pub(super) config: Arc<Config>,
    pub(super) store: Arc<dyn Store>,
    services: Services,
    pub(super) administration: Administration,
    pub(super) output: Output,
}

impl DataArguments {
    /// Opens the data.
    pub(super) fn open(&self, missing: Missing) -> Result<Data, Failure> {
        self.open_by(&self.load()?, missing)
    }

    /// Opens the data to apply what the configuration file says of clients and accounts.
    pub(super) fn open_for_tables(&self, missing: Missing) -> Result<Data, Failure> {
        self.expect_people()?;
        let mut data = self.open_by(&self.load_with(true)?, missing)?;
        data.administration = Administration::of_file(data.services.clone(), Arc::clone(&data.config));
        Ok(data)
    }

    fn open_by(&self, config: &Config, missing: Missing) -> Result<Data, Failure> {
        let tenant = self.tenant()?;
        self.expect_folder(config, missing)?;
        let loaded = |entropy: &SystemEntropy| keys::load_or_make(&config.data_dir, &config.brand, entropy);
        self.open_with(tenant, config, |entropy| Ok(loaded(entropy)?.token))
    }

    /// Opens the data for a command that needs only the folder: ending access must work even while the configuration or
    /// the keys are broken or missing.
    pub(super) fn open_folder(&self) -> Result<Data, Failure> {
        let tenant = self.tenant()?;
        let config = self.load_folder()?;
        self.expect_folder(&config, Missing::Refuse)?;
        self.open_folder_of(tenant, &config)
    }

    /// Ends access: through the running server, where it takes effect at once, even on a full disk; without a server,
    /// or if that fails, in the store.
    pub(super) fn withdraw(&self, operation: &Withdrawal) -> Result<Withdrawn, Failure> {
        let tenant = self.tenant()?;
        let config = self.load_folder()?;
        self.expect_folder(&config, Missing::Refuse)?;
        match command_socket::ask(&config.data_dir, &tenant, operation) {
            CommandOutcome::Done(withdrawn) => return Ok(withdrawn),
            CommandOutcome::NotStored => return Err(Failure::NotStored),
            CommandOutcome::Refused(why) => return Err(Failure::other(anyhow::anyhow!(why))),
            CommandOutcome::NoServer => {}
            CommandOutcome::Failed(why) => {
                self.output()
                    .note(&format!("The running server did not do it ({why}); writing to the store directly."));
            }
        }
        let data = self.open_folder_of(tenant, &config)?;
        block_on(async { Ok(data.administration.withdraw(operation).await?) })
    }

    fn open_folder_of(&self, tenant: TenantId, config: &Config) -> Result<Data, Failure> {
        self.open_with(tenant, config, |entropy| {
            // Such a command does not use the keys.
            let lost = || TokenKeys::new(vec![(0, entropy.random_32())], config.brand.clone());
            let loaded = keys::load(&config.data_dir, &config.brand);
            loaded.map(|keys| keys.token).or_else(|error| lost().ok_or(error))
        })
    }

    fn tenant(&self) -> Result<TenantId, Failure> {
        TenantId::parse(&self.tenant)
            .ok_or_else(|| Failure::Usage("--tenant: a tenant is 1 to 64 of a-z, 0-9 and -".to_owned()))
    }

    fn open_with(
        &self,
        tenant: TenantId,
        config: &Config,
        keys: impl FnOnce(&SystemEntropy) -> Result<TokenKeys, KeysError>,
    ) -> Result<Data, Failure> {
        let config = Arc::new(config.clone());
        let entropy = Arc::new(SystemEntropy::new());
        let keys = keys(&entropy).map_err(Failure::other)?;
        let store = store::open(&config.data_dir, None, SystemClock.now())?;
        let (clock, shared, keys) = (Arc::new(SystemClock), Arc::clone(&config), Arc::new(keys));
        let services = Services::new(Arc::clone(&store), clock, entropy, keys, shared);
        let administration = Administration::new(services.clone(), tenant);
        Ok(Data { config, store, services, administration, output: self.output() })
    }

    /// Refuses a folder that cannot be used, or that has no store if none may be created.
    fn expect_folder(&self, config: &Config, missing: Missing) -> Result<(), Failure> {
        self.expect_store(&config.data_dir, missing)?;
        data_dir::check(&config.data_dir, User::Command).map_err(Failure::other)?;
        data_dir::check_store(&config.data_dir).map_err(Failure::other)
    }

    /// Refuses a folder without a store, unless one may be created there; otherwise prints which store is used.
    pub(super) fn expect_store(&self, folder: &Path, missing: Missing) -> Result<(), Failure> {
        let file = self.file()?;
        let told = self.data.is_some() || file.is_some();
        let store = folder.join(data_dir::STORE);
        if !(store.exists() || (missing == Missing::Make && told)) {
            let text = "there is no store here; name its directory with --data, or its configuration with --config";
            return Err(Failure::other(anyhow::anyhow!("{}: {text}", folder.display())));
        }
        let named_by = file.map_or(NamedBy::Option, |file| file.named_by);
        let by = match named_by {
            NamedBy::Option => String::new(),
            NamedBy::Variable => format!(" (by {FILE_VARIABLE})"),
            NamedBy::Place => format!(" (by {SYSTEM_FILE})"),
        };
        self.output().note(&format!("Store: {}{by}", store.display()));
        Ok(())
    }

    /// Returns the configuration file, whether it was named or not. The one used with a data directory is remembered
    /// there.
    fn file(&self) -> Result<Option<ConfigFile>, Failure> {
        let option = self.config.as_deref();
        if self.data.is_some() {
            return Ok(option.map(|path| ConfigFile { path: path.to_owned(), named_by: NamedBy::Option }));
        }
        ConfigFile::find(option)
    }

    /// Opens the data to add an account or client for signing in, which only one tenant supports.
    pub(super) fn open_to_sign_in(&self, missing: Missing) -> Result<Data, Failure> {
        self.expect_people()?;
        self.open(missing)
    }

    /// Refuses a tenant that people cannot sign in to.
    fn expect_people(&self) -> Result<(), Failure> {
        if self.tenant != TenantId::DEFAULT {
            return Err(Failure::Usage(format!(
                "--tenant {}: nobody can sign in to this tenant; people can sign in to {:?} only",
                self.tenant,
                TenantId::DEFAULT
            )));
        }
        Ok(())
    }

    /// Reads the configuration for a command that needs only the data directory, whatever else is wrong with it.
    pub(super) fn load_folder(&self) -> Result<Config, Failure> {
        self.load().or_else(|failure| self.without_configuration(failure))
    }

    /// Falls back to the data directory alone, as named by the options, the broken file or the default.
    fn without_configuration(&self, failure: Failure) -> Result<Config, Failure> {
        let named = match (&self.data, self.file()) {
            (Some(data), _) => Some(Some(data.clone())),
            (None, Ok(Some(file))) if remember::is_addition(&file) => None,
            (None, Ok(Some(file))) => {
                let problems = if let Failure::Configuration(problems) = &failure { problems.as_slice() } else { &[] };
                Some(Config::data_dir_of(&file.path, problems))
            }
            (None, Ok(None)) => None,
            (None, Err(_)) => Some(None),
        };
        if named == Some(None) {
            let Failure::Configuration(problems) = failure else { return Err(failure) };
            return Err(Failure::Configuration([problems, vec![folder_unknown()]].concat()));
        }
        let overrides = Overrides { data_dir: named.flatten(), up: true, data_only: true, ..Overrides::default() };
        let config = Config::load(None, &overrides).map_err(Failure::Configuration)?;
        let folder = config.data_dir.display();
        let why = failure.words();
        self.output().note(&format!("The configuration cannot be used; the command still runs on {folder}:\n{why}"));
        Ok(config)
    }

    /// Returns how the command prints.
    pub(super) fn output(&self) -> Output {
        Output::new(self.json)
    }

    /// Reads the configuration without opening the data.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        self.load_with(false)
    }

    /// Reads the configuration; with the secrets of its clients and accounts, or whatever is wrong with those.
    fn load_with(&self, with_secrets: bool) -> Result<Config, Failure> {
        let file = self.file()?.filter(|file| self.data.is_none() && !remember::is_addition(file));
        let overrides = Overrides {
            data_dir: self.data.clone(),
            up: file.is_none(),
            data_only: true,
            with_secrets,
            ..Overrides::default()
        };
        if let Some(file) = file {
            return Config::load(Some(&file.path), &overrides).map_err(Failure::Configuration);
        }
        // The folder of `up`, which remembers how it was last started.
        let bare = Config::load(None, &overrides).map_err(Failure::Configuration)?;
        let (noted, overrides) = remember::recall(&bare.data_dir, overrides)?;
        if let Some(gone) = noted.as_ref().filter(|file| self.config.is_none() && !file.exists()) {
            let text = "mcpgate up was last started with this file, which is gone; name its new place with --config";
            return Err(Failure::other(anyhow::anyhow!("{}: {text}", gone.display())));
        }
        let file = self.config.clone().or(noted);
        Config::load(file.as_deref(), &overrides).map_err(Failure::Configuration)
    }
}

/// Returns the advice for when neither the configuration nor the folder in it can be used.
fn folder_unknown() -> Problem {
    let fault = "this command needs only the data directory, which the configuration does not name".to_owned();
    let remedy = "name it with this option instead of the file".to_owned();
    Problem { file: None, line: None, key: "--data".to_owned(), fault, remedy }
}
