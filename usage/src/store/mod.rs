//! Cells, positions and proofs in a database: SQLite in the data folder, or PostgreSQL by address; one schema for both.
//!
//! **Exactly once.** What a batch adds and the positions behind it are one transaction that begins by comparing and
//! setting the store's version. A process that was replaced, or that lost a race, knows an old version: its transaction
//! changes nothing, and it reads again what the store knows ([`StoreError::Conflict`]).

mod read;
mod state;
mod statement;
mod write;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool, SqlSafeStr as _, SqlitePool};

pub use self::read::{Picked, Proven, RangeRow, Window};
pub use self::state::{Sources, State, watermark};
pub use self::statement::{Billed, Issued};
pub use self::write::{Batch, CellKey, Counter, CounterKey, Gaps, RangeKey};

/// Spans of cells, as they are kept.
pub const HOUR: i64 = 0;
/// A day of UTC.
pub const DAY: i64 = 1;
/// A month of UTC.
pub const MONTH: i64 = 2;

/// More than there are reports at once, so that the writer never waits for them.
const CONNECTIONS: u32 = 8;
/// How long somebody waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process wrote since: nothing was changed; what is known is to be read again.
    #[error("another process wrote to the usage store; what it wrote is read again")]
    Conflict,
    /// Hours that were removed, in unix seconds; months are there.
    #[error("hours before {} are kept no more: before that, ask for whole months of UTC", crate::report::time(*.0))]
    Expired(i64),
    /// The database.
    #[error("the usage store {place} does not do its work")]
    Database {
        /// File or address, without a password.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// Its schema cannot be made or is of a newer weir.
    #[error("the schema of the usage store {place} cannot be used")]
    Schema {
        /// File or address, without a password.
        place: String,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The address.
    #[error("usage.store: {0}")]
    Address(String),
    /// The folder of the database.
    #[error("usage.store: cannot make the folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What lies there is not what was written.
    #[error("the usage store {place} is damaged: {what}")]
    Damaged {
        /// File or address, without a password.
        place: String,
        /// What was found.
        what: String,
    },
}

impl StoreError {
    /// Whether the database cannot be reached, and may be again.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Database { source, .. }
            | Self::Schema { source: sqlx::migrate::MigrateError::Execute(source), .. } => {
                matches!(source, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_))
            }
            _ => false,
        }
    }
}

/// The database, open; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    /// For messages: no password.
    place: String,
}

#[derive(Debug, Clone)]
enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The same for both databases: `$pool` is the pool of the one that is there.
macro_rules! on {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.db {
            $crate::store::Db::Sqlite($pool) => $body,
            $crate::store::Db::Postgres($pool) => $body,
        }
    };
}
use on;

/// A transaction that writes. A connection on which one failed is not used again: SQLite ends a transaction by itself
/// where the disk is full, and the driver does not learn of it.
macro_rules! write_in {
    ($store:expr, $pool:ident, $tx:ident => $body:block) => {{
        let mut connection = $pool.acquire().await.map_err(|error| $store.failed(error))?;
        let done: Result<(), StoreError> = async {
            let begun = sqlx::Connection::begin_with(&mut *connection, $store.begin_write()).await;
            let mut $tx = begun.map_err(|error| $store.failed(error))?;
            $body
            $tx.commit().await.map_err(|error| $store.failed(error))
        }
        .await;
        if matches!(done, Err(StoreError::Database { .. })) {
            connection.close_on_drop();
        }
        done?;
    }};
}
use write_in;

/// Compares and sets the version, in a transaction that writes.
macro_rules! set_version {
    ($store:expr, $tx:ident, $known:expr) => {{
        let sql = "UPDATE version SET number = number + 1 WHERE one = 1 AND number = $1";
        let set = sqlx::query(sql).bind($known).execute(&mut *$tx).await.map_err(|error| $store.failed(error))?;
        if set.rows_affected() != 1 {
            return Err(StoreError::Conflict);
        }
    }};
}
use set_version;

/// Names by their ids, as `$query` selects [`NAMES`] of them.
macro_rules! read_names {
    ($store:expr, $query:expr, $by:expr) => {{
        let found = $query.fetch_all($by).await.map_err(|error| $store.failed(error))?;
        found
            .into_iter()
            .map(|row| (row.get(0), Name { tenant: row.get(1), service: row.get(2), interface: row.get(3) }))
    }};
}
use read_names;

