//! Files of which something waits or is lost, the oldest first.
import { bytes, ms } from "../../lib/format";
import { term } from "../../lib/lucene";
import { here, href, param, set } from "../../lib/url";
import { Empty, Panel } from "../../ui/parts";
import { Table, type Column } from "../../ui/Table";
import { Lost } from "./Collectors";
import { oldestFirst, sum, type FileState } from "./health";
import { reasonText } from "./reason";
import { w } from "./words";

/** Logs of a file. */
function linesOf(path: string): string {
  return href("/logs", { query: term("log.file.path", path) });
}

export function Files({ files }: { files: FileState[] }) {
  const part = param("file");
  const shown = oldestFirst(files.filter((file) => file.path.includes(part) || file.host.includes(part)));
  const columns: Column<FileState>[] = [
    { key: "path", head: w.path(), cell: (file) => <span title={`${w.to_logs()}: ${file.path}`}>{short(file.path)}</span>, sort: (file) => file.path },
    { key: "host", head: w.host(), wide: true, cell: (file) => file.host || "–", sort: (file) => file.host },
    { key: "tenant", head: w.tenant(), wide: true, cell: (file) => file.tenant || "–", sort: (file) => file.tenant },
    { key: "waiting", head: w.waiting(), align: "right", cell: (file) => (file.waiting ? bytes(file.waiting) : <span class="faint">0</span>), sort: (file) => file.waiting },
    { key: "waited", head: w.waited(), align: "right", cell: (file) => (file.waiting ? ms(file.waitingSeconds * 1e3) : ""), sort: (file) => file.waitingSeconds },
    { key: "lost", head: w.lost(), align: "right", cell: (file) => <Lost lost={file.lost} />, sort: (file) => sum(file.lost) },
    { key: "reason", head: w.reason(), wide: true, cell: (file) => Object.keys(file.lost).map(reasonText).join(", ") },
  ];
  return (
    <Panel
      title={w.bad_files()}
      class="panel-flush"
      actions={
        (files.length > 0 || part) && (
          <input
            class="input"
            data-query
            type="search"
            aria-label={w.file_filter()}
            placeholder={w.file_filter()}
            value={part}
            spellcheck={false}
            onInput={(event) => set({ file: event.currentTarget.value }, true)}
          />
        )
      }
    >
      <Table
        label={w.bad_files()}
        columns={columns}
        rows={shown}
        keyOf={(file) => `${file.collector} ${file.tenant} ${file.path}`}
        href={(file) => linesOf(file.path)}
        sortParam="fsort"
        tone={(file) => (sum(file.lost) ? "bad" : "warn")}
        empty={<Empty action={part && <a href={here({ file: null })}>{w.bad_files()}</a>}>{part ? w.no_such_file() : w.no_bad_files()}</Empty>}
      />
    </Panel>
  );
}

/** Names of containers' files begin with the pod, and end with an id that is long. */
function short(path: string): string {
  return path.length > 64 ? `${path.slice(0, 48)}…${path.slice(-12)}` : path;
}
