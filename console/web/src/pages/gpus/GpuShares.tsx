//! How a GPU is dealt out to pods: parts that add up to all of it.
import { bytes, percent } from "../../lib/format";
import { term } from "../../lib/lucene";
import { SERIES } from "../../lib/theme";
import { href } from "../../lib/url";
import { Panel, Shares } from "../../ui/parts";
import { isMeasured, type Gpu } from "./fleet";
import { memoryShares, timeShares, type Part } from "./shares";
import { w } from "./words";

function nameOf(part: Part): string {
  return part.kind === "pod" ? part.name : part.kind === "unowned" ? w.share_unowned() : w.share_free();
}

export function GpuShares({ gpu }: { gpu: Gpu }) {
  const [memory, time] = [memoryShares(gpu), timeShares(gpu)];
  const pods = [...new Set([...(memory ?? []), ...(time ?? [])].filter((part) => part.kind === "pod").map((part) => part.name))].sort();
  const colorOf = (part: Part) => (part.kind === "pod" ? (SERIES[pods.indexOf(part.name) % SERIES.length] ?? "s1") : part.kind === "unowned" ? "sev-none" : "raised");
  const bar = (parts: Part[]) => parts.map((part) => ({ share: part.share, color: colorOf(part), label: `${nameOf(part)} ${percent(part.share)}` }));
  const find = (parts: Part[] | null, kind: Part["kind"], name: string) => parts?.find((part) => part.kind === kind && part.name === name);
  const rest = isMeasured(gpu) ? [{ kind: "unowned" as const, name: "" }, { kind: "free" as const, name: "" }] : [];
  const rows = [...pods.map((name) => ({ kind: "pod" as const, name })), ...rest];
  return (
    <Panel title={w.shares()}>
      <div class="gp-shares">
        <span>{w.share_memory()}</span>
        {memory ? <Shares parts={bar(memory)} label={w.share_memory()} /> : <span class="faint">–</span>}
        <span>{w.share_time()}</span>
        {time ? <Shares parts={bar(time)} label={w.share_time()} /> : <span class="faint">{w.share_time_unknown()}</span>}
      </div>
      <table>
        <thead>
          <tr>
            <th scope="col">{w.pod()}</th>
            <th scope="col">{w.tenant()}</th>
            <th scope="col" class="right" colSpan={2}>
              {w.share_memory()}
            </th>
            <th scope="col" class="right">
              {w.gpu_time()}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ kind, name }) => {
            const [ofMemory, ofTime] = [find(memory, kind, name), find(time, kind, name)];
            const part = ofMemory ?? ofTime ?? { kind, name, tenant: "", share: 0 };
            const [namespace = "", pod = ""] = name.split("/");
            return (
              <tr key={`${kind} ${name}`} class={kind === "pod" ? "" : "faint"}>
                <td>
                  <i class="swatch" style={{ background: `var(--${colorOf(part)})` }} />
                  {kind === "pod" ? (
                    <a href={href("/logs", { tenant: part.tenant, query: `${term("k8s.namespace.name", namespace)} AND ${term("k8s.pod.name", pod)}` })} title={w.pod_logs()}>
                      {name.slice(0, 160)}
                    </a>
                  ) : (
                    nameOf(part)
                  )}
                </td>
                <td>{part.tenant.slice(0, 80)}</td>
                <td class="right">{ofMemory?.bytes === undefined ? (kind === "pod" ? bytes(held(gpu, name)) : "–") : bytes(ofMemory.bytes)}</td>
                <td class="right">{ofMemory ? percent(ofMemory.share) : "–"}</td>
                <td class="right">{ofTime ? percent(ofTime.share) : "–"}</td>
              </tr>
            );
          })}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row" colSpan={2}>
              {w.share_total()}
            </th>
            <td class="right">{gpu.limit === null ? "–" : bytes(gpu.limit)}</td>
            <td class="right">{memory ? percent(sum(memory)) : "–"}</td>
            <td class="right">{time && gpu.busy !== null ? percent(sum(time)) : "–"}</td>
          </tr>
        </tfoot>
      </table>
      {!pods.length && <p class="faint">{w.share_none()}</p>}
    </Panel>
  );
}

/** Bytes that a pod holds, where the GPU's own size is not seen. */
function held({ uses }: Gpu, name: string): number {
  return uses.reduce((sum, use) => (`${use.namespace}/${use.pod}` === name ? sum + use.memory : sum), 0);
}

function sum(parts: Part[]): number {
  return parts.reduce((sum, part) => sum + part.share, 0);
}
