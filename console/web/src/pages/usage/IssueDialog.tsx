//! Closes a month of a tenant: asks first, since it cannot be undone.
import { useState } from "preact/hooks";
import { post, type Problem } from "../../lib/api";
import { problemOf } from "../../lib/data";
import { tenants } from "../../lib/session";
import { now } from "../../lib/time";
import type { Statement } from "../../lib/types/usage";
import { Dialog, ProblemBox } from "../../ui/parts";
import { monthBefore } from "./period";
import { w } from "./words";

export function IssueDialog({ tenant: chosen, zone, onClose }: { tenant: string; zone: string; onClose: (isIssued: boolean) => void }) {
  const [tenant, setTenant] = useState(chosen || (tenants.value[0] ?? ""));
  const [month, setMonth] = useState(monthBefore(now.value, zone));
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const isWhole = tenant.trim() !== "" && /^\d{4}-\d\d$/.test(month);
  const issue = async (event: Event) => {
    event.preventDefault();
    if (!isWhole) return setProblem({ status: 422, title: "", detail: w.issue_missing() });
    setBusy(true);
    setProblem(undefined);
    try {
      await post<Statement>("/api/v1/usage/statements", { month, tz: zone, tenant: tenant.trim() });
      onClose(true);
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={w.issue_title()} onClose={() => onClose(false)}>
      <form class="stack" onSubmit={issue}>
        <div class="form">
          <label for="issue-tenant">{w.issue_tenant()}</label>
          <input id="issue-tenant" class="input" value={tenant} onInput={(event) => setTenant(event.currentTarget.value)} spellcheck={false} required />
          <label for="issue-month">{w.issue_month()}</label>
          <input id="issue-month" class="input" type="month" value={month} onInput={(event) => setMonth(event.currentTarget.value)} placeholder="2026-10" required />
          <span class="faint">{w.zone()}</span>
          <span>{zone}</span>
        </div>
        <p>{w.issue_about()}</p>
        {problem && <ProblemBox problem={problem} />}
        <div class="row usage-actions">
          <button class="btn" type="button" onClick={() => onClose(false)}>
            {w.cancel()}
          </button>
          <button class="btn btn-danger" type="submit" disabled={busy || !isWhole}>
            {busy ? w.issuing() : w.issue_confirm({ month, tenant: tenant.trim() || "…" })}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