/// All names.
const NAMES: &str = "SELECT id, tenant, service, interface FROM names";

impl Store {
    /// Checks `usage.store` without opening it.
    pub fn check(address: &str) -> Result<(), String> {
        if address == "sqlite" {
            return Ok(());
        }
        if !address.starts_with("postgres://") && !address.starts_with("postgresql://") {
            let shown: String = address.split("://").next().unwrap_or_default().chars().take(32).collect();
            return Err(format!(
                "«{shown}» is no store: use sqlite, or an address such as postgres://user@host/database"
            ));
        }
        PgConnectOptions::from_str(address).map(drop).map_err(|error| format!("not an address of PostgreSQL: {error}"))
    }

    /// Opens the store, and makes or migrates its schema. SQLite lies in `folder`.
    pub async fn open(address: &str, folder: &Path) -> Result<Self, StoreError> {
        Self::check(address).map_err(StoreError::Address)?;
        let store = if address == "sqlite" { Self::sqlite(folder)? } else { Self::postgres(address)? };
        let migrated = match &store.db {
            Db::Sqlite(pool) => migrator(false).run(pool).await,
            Db::Postgres(pool) => migrator(true).run(pool).await,
        };
        migrated.map_err(|source| StoreError::Schema { place: store.place.clone(), source })?;
        Ok(store)
    }

    fn sqlite(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join("usage.db");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Cells would be counted again after a crash of the machine, but a statement that was given out stays.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .pragma("cache_size", "-16384")
            // Statements of some thousand parameters would fill the log.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        Ok(Self { db: Db::Sqlite(pool.connect_lazy_with(options)), place: path.display().to_string() })
    }

    fn postgres(address: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(address).map_err(|error| StoreError::Address(error.to_string()))?;
        let database = options.get_database().unwrap_or_default();
        let place = format!("postgres://{}:{}/{database}", options.get_host(), options.get_port());
        let options = options.application_name("weir-usage").disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        Ok(Self { db: Db::Postgres(pool.connect_lazy_with(options)), place })
    }

    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::Database { place: self.place.clone(), source }
    }

    fn damaged(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Damaged { place: self.place.clone(), what: what.to_string() }
    }

    /// Begins a transaction that writes.
    fn begin_write(&self) -> &'static str {
        match self.db {
            Db::Sqlite(_) => "BEGIN IMMEDIATE",
            Db::Postgres(_) => "BEGIN",
        }
    }

    /// A long statement whose parameters occur once each, by rising numbers, as this database reads it fastest: SQLite
    /// finds a number by walking through all that it has, so it gets none.
    fn in_order(&self, sql: String) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self.db {
            Db::Sqlite(_) => without_numbers(&sql),
            Db::Postgres(_) => sql,
        })
    }

    /// Begins a transaction whose reads all see the same.
    fn begin_read(&self) -> &'static str {
        match self.db {
            Db::Sqlite(_) => "BEGIN",
            Db::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

fn migrator(is_postgres: bool) -> Migrator {
    let schema = include_str!("schema.sql");
    let schema =
        if is_postgres { schema.replace(" BLOB", " BYTEA").replace(" WITHOUT ROWID", "") } else { schema.to_owned() };
    let sql = AssertSqlSafe(schema).into_sql_str();
    let first = Migration::new(1, Cow::Borrowed("cells, proofs, statements"), MigrationType::Simple, sql, false);
    Migrator::with_migrations(vec![first])
}

/// `$1, $2, …` for so many parameters from `first` on.
fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::new();
    for at in first..first + count {
        if at > first {
            text.push(',');
        }
        text.push('$');
        text.push_str(&at.to_string());
    }
    text
}

/// `?` for each `$1`.
fn without_numbers(sql: &str) -> String {
    let mut parts = sql.split('$');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "?" + part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

/// Rows of so many parameters each, as VALUES has them.
fn rows(count: usize, columns: usize) -> String {
    let row = |at: usize| format!("({})", placeholders(at * columns + 1, columns));
    (0..count).map(row).collect::<Vec<_>>().join(",")
}

/// What a number of SQL's is: none of ours is negative.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A number as SQL has it. Sums stop at 2^53, far beyond anything real, so that a thousand of them can be added up.
fn signed(value: u64) -> i64 {
    const MOST: u64 = 1 << 53;
    value.min(MOST) as i64
}

#[cfg(test)]
mod tests;
