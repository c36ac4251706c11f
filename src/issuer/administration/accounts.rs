//! Accounts: adding, listing, disabling, passwords and the links to set them.

use std::fmt;

use super::tables::{CHANGE_THERE, ENABLE_THERE, REMOVE_THERE, TableKind};
use super::{Administration, AdministrationError, done};
use crate::issuer::login::password;
use crate::oauth::{AccountId, LoginName, LoginNameHash, Subject};
use crate::store::{
    Account, AccountStatus, AuditEvent, AuditRow, Insertion, LinkSecret, NewPassword, Renaming, SetupLink,
};

/// Login name of the first account.
const FIRST: &str = "admin";

/// An account that was just added.
pub struct NewAccount {
    /// The new account.
    pub account: Account,
    /// The one-time URL at which its password is set; `None` when it already has one.
    pub link: Option<String>,
}

/// What was done to make the first account usable.
pub enum FirstAccount {
    /// Nothing: somebody can log in.
    Ready,
    /// Its password has been set.
    PasswordSet,
    /// Its password is to be set at this one-time URL.
    Link(String),
}

impl fmt::Debug for NewAccount {
    /// Leaves out the link: anyone who has it can set the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("account", &self.account).finish_non_exhaustive()
    }
}

impl fmt::Debug for FirstAccount {
    /// Leaves out the link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "Ready",
            Self::PasswordSet => "PasswordSet",
            Self::Link(_) => "Link(..)",
        })
    }
}

impl Administration {
    /// Adds an account: with a password, or with a one-time link to set one.
    ///
    /// # Errors
    /// `BadName`, `NameTaken`, `NameOnceGiven`, `Password`, `Hash`, `Store`.
    pub async fn add_account(&self, name: &str, password: Option<&str>) -> Result<NewAccount, AdministrationError> {
        let name = login_name(name)?;
        let phc = match password {
            Some(password) => Some(self.hash(&name, password).await?),
            None => None,
        };
        let now = self.services.clock.now();
        // 128 random bits: never the id of an earlier account, whatever its name was.
        let id: String = self.services.entropy.random_16().iter().map(|byte| format!("{byte:02x}")).collect();
        let subject =
            AccountId::parse(&format!("user_{id}")).ok_or_else(|| AdministrationError::BadName(name.to_string()))?;
        let account = Account {
            tenant: self.tenant.clone(),
            subject: Subject::Person(subject),
            name,
            password_set_at: phc.is_some().then_some(now),
            password: phc,
            status: AccountStatus::Enabled,
            failed_logins: 0,
            last_failed_at: None,
            created_at: now,
        };
        let row = self.audit_of(AuditEvent::AccountAdded, account.subject.id());
        match self.services.store.insert_account(account.clone(), row).await? {
            Insertion::Inserted => {}
            Insertion::Exists | Insertion::Full | Insertion::Same => {
                return Err(self.taken(account.name).await?);
            }
        }
        let link = match password {
            Some(_) => None,
            None => Some(self.make_link(&account).await?),
        };
        Ok(NewAccount { account, link })
    }

    /// Lists all accounts, of people and of services.
    ///
    /// # Errors
    /// `Store`.
    pub async fn accounts(&self) -> Result<Vec<Account>, AdministrationError> {
        Ok(self.services.store.list_accounts(&self.tenant).await?)
    }

    /// Finds an account by its login name, or by the subject that audit rows name it by.
    ///
    /// # Errors
    /// `NoSuchAccount`, `Store`.
    pub async fn account(&self, name: &str) -> Result<Account, AdministrationError> {
        let missing = || AdministrationError::NoSuchAccount(name.to_owned());
        if let Some(name) = LoginName::parse(name)
            && let Some(found) = self.services.store.find_account_by_name(&self.tenant, &name).await?
        {
            return Ok(found);
        }
        let subject = AccountId::parse(name).ok_or_else(missing)?;
        self.services.store.find_account(&self.tenant, &subject).await?.ok_or_else(missing)
    }

    /// Finds the account of a person. What a service has and may is up to its client.
    pub(super) async fn person(&self, name: &str) -> Result<Account, AdministrationError> {
        let found = self.account(name).await?;
        if found.subject.is_person() { Ok(found) } else { Err(AdministrationError::NotAPerson(found.name.to_string())) }
    }

    /// Switches an account off, which ends its sessions and revokes its grants, or on again.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `InFile` if the file has it switched off, `Store`.
    pub async fn set_account_disabled(&self, name: &str, disabled: bool) -> Result<(), AdministrationError> {
        let account = self.person(name).await?;
        // Even if the account reads as enabled, a running server may have disabled it and not stored that yet, so the
        // store is asked to write.
        if disabled && account.status == AccountStatus::Disabled {
            return Ok(());
        }
        if let Some(table) = self.table_of_account(account.subject.id()).await?.filter(|t| !disabled && t.is_disabled())
        {
            return Err(self.in_file(TableKind::Account, table, ENABLE_THERE));
        }
        let event = if disabled { AuditEvent::AccountDisabled } else { AuditEvent::AccountEnabled };
        let row = self.audit_of(event, account.subject.id());
        let update = self.services.store.set_account_disabled(account.subject.id(), disabled, row).await?;
        done(update, || AdministrationError::NoSuchAccount(name.to_owned()))
    }

