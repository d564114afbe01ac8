//! Statements that were issued, and what they billed.

use ahash::AHashMap;
use sqlx::{AssertSqlSafe, Row as _};
use weir_service::auth::{Scope, Tenants};

use super::{Store, StoreError, on, placeholders, rows, signed, unsigned, write_in};
use crate::cell::Sums;

/// Tenants that a request may name.
const MOST_PARAMETERS: usize = 8000;

/// A statement, as it was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub tenant: String,
    /// First hour of its month.
    pub start: i64,
    /// Behind its last hour.
    pub end: i64,
    /// In unix seconds.
    pub issued_at: i64,
    /// Where its month was cut, since prices changed there; both ends included.
    pub cuts: Vec<i64>,
    /// JSON, as it was given out.
    pub document: String,
}

/// Usage of a name between two changes of its price that a statement bills, or corrects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billed {
    /// The statement that is corrected; its own number where nothing is.
    pub corrects: i64,
    /// Id of the name.
    pub name: i64,
    /// First hour.
    pub start: i64,
    /// Behind the last hour.
    pub end: i64,
    /// What is billed; of a correction what is to be added.
    pub sums: Sums,
}

impl Store {
    /// At most so many statements of these tenants with numbers below `before`, the newest first.
    pub async fn statements(&self, tenants: &Tenants, before: i64, limit: usize) -> Result<Vec<Issued>, StoreError> {
        let named: Vec<String> = match tenants.scope() {
            Scope::Only(names) => names.iter().take(MOST_PARAMETERS).cloned().collect(),
            Scope::All | Scope::AllBut(_) => Vec::new(),
        };
        if named.is_empty() && !tenants.is_all() {
            return Ok(Vec::new());
        }
        let only =
            if named.is_empty() { String::new() } else { format!(" AND tenant IN ({})", placeholders(3, named.len())) };
        let sql = format!(
            "SELECT id, tenant, start, until, issued_at, cuts, document FROM statements WHERE id < $1{only} \
             ORDER BY id DESC LIMIT $2"
        );
        on!(self, pool => {
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(before).bind(i64::try_from(limit).unwrap_or(i64::MAX));
            for tenant in &named {
                query = query.bind(tenant);
            }
            let mut found = Vec::new();
            for row in query.fetch_all(pool).await.map_err(|error| self.failed(error))? {
                let (tenant, cuts): (String, String) = (row.get(1), row.get(5));
                let cuts = serde_json::from_str(&cuts).map_err(|error| self.damaged(error))?;
                let (id, start, end) = (row.get(0), row.get(2), row.get(3));
                found.push(Issued { id, tenant, start, end, issued_at: row.get(4), cuts, document: row.get(6) });
            }
            found.retain(|issued| tenants.allows(Some(&issued.tenant)));
            Ok(found)
        })
    }

    /// The number of the next statement.
    pub async fn next_statement(&self) -> Result<i64, StoreError> {
        on!(self, pool => {
            let sql = "SELECT COALESCE(MAX(id), 0) + 1 FROM statements";
            let row = sqlx::query(sql).fetch_one(pool).await.map_err(|error| self.failed(error))?;
            Ok(row.get(0))
        })
    }

    /// What these statements and their corrections billed, by statement, name and first hour.
    pub async fn billed(&self, of: &[Issued]) -> Result<AHashMap<(i64, i64, i64), Billed>, StoreError> {
        let mut billed: AHashMap<(i64, i64, i64), Billed> = AHashMap::new();
        on!(self, pool => {
            for issued in of {
                let sql = "SELECT name, start, until, calls, errors, request_bytes, response_bytes, input_tokens, \
                     output_tokens, gpu_micros, energy_millijoules FROM statement_lines WHERE corrects = $1";
                let found = sqlx::query(sql).bind(issued.id).fetch_all(pool).await.map_err(|error| self.failed(error))?;
                for row in found {
                    let sums = Sums::from_array(std::array::from_fn(|at| unsigned(row.get(at + 3))));
                    let (name, start, end) = (row.get(0), row.get(1), row.get(2));
                    let line = Billed { corrects: issued.id, name, start, end, sums: Sums::default() };
                    billed.entry((issued.id, name, start)).or_insert(line).sums.add(&sums);
                }
            }
        });
        Ok(billed)
    }

    /// Keeps a statement and its lines; [`StoreError::Conflict`] where another was issued since. Its number is its `id`.
    pub async fn issue(&self, issued: &Issued, lines: &[Billed]) -> Result<(), StoreError> {
        let failed = |error| self.failed(error);
        on!(self, pool => {
            write_in!(self, pool, tx => {
                let sql = "INSERT INTO statements (id, tenant, start, until, issued_at, cuts, document) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let query = sqlx::query(sql).bind(issued.id).bind(&issued.tenant).bind(issued.start).bind(issued.end);
                let cuts = serde_json::to_string(&issued.cuts).map_err(|error| self.damaged(error))?;
                let done = query.bind(issued.issued_at).bind(cuts).bind(&issued.document).execute(&mut *tx).await;
                match done {
                    Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Err(StoreError::Conflict),
                    other => _ = other.map_err(failed)?,
                }
                for (chunk, first) in lines.chunks(64).zip((0_i64..).step_by(64)) {
                    let sql = format!(
                        "INSERT INTO statement_lines (statement, line, corrects, name, start, until, calls, errors, \
                         request_bytes, response_bytes, input_tokens, output_tokens, gpu_micros, energy_millijoules) \
                         VALUES {}",
                        rows(chunk.len(), 14)
                    );
                    let mut query = sqlx::query(AssertSqlSafe(sql));
                    for (line, number) in chunk.iter().zip(first..) {
                        query = query.bind(issued.id).bind(number).bind(line.corrects).bind(line.name);
                        query = query.bind(line.start).bind(line.end);
                        for field in line.sums.to_array() {
                            query = query.bind(signed(field));
                        }
                    }
                    query.execute(&mut *tx).await.map_err(failed)?;
                }
            });
        });
        Ok(())
    }
}
