//! The files of a dataset, and how many rows were written when.
import { address } from "../../lib/api";
import { bytes, count } from "../../lib/format";
import { may } from "../../lib/session";
import { clock } from "../../lib/time";
import type { DataFile, Manifest } from "../../lib/types/captures";
import { Icon } from "../../ui/icons";
import { Badge, CopyButton, Panel, Sparkline } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { rowsOverTime } from "./rows";
import { w } from "./words";

/** Where a file is downloaded from. */
function addressOf(name: string, file: string): string {
  return address("/api/v1/captures/{name}/files/{file}", { name, file });
}

export function Files({ capture, manifest }: { capture: string; manifest: Manifest }) {
  const isAllowed = may("operator");
  const columns: Column<DataFile>[] = [
    {
      key: "file",
      head: w.file(),
      sort: (file) => file.name,
      cell: (file) => (
        <>
          {isAllowed ? (
            <a href={addressOf(capture, file.name)} download={file.name}>
              {file.name}
            </a>
          ) : (
            file.name
          )}{" "}
          {file.definition !== manifest.definition && <Badge tone="idle">{w.older()}</Badge>}
        </>
      ),
    },
    { key: "rows", head: w.rows(), align: "right", cell: (file) => count(file.rows), sort: (file) => file.rows },
    { key: "bytes", head: w.bytes(), align: "right", cell: (file) => bytes(file.bytes), sort: (file) => file.bytes },
    {
      key: "sha256",
      head: w.sha256(),
      wide: true,
      cell: (file) => (
        <span class="data-hash">
          <code title={file.sha256}>{file.sha256.slice(0, 16)}…</code>
          <CopyButton text={file.sha256} />
        </span>
      ),
    },
    { key: "created", head: w.created(), align: "right", cell: (file) => clock(file.created, 0), sort: (file) => file.created },
  ];
  return (
    <Panel
      title={w.files()}
      class="panel-flush"
      actions={
        <>
          <Sparkline values={rowsOverTime(manifest.files, 48)} label={w.rows_over_time()} width={160} />
          {isAllowed && (
            <a class="btn" href={addressOf(capture, "manifest.json")} download={`${capture}-manifest.json`}>
              <Icon name="download" />
              {w.manifest()}
            </a>
          )}
        </>
      }
    >
      <Table label={w.files()} columns={columns} rows={manifest.files} keyOf={(file) => file.name} sort="-created" sortParam="fsort" />
      <p class="data-note faint">
        {isAllowed ? w.pull() : w.files_operator()} {isAllowed && <code>{`weir capture pull ${capture} --out data`}</code>}
      </p>
    </Panel>
  );
}