    /// Renames an account; the old name is never given to anybody else. Sessions and grants are kept.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `BadName`, `InFile`, `NameTaken`, `NameOnceGiven`, `Store`.
    pub async fn rename_account(&self, name: &str, new: &str) -> Result<Account, AdministrationError> {
        let account = self.person(name).await?;
        let new = login_name(new)?;
        if account.name == new {
            return Ok(account);
        }
        self.expect_account_not_in_file(account.subject.id(), CHANGE_THERE).await?;
        let reason = Some(format!("{} to {new}", account.name));
        let row = AuditRow { reason, ..self.audit_of(AuditEvent::AccountRenamed, account.subject.id()) };
        match self.services.store.rename_account(account.subject.id(), &new, row).await? {
            Renaming::Done => Ok(Account { name: new, ..account }),
            Renaming::NotFound => Err(AdministrationError::NoSuchAccount(account.name.to_string())),
            Renaming::Taken => Err(self.taken(new).await?),
        }
    }

    /// Deletes an account with its sessions and grants; its name is never given to anybody else.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `InFile`, `Store`.
    pub async fn delete_account(&self, name: &str) -> Result<Account, AdministrationError> {
        let account = self.person(name).await?;
        self.expect_account_not_in_file(account.subject.id(), REMOVE_THERE).await?;
        let reason = Some(account.name.to_string());
        let row = AuditRow { reason, ..self.audit_of(AuditEvent::AccountDeleted, account.subject.id()) };
        let update = self.services.store.delete_account(account.subject.id(), row).await?;
        done(update, || AdministrationError::NoSuchAccount(account.name.to_string()))?;
        Ok(account)
    }

    /// Returns why a name is not available: an account has it, or had it once.
    async fn taken(&self, name: LoginName) -> Result<AdministrationError, AdministrationError> {
        let holder = self.services.store.find_account_by_name(&self.tenant, &name).await?;
        let why = if holder.is_some() { AdministrationError::NameTaken } else { AdministrationError::NameOnceGiven };
        Ok(why(name.to_string()))
    }

    /// Lists the former login names of renamed and deleted accounts, with the subject of each.
    ///
    /// # Errors
    /// `Store`.
    pub async fn former_names(&self) -> Result<Vec<(LoginName, AccountId)>, AdministrationError> {
        Ok(self.services.store.former_names(&self.tenant).await?)
    }

    /// Sets a password, which ends the account's sessions and revokes its grants.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `Password`, `Hash`, `Store`.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), AdministrationError> {
        let account = self.person(name).await?;
        let phc = self.hash(&account.name, password).await?;
        let row = self.audit_of(AuditEvent::PasswordSet, account.subject.id());
        let hash = LoginNameHash::of(&self.tenant, account.name.as_str(), &self.services.keys.load());
        let new = NewPassword { phc, name: hash, at: self.services.clock.now() };
        let update = self.services.store.set_password(account.subject.id(), new, row).await?;
        done(update, || AdministrationError::NoSuchAccount(name.to_owned()))
    }

    /// Makes a one-time link for setting an account's password; earlier links become invalid.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `Store`.
    pub async fn password_link(&self, name: &str) -> Result<String, AdministrationError> {
        let account = self.person(name).await?;
        self.make_link(&account).await
    }

    /// Makes sure that somebody can log in: adds the first account if there is none, and while it has no password gives
    /// it `password`, or a new link.
    ///
    /// # Errors
    /// `Password`, `Hash`, `Store`.
    pub async fn first_account(&self, password: Option<&str>) -> Result<FirstAccount, AdministrationError> {
        let mut accounts = self.accounts().await?;
        accounts.retain(|account| account.subject.is_person());
        let without_password = accounts.iter().find(|a| a.name.as_str() == FIRST && a.password.is_none());
        match (without_password, password) {
            (None, _) if !accounts.is_empty() => Ok(FirstAccount::Ready),
            (None, _) => match self.add_account(FIRST, password).await {
                Ok(added) => Ok(added.link.map_or(FirstAccount::PasswordSet, FirstAccount::Link)),
                // The name was used before, and the operator has deleted the last account.
                Err(AdministrationError::NameOnceGiven(_)) => {
                    tracing::warn!("nobody can sign in: there is no account; add one with mcpgate user add");
                    Ok(FirstAccount::Ready)
                }
                Err(error) => Err(error),
            },
            (Some(account), Some(password)) => {
                self.set_password(account.name.as_str(), password).await?;
                Ok(FirstAccount::PasswordSet)
            }
            (Some(account), None) => Ok(FirstAccount::Link(self.make_link(account).await?)),
        }
    }

    async fn make_link(&self, account: &Account) -> Result<String, AdministrationError> {
        let secret = LinkSecret::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let login = &self.config.login;
        // LI-08: a reset link opens an account in use, so it is valid for a shorter time than a first link.
        let lifetime = if account.password.is_some() { login.reset_link } else { login.setup_link };
        let now = self.services.clock.now();
        let link = SetupLink {
            hash: secret.hash(),
            tenant: self.tenant.clone(),
            subject: account.subject.id().clone(),
            made_at: Some(now),
            expires_at: now.plus(lifetime),
        };
        let row = self.audit_of(AuditEvent::SetupLinkMade, account.subject.id());
        self.services.store.insert_setup_link(link, row).await?;
        // The host comes from the configuration, never from a request.
        Ok(format!("{}/setup?link={}", self.config.public_url, secret.reveal()))
    }

    async fn hash(&self, name: &LoginName, password: &str) -> Result<String, AdministrationError> {
        let policy = self.config.login.clone();
        let (password, salt) = (zeroize::Zeroizing::new(password.to_owned()), self.services.entropy.random_16());
        let name = name.clone();
        let hashed = password::off_thread(move || password::hash_new(&password, name.as_str(), &policy, salt)).await?;
        hashed.map_err(AdministrationError::Password)
    }
}

fn login_name(name: &str) -> Result<LoginName, AdministrationError> {
    LoginName::parse(name).ok_or_else(|| AdministrationError::BadName(name.to_owned()))
}
