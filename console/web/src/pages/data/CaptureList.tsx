//! Captures that there are, and what their datasets hold.
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { bytes, count } from "../../lib/format";
import { may } from "../../lib/session";
import { ago, now } from "../../lib/time";
import type { Capture } from "../../lib/types/captures";
import { here, param } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { Badge, Empty, Panel, Show } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { w } from "./words";

export function DefinedIn({ of }: { of: Capture["defined_in"] }) {
  if (of === null) return <Badge tone="idle">{w.ended()}</Badge>;
  return <>{of === "file" ? w.in_file() : w.in_request()}</>;
}

export function Updated({ at }: { at: string | null }) {
  return at ? <time title={at}>{ago(at)}</time> : <span class="faint">{w.never()}</span>;
}

const COLUMNS = (): Column<Capture>[] => [
  { key: "name", head: w.name(), cell: (row) => row.name, sort: (row) => row.name },
  { key: "source", head: w.source(), cell: (row) => (row.source === "logs" ? w.logs() : w.spans()), sort: (row) => row.source, wide: true },
  {
    key: "query",
    head: w.query(),
    wide: true,
    cell: (row) => (row.query ? <code title={row.query.slice(0, 2000)}>{row.query.slice(0, 200)}</code> : <span class="faint">{w.query_all()}</span>),
  },
  { key: "tenants", head: w.tenants(), cell: (row) => <Tenants names={row.tenants} />, wide: true },
  { key: "rows", head: w.rows(), align: "right", cell: (row) => count(row.rows), sort: (row) => row.rows },
  { key: "bytes", head: w.bytes(), align: "right", cell: (row) => bytes(row.bytes), sort: (row) => row.bytes },
  { key: "files", head: w.files(), align: "right", cell: (row) => count(row.files), sort: (row) => row.files, wide: true },
  { key: "defined", head: w.defined(), cell: (row) => <DefinedIn of={row.defined_in} />, sort: (row) => row.defined_in ?? "", wide: true },
  { key: "updated", head: w.updated(), align: "right", cell: (row) => <Updated at={row.updated} />, sort: (row) => row.updated },
];

export function Tenants({ names }: { names: string[] }) {
  const shown = names.slice(0, 3).join(", ");
  return <span title={names.slice(0, 200).join(", ")}>{names.length > 3 ? `${shown} +${names.length - 3}` : shown}</span>;
}

export function CaptureList() {
  const data = useData([param("tenant"), now.value], (signal) => get<{ captures: Capture[] }>("/api/v1/captures", {}, signal));
  const define = may("operator") && (
    <a class="btn btn-primary" href={here({ define: "new" })}>
      <Icon name="plus" />
      {w.define()}
    </a>
  );
  return (
    <Show of={data}>
      {({ captures }) => (
        <Panel title={w.captures()} class="panel-flush" actions={captures.length ? define : undefined}>
          <Table
            label={w.captures()}
            columns={COLUMNS()}
            rows={captures}
            keyOf={(row) => row.name}
            href={(row) => here({ capture: row.name })}
            sort="name"
            empty={<Empty action={define || <p>{w.none_viewer()}</p>}>{w.none()}</Empty>}
          />
        </Panel>
      )}
    </Show>
  );
}
