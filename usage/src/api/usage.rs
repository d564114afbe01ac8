//! `GET /api/v1/usage`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem};

use super::params::{END, Params, START};
use super::{Api, problem};
use crate::report::{self, By, Request};

/// Rows of a page where nothing else is said, and at most.
const ROWS: usize = 1000;
const MOST_ROWS: usize = 10_000;
/// Rows of a CSV file, which has no pages.
const CSV_ROWS: usize = 200_000;

pub(super) const PARAMETERS: [Parameter; 10] = [
    START,
    END,
    ("step", "hour, day, month or total (where it is not given): how rows are cut over time"),
    ("by", "tenant, service and interface, separated by commas; all of them where it is not given"),
    ("tz", "Time zone of days and months, such as Asia/Shanghai; UTC where it is not given"),
    ("service", "Only of this service"),
    ("interface", "Only of this interface"),
    ("limit", "How many rows the answer may have"),
    ("cursor", "`next_cursor` of the page before"),
    ("format", "json or csv; a CSV file has all rows"),
];

pub(super) async fn get(State(api): State<Api>, tenants: Tenants, params: Params) -> Result<Response, Problem> {
    let zone = params.zone()?;
    let (start, end) = params.hours(&zone)?;
    let is_csv = match params.text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(Problem::parameter("format", format!("`{other}` is no format: use json or csv"))),
    };
    let mut request = Request {
        start,
        end,
        step: params.step()?,
        by: by(params.text("by"))?,
        zone,
        service: params.text("service").map(str::to_owned),
        interface: params.text("interface").map(str::to_owned),
        limit: if is_csv { CSV_ROWS } else { params.number("limit", ROWS, MOST_ROWS)? },
        after: None,
    };
    if let Some(text) = params.text("cursor") {
        let detail = "no cursor of this question: use the `next_cursor` of the page before, and the same parameters";
        let after = report::read_cursor(text, &mut request);
        request.after = Some(after.ok_or_else(|| Problem::parameter("cursor", detail))?);
    }
    let _turn = api.turn().await?;
    let prices = api.prices.get();
    let complete_until = api.progress.complete_until();
    let report =
        report::make(&api.store, &tenants, &request, prices.as_ref()).await.map_err(|error| problem(&error))?;
    if !is_csv {
        return Ok(Json(report::json(&report, &request, prices.as_ref(), complete_until)).into_response());
    }
    if report.has_more {
        let detail = format!("more than {CSV_ROWS} rows: ask for a shorter time, or by fewer names");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let text = report::csv(&report, &request, prices.as_ref()).map_err(|error| {
        tracing::error!(%error, "a report cannot be written as CSV");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the report cannot be written as CSV")
    })?;
    let file = r#"attachment; filename="usage.csv""#;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, file)], text).into_response())
}

fn by(text: Option<&str>) -> Result<By, Problem> {
    let Some(text) = text else { return Ok(By::ALL) };
    let mut by = By { tenant: false, service: false, interface: false };
    for name in text.split(',').map(str::trim) {
        match name {
            "tenant" => by.tenant = true,
            "service" => by.service = true,
            "interface" => by.interface = true,
            other => {
                let shown: String = other.chars().filter(|c| !c.is_control()).take(64).collect();
                let detail = format!("`{shown}` is nothing to count by: use tenant, service and interface");
                return Err(Problem::parameter("by", detail));
            }
        }
    }
    Ok(by)
}
