//! Statements: what was billed, and issuing one.
import { address, request } from "../../lib/api";
import { money } from "../../lib/decimal";
import { csvLine, download } from "../../lib/download";
import { useData } from "../../lib/data";
import { count } from "../../lib/format";
import { may } from "../../lib/session";
import { clock, now } from "../../lib/time";
import type { Statement, StatementLine, Statements } from "../../lib/types/usage";
import { here, param } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { Badge, Empty, Panel, Show } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { useState } from "preact/hooks";
import { IssueDialog } from "./IssueDialog";
import { stepText } from "./period";
import { gpuHours, nameText } from "./show";
import { w } from "./words";

/** From the first day to the last; the end itself belongs to the next month. */
function periodText({ start, end }: { start: string; end: string }, zone: string): string {
  const day = (time: number) => stepText(time, "day", zone);
  return `${day(Date.parse(start))} – ${day(Date.parse(end) - 1)}`;
}

const totalText = ({ total, currency }: Statement) => (total === null ? "–" : money(total, currency));
const nameOf = (statement: Statement) => `statement-${statement.statement}-${statement.tenant}`;

const FIELDS = ["start", "end", "service", "interface", "calls", "errors", "input_tokens", "output_tokens", "gpu_seconds", "amount", "corrects"] as const;

/** The lines of a statement, corrections last. */
export function statementCsv(statement: Statement): string {
  const head = ["statement", "tenant", ...FIELDS, "currency"];
  const line = (one: StatementLine) => csvLine([statement.statement, statement.tenant, ...FIELDS.map((field) => one[field]), statement.currency]);
  return csvLine(head) + [...statement.lines, ...statement.corrections].map(line).join("");
}

function Files({ statement }: { statement: Statement }) {
  return (
    <span class="usage-files">
      <button class="btn btn-plain" type="button" onClick={() => download(`${nameOf(statement)}.json`, JSON.stringify(statement, null, 2))}>
        <Icon name="download" />
        {w.json()}
      </button>
      <button class="btn btn-plain" type="button" onClick={() => download(`${nameOf(statement)}.csv`, statementCsv(statement), "text/csv")}>
        <Icon name="download" />
        {w.csv()}
      </button>
    </span>
  );
}

export function StatementsView({ tenant, zone }: { tenant: string; zone: string }) {
  const [issues, setIssues] = useState(false);
  const cursor = param("cursor");
  const data = useData([tenant, cursor, now.value], (signal) =>
    request<Statements>("GET", address("/api/v1/usage/statements", { limit: 100, cursor }), { signal }),
  );
  const chosen = param("statement");
  return (
    <Show of={data}>
      {({ statements, next_cursor }) => {
        if (chosen) {
          const one = statements.find((statement) => String(statement.statement) === chosen);
          return one ? <OneStatement statement={one} zone={zone} /> : <Empty action={<a href={here({ statement: null })}>{w.back()}</a>}>{w.statement_gone()}</Empty>;
        }
        const issue = may("operator") && (
          <button class="btn" type="button" onClick={() => setIssues(true)}>
            {w.issue()}
          </button>
        );
        return (
          <>
            <Panel title={w.statements()} class="panel-flush" actions={statements.length ? issue : undefined}>
              <Table
                label={w.statements()}
                columns={columns(zone)}
                rows={statements}
                keyOf={(row) => String(row.statement)}
                href={(row) => here({ statement: String(row.statement) })}
                sortParam="ssort"
                empty={<Empty action={issue}>{w.no_statements()}</Empty>}
              />
            </Panel>
            {next_cursor && <a href={here({ cursor: next_cursor })}>{w.older()}</a>}
            {issues && (
              <IssueDialog
                tenant={tenant}
                zone={zone}
                onClose={(isIssued) => {
                  setIssues(false);
                  if (isIssued) data.reload();
                }}
              />
            )}
          </>
        );
      }}
    </Show>
  );
}

function columns(zone: string): Column<Statement>[] {
  return [
    { key: "id", head: w.statement(), cell: (row) => row.statement, sort: (row) => row.statement },
    { key: "tenant", head: w.tenant(), cell: (row) => row.tenant, sort: (row) => row.tenant },
    { key: "period", head: w.of_month(), cell: (row) => periodText(row, zone), sort: (row) => row.start },
    { key: "issued", head: w.issued(), cell: (row) => clock(row.issued_at, 0), sort: (row) => row.issued_at, wide: true },
    { key: "lines", head: w.lines(), align: "right", cell: (row) => count(row.lines.length), sort: (row) => row.lines.length, wide: true },
    { key: "corrections", head: w.corrections(), align: "right", cell: (row) => count(row.corrections.length), sort: (row) => row.corrections.length, wide: true },
    { key: "total", head: w.total(), align: "right", cell: totalText, sort: (row) => Number(row.total ?? 0) },
    { key: "file", head: w.file(), align: "right", cell: (row) => <Files statement={row} /> },
  ];
}

function OneStatement({ statement, zone }: { statement: Statement; zone: string }) {
  const rows = [...statement.lines, ...statement.corrections].map((line, at) => ({ ...line, at }));
  type Row = (typeof rows)[number];
  const number = (key: "calls" | "errors" | "input_tokens" | "output_tokens", head: string): Column<Row> => ({
    key,
    head,
    align: "right",
    wide: key !== "calls",
    cell: (row) => count(row[key]),
    sort: (row) => row[key],
  });
  const lineColumns: Column<Row>[] = [
    { key: "service", head: w.service(), cell: (row) => nameText("service", row.service), sort: (row) => row.service },
    { key: "interface", head: w.interface(), cell: (row) => nameText("interface", row.interface), sort: (row) => row.interface },
    { key: "start", head: w.of_month(), cell: (row) => periodText(row, zone), sort: (row) => row.start, wide: true },
    number("calls", w.calls()),
    number("errors", w.errors()),
    number("input_tokens", w.input_tokens()),
    number("output_tokens", w.output_tokens()),
    { key: "gpu", head: w.gpu_hours(), align: "right", wide: true, cell: (row) => gpuHours(row.gpu_seconds), sort: (row) => row.gpu_seconds },
    {
      key: "amount",
      head: w.amount(),
      align: "right",
      sort: (row) => Number(row.amount ?? 0),
      cell: (row) => (
        <>
          {row.corrects !== undefined && <Badge tone="info">{w.corrects({ n: row.corrects })}</Badge>}{" "}
          {row.amount === null ? <span class="faint">{w.no_price()}</span> : money(row.amount, statement.currency)}
        </>
      ),
    },
  ];
  return (
    <>
      <nav class="usage-path" aria-label={w.path()}>
        <a href={here({ statement: null })}>{w.back()}</a>
        <span aria-hidden="true">/</span>
        <span>{`${statement.statement} · ${statement.tenant} · ${periodText(statement, zone)}`}</span>
      </nav>
      <Panel
        title={`${w.total()}: ${totalText(statement)}`}
        class="panel-flush"
        actions={<Files statement={statement} />}
      >
        <Table label={w.statement()} columns={lineColumns} rows={rows} keyOf={(row) => String(row.at)} sortParam="lsort" />
      </Panel>
    </>
  );
}
