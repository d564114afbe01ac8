//! The proof of a period, checked in the page.
import { address, request } from "../../lib/api";
import { useData } from "../../lib/data";
import { download } from "../../lib/download";
import { count } from "../../lib/format";
import { session } from "../../lib/session";
import { clock, now, rfc3339, shortClock, type Range } from "../../lib/time";
import { here } from "../../lib/url";
import { Icon } from "../../ui/icons";
import { Badge, Empty, Panel, Show, Stat } from "../../ui/parts";
import { wholeHours } from "./period";
import { checkProof, type Check, type Verdict } from "./proof";
import { w } from "./words";

interface Checked {
  document: unknown;
  verdict: Verdict;
}

async function load(range: Range, signal: AbortSignal): Promise<Checked> {
  const { from, to } = wholeHours(range);
  const asked = { start: rfc3339(from), end: rfc3339(to), tenant: null };
  const [document, { public_key }] = await Promise.all([
    request<unknown>("GET", address("/api/v1/usage/proof", asked), { signal }),
    request<{ public_key: string }>("GET", address("/api/v1/usage/key", { tenant: null }), { signal }),
  ]);
  return { document, verdict: await checkProof(document, public_key, globalThis.crypto?.subtle) };
}

export function ProofView({ range, tenant }: { range: Range; tenant: string }) {
  const seesAll = session.value?.user?.tenants.includes("*") ?? false;
  const isShown = seesAll && !tenant;
  const data = useData([wholeHours(range), isShown, now.value], isShown ? (signal) => load(range, signal) : null);
  if (!isShown) {
    return <Empty action={seesAll && <a class="btn" href={here({ tenant: null })}>{w.proof_show_all()}</a>}>{w.proof_all_tenants()}</Empty>;
  }
  return <Show of={data}>{(checked) => <Shown {...checked} />}</Show>;
}

const TEXTS = { valid: "proof_valid", partly: "proof_partly", invalid: "proof_invalid" } as const;
const TONES = { valid: "ok", partly: "warn", invalid: "bad" } as const;
const SIGNS = { valid: "✓", partly: "✓", invalid: "✗" } as const;

function Shown({ document, verdict }: Checked) {
  const { state, start, end, completeUntil } = verdict;
  const isComplete = Date.parse(completeUntil) >= Date.parse(end);
  const save = () => download(`usage-proof-${start.slice(0, 10)}.json`, JSON.stringify(document));
  return (
    <>
      <div class={`usage-verdict usage-verdict-${TONES[state]}`} role={state === "invalid" ? "alert" : "status"}>
        <span class="usage-sign" aria-hidden="true">
          {SIGNS[state]}
        </span>
        <div class="grow">
          <strong>{w[TEXTS[state]]()}</strong>
          {start && <p>{w.found_window({ start: clock(start, 0), end: clock(end, 0) })}</p>}
          {start && !isComplete && <p class="faint">{w.proof_incomplete({ at: shortClock(completeUntil) })}</p>}
        </div>
        <button class="btn" type="button" onClick={save}>
          <Icon name="download" />
          {w.proof_download()}
        </button>
      </div>
      {start && (
        <div class="usage-equation">
          <Stat label={w.equation()} value={count(Number(verdict.spans))} />
          <span aria-hidden="true">=</span>
          <Stat label={w.counted()} value={count(Number(verdict.counted))} />
          <span aria-hidden="true">+</span>
          <Stat label={w.duplicates()} value={count(Number(verdict.duplicates))} />
          <span aria-hidden="true">+</span>
          <Stat label={w.rejected()} value={count(Number(verdict.rejected))} />
        </div>
      )}
      <Panel title={w.check()} class="panel-flush">
        <div class="table-box" role="region" aria-label={w.check()} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{w.check()}</th>
                <th scope="col">{w.result()}</th>
                <th scope="col">{w.found()}</th>
              </tr>
            </thead>
            <tbody>
              {verdict.checks.map((check) => (
                <tr key={check.name} class={check.state === "failed" ? "row-bad" : ""}>
                  <td>{w[`check_${check.name}`]()}</td>
                  <td>
                    <Badge tone={check.state === "ok" ? "ok" : check.state === "failed" ? "bad" : "warn"}>{w[check.state]()}</Badge>
                  </td>
                  <td class="usage-found" title={foundText(check)}>
                    {foundText(check)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Panel>
      <p class="faint">
        {w.proof_offline()} <code>{`weir usage verify usage-proof.json --key ${verdict.publicKey || "KEY"}`}</code>
      </p>
    </>
  );
}

function foundText({ name, state, found }: Check): string {
  if (found["place"] && state === "failed") return w.found_place(found);
  switch (name) {
    case "format":
      return found["field"] === undefined ? w.found_format(found) : w.found_format_bad(found);
    case "key":
      return String(found["key"]);
    case "signature":
      return state === "unknown" ? w.no_crypto() : "";
    case "rows_hash":
    case "row_order":
      return state === "unknown" ? w.no_crypto() : w.found_rows(found);
    case "window":
      return w.found_window(found);
    case "faults":
      return w.found_faults(found);
    case "ranges":
      return w.found_ranges(found);
    case "balance":
      return `${found["spans"]} = ${found["counted"]} + ${found["duplicates"]} + ${found["rejected"]}`;
    case "calls":
      return state === "failed" ? w.found_calls_bad(found) : `${found["calls"]} = ${found["inWindow"]}`;
  }
}
