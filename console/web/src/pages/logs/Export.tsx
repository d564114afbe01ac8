//! Downloads of all lines that match.
import { useState } from "preact/hooks";
import { address } from "../../lib/api";
import { count } from "../../lib/format";
import { bounds } from "../../lib/time";
import { w } from "./words";

export function Export({ query, columns, lines }: { query: string; columns: string[]; lines: number | undefined }) {
  const [isNarrow, setNarrow] = useState(false);
  const fields = isNarrow ? ["timestamp", "service", "severity", ...columns, "body"].join(",") : "";
  const to = (format: string) => address("/api/v1/logs/export", { query, ...bounds.value, format, fields });
  return (
    <div class="stack log-export">
      <p>{lines === undefined ? w.export_unknown() : w.export_about({ n: count(lines) })}</p>
      <label class="row">
        <input type="checkbox" checked={isNarrow} onChange={(event) => setNarrow(event.currentTarget.checked)} />
        <span class="grow">{w.export_columns()}</span>
      </label>
      <div class="row">
        <a class="btn btn-primary" href={to("ndjson")} download="logs.ndjson">
          {w.export_ndjson()}
        </a>
        <a class="btn" href={to("csv")} download="logs.csv">
          {w.export_csv()}
        </a>
      </div>
    </div>
  );
}
