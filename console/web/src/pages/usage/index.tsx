//! What was used, by whom and for how much; quotas, statements, and the proof.
import { useLayoutEffect } from "preact/hooks";
import { now, range as framed, rfc3339, usual, type Range } from "../../lib/time";
import { here, param, set } from "../../lib/url";
import { Tabs } from "../../ui/parts";
import { isWholeHours, PERIODS, rangeOf, type Period } from "./period";
import { ProofView } from "./ProofView";
import { QuotasView } from "./Quotas";
import { Report } from "./ReportView";
import { LEVELS, levelOf, levelsLeft, type Filters } from "./report";
import { StatementsView } from "./Statements";
import "./usage.css";
import { w } from "./words";

const VIEWS = ["report", "quotas", "statements", "proof"] as const;

export default function Usage() {
  const filters: Filters = { tenant: param("tenant"), service: param("service"), interface: param("interface") };
  const view = VIEWS.find((one) => one === param("view")) ?? "report";
  const wished = param("tz") || Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zone = isKnown(wished) && isWholeHours(wished, now.value) ? wished : "UTC";
  const period = param("start") ? null : (PERIODS.find((one) => one === param("period")) ?? "month");
  const range = period ? rangeOf(period, now.value, zone) : framed.value;
  useFramesTime(period, range);
  const timed = view === "report" || view === "proof";
  return (
    <div class="page">
      <Tabs
        label={w.views()}
        current={view}
        tabs={VIEWS.map((one) => ({ key: one, label: w[one](), href: here({ view: one === "report" ? null : one, statement: null, cursor: null }) }))}
      />
      {timed && (
        <div class="row">
          <Periods current={period} />
          {view === "report" && <SplitBy filters={filters} />}
          <Zone zone={zone} wished={wished} />
        </div>
      )}
      {zone !== wished && timed && <p class="faint">{w.zone_uneven({ zone: wished })}</p>}
      {view === "report" && (filters.tenant || filters.service || filters.interface) && <Path filters={filters} />}
      {view === "report" && <Report range={range} filters={filters} zone={zone} />}
      {view === "quotas" && <QuotasView tenant={filters.tenant} />}
      {view === "statements" && <StatementsView tenant={filters.tenant} zone={zone} />}
      {view === "proof" && <ProofView range={range} tenant={filters.tenant} />}
    </div>
  );
}

function isKnown(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The picker of the time shows the period, and goes on from it. */
function useFramesTime(period: Period | null, { from, to }: Range) {
  const label = period ? w[period]() : "";
  useLayoutEffect(() => {
    if (!period) return;
    const end = period === "last_month" ? rfc3339(to) : "now";
    usual.value = { start: rfc3339(from), end, label };
    return () => {
      usual.value = null;
    };
  }, [period, label, from, period === "last_month" ? to : 0]);
}

function Periods({ current }: { current: Period | null }) {
  return (
    <nav class="usage-periods" aria-label={w.period()}>
      {PERIODS.map((one) => (
        <a key={one} class="btn" href={here({ period: one === "month" ? null : one, start: null, end: null })} aria-current={one === current ? "true" : undefined}>
          {w[one]()}
        </a>
      ))}
      {!current && (
        <span class="btn" aria-current="true">
          {w.chosen()}
        </span>
      )}
    </nav>
  );
}

function SplitBy({ filters }: { filters: Filters }) {
  const level = levelOf(param("by"), filters);
  return (
    <label class="row">
      <span class="faint">{w.split()}</span>
      <select class="select" data-query value={level} onChange={(event) => set({ by: event.currentTarget.value, sort: null })}>
        {[...levelsLeft(filters), "time" as const].map((one) => (
          <option key={one} value={one}>
            {w[one]()}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Days begin elsewhere at other times: which ones are meant is in the address. */
function Zone({ zone, wished }: { zone: string; wished: string }) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const all = [...new Set([own, "UTC", "Asia/Shanghai", wished, zone])].filter(isKnown);
  return (
    <select class="select usage-zone" aria-label={w.zone()} title={w.zone()} value={zone} onChange={(event) => set({ tz: event.currentTarget.value })}>
      {all.map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  );
}

/** The way down to what is shown, and back. */
function Path({ filters }: { filters: Filters }) {
  const chosen = LEVELS.filter((level) => filters[level]);
  return (
    <nav class="usage-path" aria-label={w.path()}>
      <a href={here({ tenant: null, service: null, interface: null, by: null })}>{w.all_tenants()}</a>
      {chosen.map((level, at) => {
        const deeper = Object.fromEntries(chosen.slice(at + 1).map((one) => [one, null]));
        const isLast = at === chosen.length - 1;
        return (
          <>
            <span aria-hidden="true">/</span>
            {isLast ? (
              <strong class="ellipsis" title={filters[level]}>
                {filters[level]}
              </strong>
            ) : (
              <a class="ellipsis" href={here({ ...deeper, by: null })}>
                {filters[level]}
              </a>
            )}
          </>
        );
      })}
    </nav>
  );
}
